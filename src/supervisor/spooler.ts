/**
 * Publishes what commands spooled while Postgres was away.
 *
 * @module
 */

import type { Settings } from "../config.ts";
import type { Dispatch } from "../dispatch/mod.ts";
import { UnreachableError } from "../errors.ts";
import { logger } from "../log.ts";
import { TaskQueue } from "../publish/queue.ts";
import { publishSpool } from "../publish/spool.ts";
import { Service } from "../service.ts";
import type { Store } from "../store/mod.ts";

/** Milliseconds between looks into the spool. */
const INTERVAL = 2000;
/** It outlives the code of the handlers: seconds after which it asks what they say of themselves. */
const DEFAULTS_AGE = 5;

/** The loop that empties the spool. */
export class Spooler extends Service {
  readonly #varFolder: string;
  readonly #queue: TaskQueue;

  constructor(settings: Settings, varFolder: string, parts: { store: Store; dispatch: Dispatch }) {
    super("supervisor");
    this.#varFolder = varFolder;
    this.#queue = new TaskQueue(settings, { parts, defaultsAge: DEFAULTS_AGE });
  }

  async runOnce(): Promise<number> {
    try {
      const count = await publishSpool(this.#varFolder, this.#queue);
      if (count > 0) logger("supervisor").info("Spooled tasks were published", { count });
    } catch (error) {
      // Away still; the heartbeat says so.
      if (!(error instanceof UnreachableError)) throw error;
    }
    return INTERVAL;
  }
}
