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
  /** When the last beat was answered, by this process's clock, and when it was, by the database's. */
  #heardAt = -Infinity;
  #beatAt = -Infinity;
  /** The first beat since the last gap, by the database's clock. */
  #gaplessSince = Infinity;

  constructor(options: HeartbeatOptions) {
    super("heartbeat", options.clock ?? systemClock);
    this.#options = options;
    this.#interval = Math.min(INTERVAL, options.lease * 1000 / 6);
  }

  protected override readonly pauseAfterError = 500;

  /**
   * Milliseconds for which beats have come without a gap: who judges others must have been sound itself (invariant 12).
   * Leases run by the database's clock, so gaps are measured in it: it may be set, and this process's own clock stands
   * still while its machine is suspended.
   */
  get gapless(): number {
    const since = this.clock.monotonic() - this.#heardAt;
    return since > 2 * this.#interval ? 0 : this.#beatAt - this.#gaplessSince + since;
  }

  /** Until when, by the database's clock, that holds although no other beat comes; milliseconds since the epoch. */
  get gaplessUntil(): number {
    return this.#beatAt + 2 * this.#interval;
  }

  async runOnce(): Promise<number> {
    this.#options.turning?.();
    const ids = this.#options.engineIds();
    const { store, channels = [] } = this.#options;
    const beat = await store.beat(ids, channels, { deadline: this.#interval });
    this.#heardAt = this.clock.monotonic();
    if (beat.at > this.gaplessUntil || beat.at < this.#beatAt) this.#gaplessSince = beat.at;
    this.#beatAt = beat.at;
    for (const id of ids) this.#options.heard(id, beat.held.get(id));
    this.#options.beaten?.(beat);
    return this.#interval;
  }
}
