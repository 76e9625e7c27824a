/**
 * Many small things, sent as few large ones: the mechanism behind publishing, finishing and logging.
 *
 * @module
 */

import { systemClock } from "./clock.ts";
import { BadValueError } from "./errors.ts";
import { Fifo } from "./fifo.ts";

/** How a batcher sends. */
export interface BatcherOptions<Item> {
  /** Sends a batch and settles its items itself; a rejection goes to `failed` for each of them. */
  send(items: readonly Item[]): Promise<void>;
  /** An item that cannot be sent. */
  failed(item: Item, error: unknown): void;
  /** Hears of each batch that was sent: its items, and the milliseconds until it was answered. */
  sent?(items: number, milliseconds: number): void;
  /** The bytes of an item. @default counts as nothing */
  sizeOf?(item: Item): number;
  /** Batches under way at once. @default 1 */
  readonly inFlight?: number;
  /** Items of one batch at most. @default 1000 */
  readonly most?: number;
}

/** Fewer items than this are not shared out: each batch costs a round trip, and a commit. */
const LEAST_SHARE = 200;
/** Bytes of one batch at most. */
const MOST_BYTES = 8 * 1024 * 1024;

/**
 * Collects items while earlier ones are under way, and sends them as soon as that is over: a lone item is not
 * delayed, and the busier it gets the larger the batches grow. A batch that Postgres refuses for a value is halved
 * until the item with that value stands alone.
 */
export class Batcher<Item> {
  readonly #options: BatcherOptions<Item>;
  readonly #inFlight: number;
  readonly #most: number;
  readonly #queue = new Fifo<Item>();
  #bytes = 0;
  #sending = 0;
  #scheduled = false;
  #idle: (() => void)[] = [];

  constructor(options: BatcherOptions<Item>) {
    this.#options = options;
    this.#inFlight = options.inFlight ?? 1;
    this.#most = options.most ?? 1000;
  }

  /** Items that wait to be sent. */
  get waiting(): number {
    return this.#queue.length;
  }

  /** Bytes of the items that wait to be sent. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Whether nothing waits and nothing is under way. */
  get isIdle(): boolean {
    return this.waiting === 0 && this.#sending === 0;
  }

  /** Takes an item; it is sent within this turn of the event loop unless enough batches are under way. */
  add(item: Item): void {
    this.#queue.push(item);
    this.#bytes += this.#options.sizeOf?.(item) ?? 0;
    if (this.#scheduled || this.#sending >= this.#inFlight) return;
    this.#scheduled = true;
    // After the microtasks that are queued now: callers that were woken together are sent together.
    queueMicrotask(() => queueMicrotask(() => this.#start()));
  }

  /** Resolves when nothing waits and nothing is under way. */
  idle(): Promise<void> {
    if (this.isIdle) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  #start(): void {
    this.#scheduled = false;
    while (this.waiting > 0 && this.#sending < this.#inFlight) {
      this.#sending++;
      this.#send(this.#take()).finally(() => {
        this.#sending--;
        this.#start();
        if (this.isIdle) { for (const resolve of this.#idle.splice(0)) resolve(); }
      });
    }
  }

  #take(): Item[] {
    const { sizeOf } = this.#options;
    // What waits is shared out evenly among the batches that may be under way.
    const share = Math.ceil(this.waiting / (this.#inFlight - this.#sending + 1));
    const most = Math.min(this.#most, Math.max(share, LEAST_SHARE), this.waiting);
    let count = 0;
    let bytes = 0;
    for (; count < most; count++) {
      const size = sizeOf?.(this.#queue.at(count) as Item) ?? 0;
      if (bytes + size > MOST_BYTES && count > 0) break;
      bytes += size;
    }
    this.#bytes -= bytes;
    return this.#queue.take(count);
  }

  async #send(items: readonly Item[]): Promise<void> {
    const started = this.#options.sent === undefined ? 0 : systemClock.monotonic();
    try {
      await this.#options.send(items);
      this.#options.sent?.(items.length, systemClock.monotonic() - started);
    } catch (error) {
      if (error instanceof BadValueError && items.length > 1) {
        const half = items.length >> 1;
        await this.#send(items.slice(0, half));
        await this.#send(items.slice(half));
      } else {
        for (const item of items) this.#options.failed(item, error);
      }
    }
  }
}
