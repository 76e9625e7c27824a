/**
 * Waiting tasks whose time has come, and ready or waiting ones whose time has passed.
 *
 * @module
 */

import type { Database, Patience, Statement } from "./database.ts";
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
   select next.seconds, moved.* from (
     select extract(epoch from min(scheduled_for) - now())::float8 as seconds
     from ${schema}.tasks where state = 2 and scheduled_for > now()
   ) next left join moved on true`;

const PROMOTE_OLDEST = promote("asc");
const PROMOTE_NEWEST = promote("desc");

const EXPIRE: Statement = (schema) =>
  `update ${schema}.tasks t
   set state = -1, completed_at = now(), modified = now(), reason = 'stale: it did not start in time'
   from (
     select id from ${schema}.tasks where stale_after <= now() and state in (0, 2)
     order by stale_after limit $1::text::integer for update skip locked
   ) s
   where t.id = s.id and t.state in (0, 2)`;

/** What became ready, and when the next task will be due. */
export interface Promotion {
  readonly ready: readonly ReadyRow[];
  /** Seconds until the next waiting task is due, by the database's clock; undefined when none waits. */
  readonly nextSeconds: number | undefined;
  /** Whether more were due than the limit let through. */
  readonly more: boolean;
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
  type Row = { seconds: number | null } & (MovedRow | { id: null });
  const rows = await db.run<Row>(how.newestFirst ? PROMOTE_NEWEST : PROMOTE_OLDEST, [limit], how);
  const moved = rows.filter((row) => row.id !== null);
  return {
    ready: toPush(moved),
    nextSeconds: rows[0]?.seconds ?? undefined,
    more: moved.length >= limit,
  };
}

/** Fails stale tasks, at most `limit`; returns how many. */
export async function expireStale(db: Database, limit: number, how: Patience): Promise<number> {
  return (await db.run(EXPIRE, [limit], how)).count;
}
