/**
 * How much work to have ahead.
 *
 * @module
 */

import type { Clock } from "../clock.ts";

/** Milliseconds of work to have ahead. */
const WINDOW = 100;
/** Tasks ahead at most: half of them are one claim. */
const MOST = 2000;

/**
 * Counts ended tasks in windows of 100 ms: as many as ended in the last one are claimed ahead. When tasks are slow,
 * or stuck, nothing ends and nothing is hoarded.
 */
export class Throughput {
  readonly #clock: Clock;
  #windowStart: number;
  #last = 0;
  #current = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#windowStart = clock.monotonic();
  }

  /** A task has ended. */
  count(): void {
    this.#current++;
  }

  /** How many tasks to have ahead, 0…2,000. */
  ahead(): number {
    const now = this.#clock.monotonic();
    const elapsed = now - this.#windowStart;
    if (elapsed >= WINDOW) {
      this.#last = elapsed >= 2 * WINDOW ? 0 : this.#current;
      this.#current = 0;
      this.#windowStart = now;
    }
    return Math.min(MOST, Math.max(this.#last, this.#current));
  }
}
