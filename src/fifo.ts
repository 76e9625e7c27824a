/**
 * A line of waiting things.
 *
 * @module
 */

/** Things that have left the line before it is copied, at least. */
const COMPACT = 1000;

/** In at the back, out at the front; either costs little, however long the line is. */
export class Fifo<T> {
  #items: T[] = [];
  #head = 0;

  /** How many wait. */
  get length(): number {
    return this.#items.length - this.#head;
  }

  /** Puts one at the back. */
  push(item: T): void {
    this.#items.push(item);
  }

  /** The one at a place, the first at 0; undefined beyond the end. */
  at(place: number): T | undefined {
    return this.#items[this.#head + place];
  }

  /** Takes the first `count` out. */
  take(count: number): T[] {
    const taken = this.#items.slice(this.#head, this.#head + count);
    this.#head += taken.length;
    if (this.length === 0) [this.#items, this.#head] = [[], 0];
    // A busy line is never empty: what has left it must not be kept.
    else if (this.#head >= COMPACT && this.#head > this.length) {
      [this.#items, this.#head] = [this.#items.slice(this.#head), 0];
    }
    return taken;
  }

  /** Takes one out from wherever it is; false when it is not here. */
  remove(item: T): boolean {
    const place = this.#items.indexOf(item, this.#head);
    if (place >= 0) this.#items.splice(place, 1);
    return place >= 0;
  }
}
