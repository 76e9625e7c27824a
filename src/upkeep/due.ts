/**
 * Makes waiting tasks ready when their time has come, and looks around while it is there.
 *
 * @module
 */

import type { Dispatch } from "../dispatch/mod.ts";
import { UpkeepService } from "./upkeep_service.ts";

/** Rows a statement. */
const LIMIT = 1000;
/** Milliseconds until it looks again although nothing is known to be due: hints may be lost. */
const LONGEST = 1000;

/** The loop that promotes. Sleeps until the next task is due, by the database's own difference of times. */
export class Due extends UpkeepService {
  protected readonly loop = "due";
  #newestFirst = false;

  async upkeep(): Promise<number> {
    const { ready, nextSeconds, more, view } = await this.store.promoteDue(LIMIT, {
      newestFirst: this.#newestFirst,
    });
    this.options.outlook.saw(view);
    this.observer?.moved("due", ready.length);
    await pushed(this.dispatch, ready);
    // A wave that is due at once must not hold up what is due while it comes: every other round takes the newest.
    this.#newestFirst = more && !this.#newestFirst;
    if (more) return 0;
    return Math.min(LONGEST, Math.max(0, (nextSeconds ?? Infinity) * 1000));
  }
}

/** Pushes what became ready; what cannot be pushed is found again by engines. */
export async function pushed(dispatch: Dispatch, ready: Parameters<Dispatch["push"]>[0]): Promise<void> {
  if (ready.length > 0) await dispatch.push(ready).catch(() => {});
}
