/**
 * Hints: which ids are ready, told quickly. Any of them may be lost, doubled or late; the record is in Postgres.
 *
 * @module
 */

import type { Settings } from "../config.ts";
import type { Dispatch } from "./dispatch.ts";
import { PostgresDispatch, type Wakeup } from "./postgres.ts";
import { RedisDispatch } from "./redis.ts";

export type { ControlMessage, Dispatch, Hint } from "./dispatch.ts";
export type { Wakeup } from "./postgres.ts";

/** The dispatch that the settings ask for. */
export function createDispatch(settings: Settings, install: string, wakeup: Wakeup): Dispatch {
  const url = settings.TQ_REDIS_URL;
  if (url === undefined) return new PostgresDispatch(wakeup);
  return new RedisDispatch({ url, prefix: settings.TQ_REDIS_PREFIX, install, wakeup });
}
