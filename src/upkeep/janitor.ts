/**
 * Fails stale tasks, deletes old ones, reports backlogs and keeps Postgres aware of them.
 *
 * @module
 */

import { messageOf } from "../errors.ts";
import { logger } from "../log.ts";
import type { PruneWalk } from "../store/mod.ts";
import { UpkeepService } from "./upkeep_service.ts";

/** Milliseconds between rounds. */
const INTERVAL = 10_000;
/** Rows a statement. */
const LIMIT = 1000;
/** Milliseconds for new statistics, and for a vacuum. */
const TIDY_DEADLINE = 120_000;
/** Where nothing tells that there is something to tidy or to delete, it is looked for with every so many-th round. */
const SELDOM = 6;
/** After so many milliseconds deleting goes on in the next round, which comes at once: the rest must not wait for it. */
const PRUNE_LIMIT = 5000;

/** The loop that cleans. */
export class Janitor extends UpkeepService {
  protected readonly loop = "janitor";
  readonly #log = logger("upkeep");
  readonly #reported = new Set<string>();
  #round = 0;
  /** Where tasks end all the time they grow old all the time: many at once would hold everybody up. */
  #hasPruned = false;
  /** Deleted since it was said last. */
  #deleted = 0;
  readonly #walk: PruneWalk = { from: "-infinity" };

  async upkeep(): Promise<number> {
    const { outlook } = this.options;
    for (let stale = outlook.mayHaveStale ? LIMIT : 0; stale >= LIMIT;) {
      stale = await this.store.expireStale(LIMIT);
      this.observer?.moved("stale", stale);
    }
    const channels = await outlook.channels();
    const counts = channels.length === 0 ? new Map<string, number>() : await this.store.readyCounts(channels);
    this.observer?.backlog(counts);
    this.#reportBacklog(counts);
    const isSeldom = this.#round++ % SELDOM === 0;
    if (channels.length > 0 || isSeldom) await this.#tidy();
    const isBehind = (this.#hasPruned || isSeldom) && await this.#prune();
    if (isSeldom && this.#deleted > 0) {
      this.#log.info("Old tasks were deleted", { count: this.#deleted });
      this.#deleted = 0;
    }
    return isBehind ? 0 : INTERVAL;
  }

  /** Returns whether there is more to delete. */
  async #prune(): Promise<boolean> {
    const { TQ_DELETE_COMPLETED_AFTER, TQ_DELETE_AFTER } = this.options.settings;
    const started = this.clock.monotonic();
    this.#hasPruned = false;
    while (this.clock.monotonic() - started < PRUNE_LIMIT) {
      const deleted = await this.store.prune(TQ_DELETE_COMPLETED_AFTER, TQ_DELETE_AFTER, LIMIT, {
        walk: this.#walk,
      });
      this.#deleted += deleted;
      this.#hasPruned ||= deleted > 0;
      this.observer?.moved("deleted", deleted);
      if (deleted < LIMIT) return false;
    }
    return true;
  }

  /** Many rows changed: the planner must know before it reads all of them for every claim. */
  async #tidy(): Promise<void> {
    try {
      const done = await this.store.tidy({ deadline: TIDY_DEADLINE });
      if (done !== undefined) this.#log.debug("The table of tasks was tidied", { by: done });
    } catch (error) {
      this.#log.warn("Cannot tidy the table of tasks", { error: messageOf(error) });
    }
  }

  /** Says once that a channel is over the limit, and once that it no longer is. */
  #reportBacklog(counts: ReadonlyMap<string, number>): void {
    const limit = this.options.settings.TQ_REPORT_BACKLOG;
    for (const [channel, ready] of counts) {
      if (ready <= limit || this.#reported.has(channel)) continue;
      this.#reported.add(channel);
      this.#log.warn("Backlog", { channel, ready });
    }
    for (const channel of this.#reported) {
      if ((counts.get(channel) ?? 0) > limit) continue;
      this.#reported.delete(channel);
      this.#log.info("Backlog is gone", { channel });
    }
  }
}
