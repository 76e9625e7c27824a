/**
 * For how long something was not as it should be.
 *
 * @module
 */

import { type Clock, systemClock } from "../clock.ts";

/** A stopwatch that runs while something is wrong. */
export class Stopwatch {
  readonly #clock: Clock;
  #since: number | undefined;
  #total = 0;

  constructor(clock: Clock = systemClock) {
    this.#clock = clock;
  }

  /** Whether it runs. */
  get isRunning(): boolean {
    return this.#since !== undefined;
  }

  /** Seconds that it has run, all in all. */
  get seconds(): number {
    const running = this.#since === undefined ? 0 : this.#clock.monotonic() - this.#since;
    return (this.#total + running) / 1000;
  }

  /** Starts it, or stops it; telling it again what it does already changes nothing. */
  set(isRunning: boolean): void {
    const now = this.#clock.monotonic();
    if (this.#since !== undefined) this.#total += now - this.#since;
    this.#since = isRunning ? now : undefined;
  }
}
