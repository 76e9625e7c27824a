/**
 * Waiting tasks whose time has come, and ready or waiting ones whose time has passed.
 *
 * @module
 */

import { REASON_LIMIT } from "../task.ts";
import type { Database, Patience, Statement } from "./database.ts";
import { ACTIVE_CHANNELS } from "./inspect.ts";
import { matters } from "./lease.ts";
import { type MovedRow, type ReadyRow, toPush } from "./row.ts";

const promote = (order: "asc" | "desc"): Statement => (schema) =>
  `with due as (
     select id from ${schema}.tasks where state = 2 and scheduled_for <= now()
     order by scheduled_for ${order} limit $1::text::integer for update skip locked
   ), moved as (
     update ${schema}.tasks t
     set state = case when t.cancel_requested then -2 else 0 end,
       completed_at = case when t.cancel_requested then now() end, modified = now()
     from due where t.id = due.id and t.state is not distinct from 2
     returning t.id, t.channel, t.priority, t.state, t.deaths
   )
   select (
       select extract(epoch from min(scheduled_for) - now())::float8
       from ${schema}.tasks where state = 2 and scheduled_for > now()
     ) as seconds,
     array_to_json(array(${ACTIVE_CHANNELS(schema)})) as channels,
     exists (select from ${schema}.tasks where stale_after <= now() and state in (0, 2)) as stale,
     (
       select extract(epoch from now() - min(greatest(e.beat_at, 'epoch')))::float8
       from ${schema}.engines e where ${matters(schema)}
     ) as silence,
     (select coalesce(json_agg(moved), '[]') from moved) as moved`;

const PROMOTE_OLDEST = promote("asc");
const PROMOTE_NEWEST = promote("desc");

/* Why the last run did not complete it stays; how long it took would be counted to the end of the wait. */
const EXPIRE: Statement = (schema) =>
  `update ${schema}.tasks t
   set state = -1, started_at = null, completed_at = now(), modified = now(),
     reason = left('stale: it did not ' || case when t.attempts = 0 then 'start' else 'run again' end || ' in time'
       || coalesce('; before: ' || t.reason, ''), ${REASON_LIMIT})
   from (
     select id, state from ${schema}.tasks where stale_after <= now() and state in (0, 2)
     order by stale_after limit $1::text::integer for update skip locked
   ) s
   where t.id = s.id and t.state in (0, 2)
   returning t.id, t.channel, s.state = 0 as was_ready`;

/** Tasks that have gone stale: how many, and those of them that dispatch may know of. */
export interface Stale {
  readonly count: number;
  readonly wereReady: readonly { readonly id: number; readonly channel: string }[];
}

/** What else the look for due tasks saw, so that nobody else looks while there is nothing. */
export interface View {
  /** Channels that have ready tasks. */
  readonly channels: readonly string[];
  /** Whether ready or waiting tasks are stale. */
  readonly hasStale: boolean;
  /** Seconds since the beat of the engine that has been silent for the longest; undefined when there is none. */
  readonly silence: number | undefined;
}

/** What became ready, and when the next task will be due. */
export interface Promotion {
  readonly ready: readonly ReadyRow[];
  /** Seconds until the next waiting task is due, by the database's clock; undefined when none waits. */
  readonly nextSeconds: number | undefined;
  /** Whether more were due than the limit let through. */
  readonly more: boolean;
  readonly view: View;
}

/** How due tasks are made ready. */
export interface PromoteOptions extends Patience {
  /** Those that have been due for the shortest time come first. @default false */
  readonly newestFirst?: boolean;
}

/** Makes due tasks ready, at most `limit`, by default those that have been due the longest. */
export async function promoteDue(
  db: Database,
  limit: number,
  how: PromoteOptions,
): Promise<Promotion> {
  // One row: what was seen must not come with each task that was moved.
  type Row = {
    seconds: number | null;
    channels: string[];
    stale: boolean;
    silence: number | null;
    moved: MovedRow[];
  };
  const [seen] = await db.run<Row>(how.newestFirst ? PROMOTE_NEWEST : PROMOTE_OLDEST, [limit], how);
  const moved = seen?.moved ?? [];
  return {
    ready: toPush(moved),
    nextSeconds: seen?.seconds ?? undefined,
    more: moved.length >= limit,
    view: {
      channels: seen?.channels ?? [],
      hasStale: seen?.stale ?? false,
      silence: seen?.silence ?? undefined,
    },
  };
}

/** Fails stale tasks, at most `limit`. */
export async function expireStale(db: Database, limit: number, how: Patience): Promise<Stale> {
  type Row = { readonly id: number; readonly channel: string; readonly was_ready: boolean };
  const rows = await db.run<Row>(EXPIRE, [limit], how);
  return { count: rows.length, wereReady: rows.filter((row) => row.was_ready) };
}
