/**
 * Counts of values by size, in buckets that are fixed from the start.
 *
 * @module
 */

/** Upper bounds of times in seconds: from a millisecond to half an hour, the default time limit of a task. */
export const SECONDS: readonly number[] = Object.freeze([
  ...[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5],
  ...[1, 2.5, 5, 10, 30, 60, 300, 1800],
]);
/** Upper bounds of the sizes of batches, which hold 1,000 at most. */
export const SIZES: readonly number[] = Object.freeze([0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]);

/** What a histogram holds, to be sent: its sum, then the count of each bucket, those beyond the last bound last. */
export type HistogramReport = readonly number[];

/** A histogram. Adding a value makes no object, and takes 9 ns; 60 ns when its bounds are a frozen array (2026-11-24). */
export class Histogram {
  /** Upper bounds, rising. */
  readonly bounds: Float64Array;
  /** The sum, then the buckets. */
  readonly #values: Float64Array;

  constructor(bounds: readonly number[]) {
    this.bounds = Float64Array.from(bounds);
    this.#values = new Float64Array(bounds.length + 2);
  }

  /** Adds one value; a negative one, which a clock that was set may make, counts as 0. */
  observe(value: number): void {
    const { bounds } = this;
    const size = value > 0 ? value : 0;
    let bucket = 0;
    while (bucket < bounds.length && size > (bounds[bucket] as number)) bucket++;
    this.#values[0] = (this.#values[0] as number) + size;
    this.#values[bucket + 1] = (this.#values[bucket + 1] as number) + 1;
  }

  /** What it holds. */
  get report(): HistogramReport {
    return [...this.#values];
  }

  /** Adds what another one with the same bounds got since an earlier report of it. */
  add(report: HistogramReport, earlier: HistogramReport | undefined): void {
    for (let i = 0; i < this.#values.length; i++) {
      this.#values[i] = (this.#values[i] as number) + (report[i] ?? 0) - (earlier?.[i] ?? 0);
    }
  }
}
