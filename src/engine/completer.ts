/**
 * Writes the ends of runs into the record, in batches: as soon as one is answered the next is sent.
 *
 * @module
 */

import { Batcher } from "../batcher.ts";
import { type Clock, systemClock } from "../clock.ts";
import { BadValueError, messageOf } from "../errors.ts";
import { logger } from "../log.ts";
import type { EngineCounts } from "../metrics/engine_counts.ts";
import { reconnectDelay } from "../retry_policy.ts";
import type { Lease, Patience, Store } from "../store/mod.ts";
import type { Held } from "./held.ts";
import { failed, type Outcome } from "./outcome.ts";

/** How a completer is made. */
export interface CompleterOptions {
  readonly store: Pick<Store, "complete" | "finish">;
  readonly engineId: string;
  readonly codeVersion: string | null;
  /** Takes tasks whose end is recorded, or whose lease was lost. */
  recorded(held: readonly Held[]): void;
  /** Counts batches, and ends that others' leases kept out of the record. */
  readonly counts?: Pick<EngineCounts, "batch" | "dropped">;
  /** Gives up when the engine must end although Postgres is away. */
  readonly signal: AbortSignal;
  readonly clock?: Clock;
}

interface End {
  readonly held: Held;
  readonly outcome: Outcome;
}

/** Batches of plain ends at once: while Postgres writes the one, the other is on its way, or waits for the disk. */
export const END_BATCHES = 2;
/** Milliseconds until a statement's connection is given up. */
const DEADLINE = 10_000;
/** The longest pause before ends that Postgres refused are sent again, milliseconds. */
const LONGEST_PAUSE = 5000;

/** The ends of runs on their way into the record. */
export class Completer {
  readonly #options: CompleterOptions;
  /** Completed without a result, as most are: the shorter statement. */
  readonly #plain: Batcher<End>;
  readonly #others: Batcher<End>;
  readonly #clock: Clock;
  readonly #log = logger("engine");

  constructor(options: CompleterOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    const { store, engineId, codeVersion, signal } = options;
    const how: Patience = { deadline: DEADLINE, patience: Infinity, signal };
    const failed = (end: End, error: unknown) => this.#failed(end, error);
    const sent = (ends: number, ms: number) => options.counts?.batch("end", ends, ms);
    this.#plain = new Batcher<End>({
      inFlight: END_BATCHES,
      send: (ends) => this.#record(ends, () => store.complete(ends.map(leaseOf), engineId, codeVersion, how)),
      failed,
      sent,
    });
    this.#others = new Batcher<End>({
      sizeOf: ({ outcome }) => (outcome.result?.length ?? 0) + (outcome.reason?.length ?? 0),
      send: (ends) => {
        const endings = () => ends.map((end) => ({ ...leaseOf(end), ...end.outcome }));
        return this.#record(ends, () => store.finish(endings(), engineId, codeVersion, how));
      },
      failed,
      sent,
    });
  }

  /** Ends that are not sent yet. */
  get waiting(): number {
    return this.#plain.waiting + this.#others.waiting;
  }

  /** Characters of their results and reasons. */
  get bytes(): number {
    return this.#others.bytes;
  }

  /** Takes the end of a run. */
  add(held: Held, outcome: Outcome): void {
    const isPlain = outcome.state === 10 && outcome.result === null;
    (isPlain ? this.#plain : this.#others).add({ held, outcome });
  }

  /** Resolves when every end is recorded. */
  async idle(): Promise<void> {
    await Promise.all([this.#plain.idle(), this.#others.idle()]);
  }

  async #record(ends: readonly End[], write: () => Promise<number>): Promise<void> {
    const dropped = ends.length - await this.#written(write);
    if (dropped > 0) {
      this.#options.counts?.dropped(dropped);
      this.#log.info("Ends of runs were not recorded: others have these tasks now", { dropped });
    }
    this.#options.recorded(ends.map((end) => end.held));
  }

  /**
   * Writes until it is written. Whatever Postgres says of the statement (its disk is full, an administrator canceled it,
   * a right is missing) it says nothing of the tasks, which ended as they did. A value that it cannot store is thrown.
   */
  async #written(write: () => Promise<number>): Promise<number> {
    for (let tries = 0;; tries++) {
      try {
        const count = await write();
        if (tries > 0) this.#log.info("Ends of runs are recorded again");
        return count;
      } catch (error) {
        if (error instanceof BadValueError || this.#options.signal.aborted) throw error;
        if (tries === 0) {
          this.#log.warn("Ends of runs cannot be recorded; tried until they are", {
            error: messageOf(error),
          });
        }
        await this.#clock.sleep(reconnectDelay(tries, LONGEST_PAUSE), this.#options.signal);
      }
    }
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

/** Read when it is sent: the lease may have been adopted meanwhile. */
function leaseOf({ held }: End): Lease {
  return { id: held.row.id, claims: held.claims };
}
