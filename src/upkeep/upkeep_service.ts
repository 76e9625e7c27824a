/**
 * The base of upkeep's loops: work is done by the leader alone.
 *
 * @module
 */

import { type Clock, systemClock } from "../clock.ts";
import type { Settings } from "../config.ts";
import type { Dispatch } from "../dispatch/mod.ts";
import { Service } from "../service.ts";
import type { Store } from "../store/mod.ts";

/** What upkeep works on. */
export interface UpkeepOptions {
  readonly store: Store;
  readonly dispatch: Dispatch;
  readonly settings: Settings;
  readonly leader: { readonly isLeader: boolean };
  /** Milliseconds for which this supervisor's own beats have come without a gap. */
  gapless(): number;
  readonly clock?: Clock;
}

/** Milliseconds between a follower's looks at whether it leads now. */
const FOLLOWER_PAUSE = 500;

/** A loop of upkeep. */
export abstract class UpkeepService extends Service {
  protected readonly options: UpkeepOptions;

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

  /** Does the leader's work once; returns the milliseconds until it should be called again. */
  abstract upkeep(): Promise<number>;

  async runOnce(): Promise<number> {
    return this.options.leader.isLeader ? await this.upkeep() : FOLLOWER_PAUSE;
  }
}
