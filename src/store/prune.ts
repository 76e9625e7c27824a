/**
 * Deleting what nobody will look at again.
 *
 * @module
 */

import type { Database, Patience, Statement } from "./database.ts";

/*
 * A grave's `started_at` is when its engine was buried. The last part says `not in (0, 1, 2)`, which no index serves, and takes its ids as an array: joined with them by state
 * it walked the index of all ended tasks, 52 ms for 200,000 of them (2026-11-24).
 */
const PRUNE: Statement = (schema) =>
  `with old as (
     select id from ${schema}.tasks
     where state in (-2, -1, 10) and modified < now() - $1::text::float8 * interval '1 day'
       and (state <> 10 or modified < now() - $2::text::float8 * interval '1 day')
       and (state = 10 or modified < now() - $3::text::float8 * interval '1 day')
     order by modified limit $4::text::integer for update skip locked
   ), graves as (
     delete from ${schema}.engines where beat_at = '-infinity' and started_at < now() - interval '7 days'
   ), logs as (
     delete from ${schema}.task_logs where task_id = any(array(select id from old))
   )
   delete from ${schema}.tasks where id = any(array(select id from old)) and state not in (0, 1, 2)`;

/** Deletes ended tasks, oldest first, at most `limit`, with their logs; returns how many. Ages in days. */
export async function prune(
  db: Database,
  completedAfter: number,
  otherwiseAfter: number,
  limit: number,
  how: Patience,
): Promise<number> {
  const least = Math.min(completedAfter, otherwiseAfter);
  return (await db.run(PRUNE, [least, completedAfter, otherwiseAfter, limit], how)).count;
}
