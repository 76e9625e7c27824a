/**
 * Engines of the program that this one has replaced: its children, but started by another, so that there are no
 * pipes to them, only signals.
 *
 * @module
 */

import { type Clock, systemClock } from "../clock.ts";
import { logger } from "../log.ts";
import { hasEnded } from "../posix.ts";
import type { EngineReport } from "./status_file.ts";

/** An engine of the program before. */
export interface OldEngine {
  readonly pid: number;
  /** Null when it was about to start. */
  readonly id: string | null;
  /** Whether it was told to end: being told twice means to be quick. */
  readonly isTold: boolean;
}

/** Milliseconds between looks whether one has ended. */
const LOOK = 100;
/** Milliseconds between the two signals that hurry one that was not told before: at once they would be one. */
const TWICE = 100;

/** Those that have not ended yet. */
export class OldEngines {
  readonly #clock: Clock;
  readonly #ends = new Map<OldEngine, Promise<void>>();
  readonly #told = new Set<OldEngine>();
  readonly #log = logger("supervisor");

  /** @param ended called at the end of each */
  constructor(engines: readonly OldEngine[], ended: () => void, clock: Clock = systemClock) {
    this.#clock = clock;
    for (const engine of engines) {
      const end = this.#end(engine).then(() => {
        if (this.#ends.delete(engine)) ended();
      });
      this.#ends.set(engine, end);
    }
  }

  /** Tells them to end what they run. Whether any was not told before. */
  drain(): boolean {
    const untold = [...this.#ends.keys()].filter((engine) => !engine.isTold && !this.#told.has(engine));
    for (const engine of untold) {
      this.#log.info("Draining an engine of the old tq", { pid: engine.pid, engine: engine.id });
      signal(engine, "SIGTERM");
      this.#told.add(engine);
    }
    return untold.length > 0;
  }

  /** Leaves them to themselves: they end when they have waited long enough for somebody to take their place. */
  leave(): void {
    this.#ends.clear();
  }

  /** Gives what they run `TQ_DRAIN_TIMEOUT` from now. */
  async hurry(): Promise<void> {
    if (this.drain()) await this.#clock.sleep(TWICE);
    for (const engine of this.#ends.keys()) signal(engine, "SIGTERM");
  }

  /** Ends them at once, or some of them. */
  kill(engines: Iterable<OldEngine> = this.#ends.keys()): void {
    for (const engine of engines) signal(engine, "SIGKILL");
  }

  /** Those that have not ended, for the next program. */
  get left(): readonly OldEngine[] {
    return [...this.#ends.keys()].map((engine) => ({
      ...engine,
      isTold: engine.isTold || this.#told.has(engine),
    }));
  }

  /** Resolves when all have ended. */
  get ended(): Promise<unknown> {
    return Promise.all(this.#ends.values());
  }

  /** What the status tells of them. */
  get reports(): EngineReport[] {
    return this.left.map(({ pid, id }) => ({ pid, id, commit: null, state: "draining", status: null }));
  }

  /** Its old supervisor would have seen it end; without a look it would stay a zombie. */
  async #end(engine: OldEngine): Promise<void> {
    while (!hasEnded(engine.pid)) await this.#clock.sleep(LOOK);
  }
}

function signal(engine: OldEngine, name: "SIGTERM" | "SIGKILL"): void {
  try {
    Deno.kill(engine.pid, name);
  } catch {
    // It has ended already.
  }
}
