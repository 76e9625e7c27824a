/**
 * Deleting what nobody will look at again.
 *
 * @module
 */

import { type Database, numbers, type Patience, type Statement } from "./database.ts";

const PRUNABLE: Statement = (schema) =>
  `select count(*)::integer as count from ${schema}.tasks
   where state in (-2, -1, 10) and modified < now() - $1::text::float8 * interval '1 day'
     and modified < now() - case when state = 10 then $2 else $3 end::text::float8 * interval '1 day'`;

/*
 * The deletion says `not in (0, 1, 2)`, which no index serves, and takes its ids as an array: joined with them by state
 * it walked the index of all ended tasks, 52 ms for 200,000 of them (2026-11-24).
 */
const gone = (schema: string): string =>
  `logs as (
     delete from ${schema}.task_logs where task_id = any(array(select id from old))
   ), gone as (
     delete from ${schema}.tasks where id = any(array(select id from old)) and state not in (0, 1, 2) returning id
   )`;

/* What is older than both ages goes, whatever it is. A grave's `started_at` is when its engine was buried. */
const PRUNE_OLDEST: Statement = (schema) =>
  `with old as (
     select id from ${schema}.tasks
     where state in (-2, -1, 10) and modified < now() - $1::text::float8 * interval '1 day'
     order by modified limit $2::text::integer for update skip locked
   ), graves as (
     delete from ${schema}.engines where beat_at = '-infinity' and started_at < now() - interval '7 days'
   ), ${gone(schema)}
   select count(*)::integer as deleted from gone`;

/*
 * Between both ages tasks of one kind stay and those of the other go. The index does not tell them apart, so one
 * statement reads a bounded stretch of it, and says where the next one goes on.
 */
const PRUNE_BETWEEN: Statement = (schema) =>
  `with seen as (
     select id, state, modified from ${schema}.tasks
     where state in (-2, -1, 10) and modified < now() - $1::text::float8 * interval '1 day'
       and modified >= greatest($4::text::timestamptz, now() - $2::text::float8 * interval '1 day')
     order by modified limit $6::text::integer
   ), wanted as (
     select id, modified from seen where state = any($3::text::smallint[]) order by modified limit $5::text::integer
   ), old as (
     select id from ${schema}.tasks where id = any(array(select id from wanted)) and state = any($3::text::smallint[])
     for update skip locked
   ), ${gone(schema)}
   select (select count(*) from gone)::integer as deleted,
     case when (select count(*) from wanted) = $5::text::integer then (select max(modified) from wanted)
       when (select count(*) from seen) = $6::text::integer then (select max(modified) from seen)
     end::text as next,
     (now() - $1::text::float8 * interval '1 day')::text as end`;

/** How far the tasks between both ages have been looked at: a moment as Postgres writes it. Pruning moves it on. */
export interface PruneWalk {
  from: string;
}

/** How old tasks are deleted. */
export interface PruneOptions extends Patience {
  /**
   * Where an earlier call came to, so that what it left is not read again. A task that it passed over, since somebody
   * else held it, goes when it is older than both ages. @default from the oldest task
   */
  readonly walk?: PruneWalk;
}

/** Deletes ended tasks, oldest first, at most `limit`, with their logs; returns how many. Ages in days. */
export async function prune(
  db: Database,
  completedAfter: number,
  otherwiseAfter: number,
  limit: number,
  how: PruneOptions,
): Promise<number> {
  const least = Math.min(completedAfter, otherwiseAfter);
  const most = Math.max(completedAfter, otherwiseAfter);
  const states = numbers(completedAfter < otherwiseAfter ? [10] : [-1, -2]);
  const { walk = { from: "-infinity" } } = how;
  let count = (await db.run<{ deleted: number }>(PRUNE_OLDEST, [most, limit], how))[0]?.deleted ?? 0;
  while (count < limit && least < most) {
    const parameters = [least, most, states, walk.from, limit - count, limit];
    type Row = { readonly deleted: number; readonly next: string | null; readonly end: string };
    const [row] = await db.run<Row>(PRUNE_BETWEEN, parameters, how);
    if (row === undefined) break;
    const { deleted, next, end } = row;
    // More tasks of one moment stay than are read at once: those after them wait until these go.
    const isStuck = deleted === 0 && next === walk.from;
    count += deleted;
    walk.from = next ?? end;
    if (next === null || isStuck) break;
  }
  return count;
}

/** How many ended tasks are past their age. Ages in days. */
export async function prunable(
  db: Database,
  completedAfter: number,
  otherwiseAfter: number,
  how: Patience,
): Promise<number> {
  const least = Math.min(completedAfter, otherwiseAfter);
  const [row] = await db.run<{ count: number }>(PRUNABLE, [least, completedAfter, otherwiseAfter], how);
  return row?.count ?? 0;
}
