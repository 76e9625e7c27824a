/**
 * Renews the leases of living engines, so that a busy handler cannot lose its task. A supervisor beats for its
 * engines; an engine that lost its supervisor beats for itself.
 *
 * @module
 */

import { type Clock, systemClock } from "../clock.ts";
import { Service } from "../service.ts";
import type { Beat, HeldRow, Store } from "../store/mod.ts";

/** How a heartbeat is made. */
export interface HeartbeatOptions {
  readonly store: Pick<Store, "beat">;
  /** Seconds. */
  readonly lease: number;
  /** The engines that live. */
  engineIds(): readonly string[];
  /** Whose ready tasks are asked for with each beat. @default none */
  readonly channels?: readonly string[];
  /** Takes what the record says an engine holds; undefined when the record has declared it dead. */
  heard(engineId: string, rows: readonly HeldRow[] | undefined): void;
  /** Called after each beat. */
  beaten?(beat: Beat): void;
  /** Called before each beat, also while Postgres is away: the loop goes round. */
  turning?(): void;
  readonly clock?: Clock;
}

/** Milliseconds between beats, unless the lease is short. */
const INTERVAL = 5000;

/** The loop that beats. */
export class Heartbeat extends Service {
  readonly #options: HeartbeatOptions;
  readonly #interval: number;
  #lastBeat = -Infinity;
  #gaplessSince = Infinity;

  constructor(options: HeartbeatOptions) {
    super("heartbeat", options.clock ?? systemClock);
    this.#options = options;
    this.#interval = Math.min(INTERVAL, options.lease * 1000 / 6);
  }

  protected override readonly pauseAfterError = 500;

  /** Milliseconds for which beats have come without a gap: who judges others must have been sound itself (invariant 12). */
  get gapless(): number {
    const now = this.clock.monotonic();
    return now - this.#lastBeat > 2 * this.#interval ? 0 : Math.max(0, now - this.#gaplessSince);
  }

  async runOnce(): Promise<number> {
    this.#options.turning?.();
    const ids = this.#options.engineIds();
    const { store, channels = [] } = this.#options;
    const beat = await store.beat(ids, channels, { deadline: this.#interval });
    const now = this.clock.monotonic();
    if (now - this.#lastBeat > 2 * this.#interval) this.#gaplessSince = now;
    this.#lastBeat = now;
    for (const id of ids) this.#options.heard(id, beat.held.get(id));
    this.#options.beaten?.(beat);
    return this.#interval;
  }
}
