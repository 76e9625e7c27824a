/**
 * Pushes ids again that Redis may have lost. Pushing is idempotent.
 *
 * @module
 */

import { logger } from "../log.ts";
import type { ReadyRow } from "../store/mod.ts";
import { pushed } from "./due.ts";
import { UpkeepService } from "./upkeep_service.ts";

/** Milliseconds between looks. */
const INTERVAL = 5000;
/** Ready rows of a channel that are looked at. */
const LIMIT = 1000;
/** A ready row that nothing has touched for this many seconds may have lost its id. */
const UNTOUCHED = 5;

/** The loop that pushes again: a few when some may be lost, all, in chunks, when Redis was emptied. */
export class Redispatcher extends UpkeepService {
  protected readonly loop = "redispatcher";
  readonly #log = logger("upkeep");

  async upkeep(): Promise<number> {
    if (this.dispatch.kind !== "redis") return INTERVAL;
    let emptied: boolean;
    try {
      emptied = await this.dispatch.wasEmptied();
    } catch {
      // Away: whoever needs it says so.
      return INTERVAL;
    }
    for (const channel of await this.options.outlook.channels()) {
      if (emptied) await this.#refill(channel);
      else await this.#pushAgain(await this.store.untouchedReady(channel, LIMIT, UNTOUCHED));
    }
    return INTERVAL;
  }

  async #pushAgain(rows: readonly ReadyRow[]): Promise<void> {
    this.observer?.moved("pushed", rows.length);
    await pushed(this.dispatch, rows);
  }

  async #refill(channel: string): Promise<void> {
    let after = { priority: 101, id: 0 };
    let count = 0;
    for (;;) {
      const rows = await this.store.readyAfter(channel, after, LIMIT);
      await this.#pushAgain(rows);
      count += rows.length;
      const last = rows.at(-1);
      if (last === undefined || rows.length < LIMIT) break;
      after = last;
    }
    if (count > 0) this.#log.info("Redis was empty; ready tasks were pushed again", { channel, count });
  }
}
