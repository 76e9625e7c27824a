/**
 * The base of upkeep's loops: work is done by the leader alone.
 *
 * @module
 */

import { type Clock, systemClock } from "../clock.ts";
import type { Settings } from "../config.ts";
import type { Dispatch } from "../dispatch/mod.ts";
import type { UpkeepAction } from "../metrics/host_metrics.ts";
import { Service } from "../service.ts";
import type { Store } from "../store/mod.ts";
import type { Outlook } from "./outlook.ts";

/** Hears what upkeep does and finds. Each returns at once. */
export interface UpkeepObserver {
  /** A loop has gone round. */
  round(loop: string, seconds: number): void;
  /** Something was done to so many tasks. */
  moved(action: UpkeepAction, tasks: number): void;
  /** So many tasks are ready, by channel; channels without any are left out. */
  backlog(ready: ReadonlyMap<string, number>): void;
  /** An engine's lease ran out. */
  lost(engine: { readonly host: string; readonly pid: number }): void;
}

/** What upkeep works on. */
export interface UpkeepOptions {
  readonly store: Store;
  readonly dispatch: Dispatch;
  readonly settings: Settings;
  readonly leader: { readonly isLeader: boolean };
  readonly outlook: Outlook;
  /** Milliseconds for which this supervisor's own beats have come without a gap. */
  gapless(): number;
  /** Until when that holds, by the database's clock, in milliseconds since the epoch. */
  gaplessUntil(): number;
  readonly observer?: UpkeepObserver | undefined;
  readonly clock?: Clock;
}

/** Milliseconds between a follower's looks at whether it leads now. */
const FOLLOWER_PAUSE = 500;

/** A loop of upkeep. */
export abstract class UpkeepService extends Service {
  protected readonly options: UpkeepOptions;
  #hasWorked = false;

  constructor(options: UpkeepOptions) {
    super("upkeep", options.clock ?? systemClock);
    this.options = options;
  }

  protected get store(): Store {
    return this.options.store;
  }

  protected get dispatch(): Dispatch {
    return this.options.dispatch;
  }

  protected get observer(): UpkeepObserver | undefined {
    return this.options.observer;
  }

  /** How metrics name this loop. */
  protected abstract readonly loop: string;

  /** A round that asks nobody, as a follower's, says nothing of whether the record is there again. */
  protected override get hasWorked(): boolean {
    return this.#hasWorked;
  }

  /** Does the leader's work once; returns the milliseconds until it should be called again. */
  abstract upkeep(): Promise<number>;

  /** For a round that has asked the record nothing; returns `pause`. */
  protected skipped(pause: number): number {
    this.#hasWorked = false;
    return pause;
  }

  async runOnce(): Promise<number> {
    if (!this.options.leader.isLeader) return this.skipped(FOLLOWER_PAUSE);
    this.#hasWorked = true;
    const started = this.clock.monotonic();
    try {
      return await this.upkeep();
    } finally {
      this.observer?.round(this.loop, (this.clock.monotonic() - started) / 1000);
    }
  }
}
