/**
 * Random numbers that a seed repeats.
 *
 * @module
 */

/** Numbers from a seed: mulberry32 (T. Ettinger, public domain). */
export class SeededRandom {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** A number in 0…1, 1 excluded. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A number from `min` to `max`. */
  between(min: number, max: number): number {
    return min + this.next() * (max - min);
  }

  /** One of `values`, which are weighted. */
  pick<T extends { readonly weight: number }>(values: readonly T[]): T {
    let at = this.next() * values.reduce((sum, value) => sum + value.weight, 0);
    for (const value of values) {
      at -= value.weight;
      if (at < 0) return value;
    }
    return values.at(-1)!;
  }

  /** One of `values`, or undefined when there is none. */
  one<T>(values: readonly T[]): T | undefined {
    return values[Math.floor(this.next() * values.length)];
  }
}
