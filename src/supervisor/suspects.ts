/**
 * Runs suspects, tasks that may have killed their engine: each in an engine of its own, so that the next death
 * takes nobody along.
 *
 * @module
 */

import { type Clock, systemClock } from "../clock.ts";
import { reconnectDelay } from "../retry_policy.ts";
import { Service } from "../service.ts";
import type { Store } from "../store/mod.ts";
import type { EngineProcess } from "./engine_process.ts";

/** How the loop is made. */
export interface SuspectsOptions {
  readonly store: Pick<Store, "readySuspects">;
  readonly channels: readonly string[];
  /** Starts an engine that runs this task and nothing else. */
  spawn(taskId: number): EngineProcess;
  readonly clock?: Clock;
}

/** Engines of suspects at once: the innocent among them should not wait long for each other. */
const MOST = 4;
/** Milliseconds between looks while no beat tells of any. */
const INTERVAL = 30_000;
/** Milliseconds between looks while some are expected, and how long they are: their retry waits a second. */
const EXPECTED_INTERVAL = 250;
const EXPECTED_FOR = 5000;
/** Milliseconds at most until a suspect gets another engine after one that failed. */
const LONGEST_PAUSE = 60_000;

/** The loop that runs suspects. */
export class Suspects extends Service {
  readonly #options: SuspectsOptions;
  readonly #running = new Map<number, Promise<void>>();
  /** Suspects whose engines failed: how often in a row, and until when they wait for another. */
  readonly #failures = new Map<number, { readonly times: number; readonly until: number }>();
  #expectedUntil = -Infinity;

  constructor(options: SuspectsOptions) {
    super("supervisor", options.clock ?? systemClock);
    this.#options = options;
  }

  /** Some will be ready soon. */
  expect(): void {
    this.#expectedUntil = this.clock.monotonic() + EXPECTED_FOR;
    this.wake();
  }

  async runOnce(signal: AbortSignal): Promise<number> {
    // Those that were started are ready until their engine has claimed them.
    const limit = 2 * MOST + this.#failures.size;
    const found = await this.#options.store.readySuspects(this.#options.channels, limit);
    const now = this.clock.monotonic();
    const isWaiting = (id: number) => now < (this.#failures.get(id)?.until ?? -Infinity);
    for (const id of found) {
      if (this.#running.size >= MOST || signal.aborted) break;
      if (!this.#running.has(id) && !isWaiting(id)) this.#running.set(id, this.#run(id));
    }
    // One that is not ready any more was claimed: that engine did not fail for nothing.
    for (const id of this.#failures.keys()) {
      if (!found.includes(id) && !this.#running.has(id)) this.#failures.delete(id);
    }
    return this.#running.size > 0 || this.clock.monotonic() < this.#expectedUntil
      ? EXPECTED_INTERVAL
      : INTERVAL;
  }

  async #run(id: number): Promise<void> {
    const engine = this.#options.spawn(id);
    const { success } = await engine.exited;
    this.#running.delete(id);
    // One that ended before its claim has left the task as it was: without a pause it would be followed at once.
    if (success && engine.identity !== undefined) this.#failures.delete(id);
    else {
      const times = (this.#failures.get(id)?.times ?? 0) + 1;
      this.#failures.set(id, { times, until: this.clock.monotonic() + reconnectDelay(times, LONGEST_PAUSE) });
    }
  }

  /** Stops, after the engines of suspects have ended. */
  override async stop(): Promise<void> {
    await super.stop();
    await Promise.all(this.#running.values());
  }
}
