/**
 * Writes the ends of runs into the record, in batches: as soon as one is answered the next is sent.
 *
 * @module
 */

import { Batcher } from "../batcher.ts";
import { messageOf } from "../errors.ts";
import { logger } from "../log.ts";
import type { Patience, Store } from "../store/mod.ts";
import type { Held } from "./held.ts";
import { failed, type Outcome } from "./outcome.ts";

/** How a completer is made. */
export interface CompleterOptions {
  readonly store: Pick<Store, "complete" | "finish">;
  readonly engineId: string;
  readonly codeVersion: string | null;
  /** Takes tasks whose end is recorded, or whose lease was lost. */
  recorded(held: readonly Held[]): void;
  /** Gives up when the engine must end although Postgres is away. */
  readonly signal: AbortSignal;
}

interface End {
  readonly held: Held;
  outcome: Outcome;
}

/** Milliseconds until a statement's connection is given up. */
const DEADLINE = 10_000;

/** The ends of runs on their way into the record. */
export class Completer {
  readonly #options: CompleterOptions;
  readonly #batcher: Batcher<End>;
  readonly #how: Patience;
  readonly #log = logger("engine");

  constructor(options: CompleterOptions) {
    this.#options = options;
    this.#how = { deadline: DEADLINE, patience: Infinity, signal: options.signal };
    this.#batcher = new Batcher<End>({
      sizeOf: ({ outcome }) => (outcome.result?.length ?? 0) + (outcome.reason?.length ?? 0),
      send: (ends) => this.#send(ends),
      failed: (end, error) => this.#failed(end, error),
    });
  }

  /** Ends that are not sent yet. */
  get waiting(): number {
    return this.#batcher.waiting;
  }

  /** Takes the end of a run. */
  add(held: Held, outcome: Outcome): void {
    this.#batcher.add({ held, outcome });
  }

  /** Resolves when every end is recorded. */
  idle(): Promise<void> {
    return this.#batcher.idle();
  }

  async #send(ends: readonly End[]): Promise<void> {
    const { store, engineId, codeVersion } = this.#options;
    const plain: Held[] = [];
    const rest: End[] = [];
    for (const end of ends) {
      if (end.outcome.state === 10 && end.outcome.result === null) plain.push(end.held);
      else rest.push(end);
    }
    const written = await Promise.all([
      plain.length === 0 ? 0 : store.complete(plain.map(leaseOf), engineId, codeVersion, this.#how),
      rest.length === 0 ? 0 : store.finish(
        rest.map(({ held, outcome }) => ({ ...leaseOf(held), ...outcome })),
        engineId,
        codeVersion,
        this.#how,
      ),
    ]);
    const dropped = ends.length - (written[0] ?? 0) - (written[1] ?? 0);
    if (dropped > 0) {
      this.#log.info("Ends of runs were not recorded: others have these tasks now", { dropped });
    }
    this.#options.recorded(ends.map((end) => end.held));
  }

  #failed(end: End, error: unknown): void {
    if (this.#options.signal.aborted) {
      this.#log.warn("The end of a run could not be recorded; it will run again", { task: end.held.row.id });
      return;
    }
    this.#log.warn("A result was refused", { task: end.held.row.id, error: messageOf(error) });
    if (end.outcome.result === null) return this.#options.recorded([end.held]);
    this.add(end.held, failed("result cannot be stored"));
  }
}

function leaseOf(held: Held): { id: number; claims: number } {
  return { id: held.row.id, claims: held.claims };
}
