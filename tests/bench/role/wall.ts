/**
 * A clock that several processes on one machine read alike, finer than a millisecond. Runs on Deno and on Node.
 *
 * @module
 */

/** What to add to `performance.now()`. Found at the edge of a millisecond: `Date.now()` alone is too coarse. */
const offset = calibrate();

/** Milliseconds since the epoch, with microseconds behind the point. */
export function wall(): number {
  return performance.now() + offset;
}

function calibrate(): number {
  let best = -Infinity;
  // A process that is interrupted between the two readings sees a smaller difference: the largest is right.
  for (let i = 0; i < 5; i++) {
    const start = Date.now();
    while (Date.now() === start);
    const now = performance.now();
    best = Math.max(best, Date.now() - now);
  }
  return best;
}
