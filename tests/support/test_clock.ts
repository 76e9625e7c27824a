/**
 * A clock that stands still until a test moves it.
 *
 * @module
 */

import { setImmediate } from "node:timers/promises";
import type { Clock } from "../../src/clock.ts";

interface Timer {
  readonly due: number;
  readonly fire: () => void;
}

/** More firings than this in one `advance` mean a loop that never sleeps. */
const FIRINGS_LIMIT = 100_000;

/** Time in a test's hand. Even `sleep(0)` ends only at the next `advance`. */
export class TestClock implements Clock {
  #wall: number;
  #monotonic = 0;
  /** In order of due time; of two at the same time, the one set first. */
  readonly #timers: Timer[] = [];

  /** @param now what the wall clock shows at first, in milliseconds since the epoch. */
  constructor(now: number = Date.UTC(2026, 0, 1)) {
    this.#wall = now;
  }

  now(): number {
    return this.#wall;
  }

  monotonic(): number {
    return this.#monotonic;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const done = () => {
        cancel();
        signal?.removeEventListener("abort", done);
        resolve();
      };
      const cancel = this.after(ms, done);
      signal?.addEventListener("abort", done);
    });
  }

  after(ms: number, fn: () => void): () => void {
    const timer: Timer = { due: this.#monotonic + Math.max(0, ms), fire: fn };
    const later = this.#timers.findIndex(({ due }) => due > timer.due);
    this.#timers.splice(later === -1 ? this.#timers.length : later, 0, timer);
    return () => {
      const index = this.#timers.indexOf(timer);
      if (index !== -1) this.#timers.splice(index, 1);
    };
  }

  /** How many sleeps and timers wait: `eventually(() => clock.waiting > 0, …)` sees a loop fall asleep. */
  get waiting(): number {
    return this.#timers.length;
  }

  /** Milliseconds until the next timer is due, or undefined when none waits. */
  get untilNext(): number | undefined {
    const next = this.#timers[0];
    return next === undefined ? undefined : next.due - this.#monotonic;
  }

  /**
   * Moves time on, firing what falls due, in order, each at its own moment. After each the promises that it
   * resolved run their course, so that a loop that sleeps again is woken again. What waits for a server or a
   * file is not waited for.
   */
  async advance(ms: number): Promise<void> {
    await setImmediate();
    const end = this.#monotonic + ms;
    for (let firings = 0;; firings++) {
      const next = this.#timers[0];
      if (next === undefined || next.due > end) break;
      if (firings === FIRINGS_LIMIT) {
        throw new Error(`advance(${ms}): a loop sleeps for no time at all, for ever`);
      }
      this.#timers.shift();
      this.#moveTo(next.due);
      next.fire();
      await setImmediate();
    }
    this.#moveTo(end);
  }

  /** The wall clock is set, as by NTP or by hand; monotonic time and timers do not notice. */
  jump(ms: number): void {
    this.#wall += ms;
  }

  #moveTo(monotonic: number): void {
    this.#wall += monotonic - this.#monotonic;
    this.#monotonic = monotonic;
  }
}
