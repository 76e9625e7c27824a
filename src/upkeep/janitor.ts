/**
 * Fails stale tasks, reports backlogs and keeps Postgres aware of them.
 *
 * @module
 */

import { messageOf } from "../errors.ts";
import { logger } from "../log.ts";
import { UpkeepService } from "./upkeep_service.ts";

/** Milliseconds between rounds. */
const INTERVAL = 10_000;
/** Rows a statement. */
const LIMIT = 1000;
/** Milliseconds for new statistics, and for a vacuum. */
const TIDY_DEADLINE = 120_000;
/** Tidying comes with every round while tasks are ready, else with every so many-th. */
const TIDY_EVERY = 6;

/** The loop that looks after what is ready. */
export class Janitor extends UpkeepService {
  protected readonly loop = "janitor";
  readonly #log = logger("upkeep");
  readonly #reported = new Set<string>();
  #round = 0;

  async upkeep(): Promise<number> {
    const { outlook } = this.options;
    for (let stale = outlook.mayHaveStale ? LIMIT : 0; stale >= LIMIT;) {
      const expired = await this.store.expireStale(LIMIT);
      stale = expired.count;
      this.observer?.moved("stale", stale);
      if (expired.wereReady.length > 0) await this.options.dispatch.drop(expired.wereReady).catch(() => {});
    }
    const channels = await outlook.channels();
    // First: a backlog of a million that came in just now is read and sorted to count its first 10,001 (466 ms, not 5).
    if (this.#round++ % TIDY_EVERY === 0 || channels.length > 0) await this.#tidy();
    const counts = channels.length === 0 ? new Map<string, number>() : await this.store.readyCounts(channels);
    this.observer?.backlog(counts);
    this.#reportBacklog(counts);
    return INTERVAL;
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
