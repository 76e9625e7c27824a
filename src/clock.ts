/**
 * Time, injected: the only file that reads a clock or sets a timer, so that tests can hold both.
 *
 * @module
 */

import { clearImmediate, setImmediate } from "node:timers";

/** A source of time. All durations are in milliseconds. */
export interface Clock {
  /** Wall-clock time, milliseconds since the epoch. For display only: due times and leases are Postgres' business. */
  now(): number;
  /** A monotonic reading in milliseconds; only differences mean something. */
  monotonic(): number;
  /**
   * Resolves after `ms`, or at once when `signal` aborts. Never rejects.
   *
   * @param slack by how much it may come sooner, so that sleepers wake together and a quiet process wakes seldom: the
   * slack of timers, as systems call it. @default 0
   */
  sleep(ms: number, signal?: AbortSignal, slack?: number): Promise<void>;
  /** Calls `fn` once after `ms`; the returned function calls it off. */
  after(ms: number, fn: () => void): () => void;
}

/** setTimeout's longest delay; a longer one would fire at once. */
const LONGEST_DELAY = 2 ** 31 - 1;

/** The real clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep(ms, signal, slack = 0) {
    if (signal?.aborted) return Promise.resolve();
    const pause = slack > 0 ? ms - (performance.now() + ms) % slack : ms;
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", done);
        resolve();
      };
      const timer = setTimeout(done, Math.min(pause, LONGEST_DELAY));
      signal?.addEventListener("abort", done);
    });
  },
  after(ms, fn) {
    if (ms <= 0) {
      // A timer of 0 ms takes 2 (Deno 2.9.6); this one comes after the I/O that is there.
      const immediate = setImmediate(fn);
      return () => clearImmediate(immediate);
    }
    const timer = setTimeout(fn, Math.min(ms, LONGEST_DELAY));
    return () => clearTimeout(timer);
  },
};

/** Resolves as `promise` does, or with `undefined` once `ms` have passed. */
export async function within<T>(clock: Clock, ms: number, promise: Promise<T>): Promise<T | undefined> {
  let cancel = () => {};
  const late = new Promise<undefined>((resolve) => cancel = clock.after(ms, () => resolve(undefined)));
  try {
    return await Promise.race([promise, late]);
  } finally {
    cancel();
  }
}
