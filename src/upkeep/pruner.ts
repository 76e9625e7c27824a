/**
 * Deletes old tasks. A loop of its own: where millions have grown old, nothing else of upkeep waits until they are gone.
 *
 * @module
 */

import { logger } from "../log.ts";
import type { PruneWalk } from "../store/mod.ts";
import { UpkeepService } from "./upkeep_service.ts";

/** Rows a statement. */
const LIMIT = 1000;
/** Milliseconds until it looks again when everything old is gone. */
const INTERVAL = 60_000;

/** The loop that deletes, a statement a round. */
export class Pruner extends UpkeepService {
  protected readonly loop = "pruner";
  readonly #log = logger("upkeep");
  readonly #walk: PruneWalk = { from: "-infinity" };
  /** Deleted since everything old was gone last. */
  #count = 0;

  async upkeep(): Promise<number> {
    const { TQ_DELETE_COMPLETED_AFTER, TQ_DELETE_AFTER } = this.options.settings;
    const deleted = await this.store.prune(TQ_DELETE_COMPLETED_AFTER, TQ_DELETE_AFTER, LIMIT, {
      walk: this.#walk,
    });
    this.observer?.moved("deleted", deleted);
    this.#count += deleted;
    if (deleted === LIMIT) return 0;
    if (this.#count > 0) this.#log.info("Old tasks were deleted", { count: this.#count });
    this.#count = 0;
    return INTERVAL;
  }
}
