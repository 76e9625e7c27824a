/**
 * The tasks that an engine holds, by id.
 *
 * @module
 */

import type { Held } from "./held.ts";

/** Tasks are held by the thousand, and their ids follow each other: few share a bucket. */
const BUCKETS = 4096;

/**
 * Held tasks by id. A `Map` would do, but for V8: when the table of a busy one is full it makes another and lets the old
 * one point to it. An old one that has got into the old generation keeps the next alive with all that is in it, that one
 * the next, and so on until the whole heap is collected: all tasks got there (2026-11-27, V8 15.0; docs/performance.md).
 */
export class HeldTable {
  readonly #buckets: Held[][] = Array.from({ length: BUCKETS }, () => []);

  /** The task with this id. */
  get(id: number): Held | undefined {
    for (const held of this.#bucket(id)) if (held.row.id === id) return held;
    return undefined;
  }

  /** Takes in a task whose id is not here. */
  add(held: Held): void {
    this.#bucket(held.row.id).push(held);
  }

  /** Lets go of the task with this id; false when there is none. */
  delete(id: number): boolean {
    const bucket = this.#bucket(id);
    const place = bucket.findIndex((held) => held.row.id === id);
    if (place < 0) return false;
    bucket.splice(place, 1);
    return true;
  }

  /** All of them. */
  values(): Held[] {
    return this.#buckets.flat();
  }

  #bucket(id: number): Held[] {
    // A hint may name any whole number.
    return this.#buckets[Math.abs(id) % BUCKETS] as Held[];
  }
}
