/**
 * The claim: the UPDATE that makes ready rows this engine's.
 *
 * @module
 */

import { type Database, numbers, type Patience, type Statement, strings } from "./database.ts";
import { CLAIMABLE, type ClaimedRow, FRESH, SUSPECT } from "./row.ts";

const RETURNING = `returning id, claims, attempts, max_attempts, timeout_seconds, channel, model, fname,
  data::text as data, trace_parent,
  (1000 * date_part('epoch', now() - greatest(created, scheduled_for)))::bigint as waited_ms`;

const SET =
  `state = 1, claims = claims + 1, engine_id = $2::text::uuid, started_at = now(), modified = now()`;

/** An engine that was declared dead and wakes up must not take on more: nobody beats for it. Looked up once a statement. */
const alive = (schema: string) =>
  `not exists (select from ${schema}.engines where id = $2::text::uuid and beat_at = '-infinity')`;

/*
 * The guard says `is not distinct from`, which no index serves: with `state = 0` the planner, whose statistics are
 * minutes old, takes the partial index for empty and walks all of it for every statement (a finish of 1,000 rows
 * ran at 800 rows a second instead of 150,000; 2026-11-24).
 */
const CLAIM: Statement = (schema) =>
  `update ${schema}.tasks t set ${SET}
   where id = any($1::text::bigint[]) and state is not distinct from 0 and deaths = 0 and ${FRESH}
     and ${alive(schema)}
   ${RETURNING}`;

const CLAIM_SUSPECT: Statement = (schema) =>
  `update ${schema}.tasks t set ${SET}
   where id = $1::text::bigint and ${SUSPECT} and ${alive(schema)}
   ${RETURNING}`;

/** A channel, and how many of its tasks may be claimed. */
export interface ChannelRoom {
  readonly channel: string;
  readonly room: number;
}

/*
 * One index scan a channel, in the order of the index, and none of those that come after the limit is reached.
 * `channel = any(…) order by …` sorted a million rows in 431 ms.
 */
const CLAIM_NEXT: Statement = (schema) =>
  `update ${schema}.tasks set ${SET}
   where id = any(array(
       select next.id
       from rows from (unnest($1::text::text[]), unnest($4::text::integer[])) as c(channel, room),
         lateral (
           select id from ${schema}.tasks t
           where t.channel = c.channel and ${CLAIMABLE}
           order by priority desc, id for update skip locked limit c.room
         ) next
       limit $3::text::integer))
     and state is not distinct from 0 and ${alive(schema)}
   ${RETURNING}, priority`;

/** Claims those of `ids` that are ready; the rest are skipped. */
export async function claim(
  db: Database,
  ids: readonly number[],
  engineId: string,
  how: Patience,
): Promise<readonly ClaimedRow[]> {
  return await db.run<ClaimedRow>(CLAIM, [numbers(ids), engineId], how);
}

/** Claims the next ready rows, `count` at most: those of the first channel, then of the next; by priority, then age. */
export async function claimNext(
  db: Database,
  channels: readonly ChannelRoom[],
  count: number,
  engineId: string,
  how: Patience,
): Promise<readonly ClaimedRow[]> {
  type Row = ClaimedRow & { readonly priority: number };
  const names = channels.map(({ channel }) => channel);
  const rooms = numbers(channels.map(({ room }) => room));
  const rows = await db.run<Row>(CLAIM_NEXT, [strings(names), engineId, count, rooms], how);
  // RETURNING has no order.
  const turn = new Map(names.map((name, n) => [name, n]));
  return [...rows].sort((a, b) =>
    turn.get(a.channel)! - turn.get(b.channel)! || b.priority - a.priority || a.id - b.id
  );
}

/** Claims a suspect, for an engine that runs nothing else. */
export async function claimSuspect(
  db: Database,
  id: number,
  engineId: string,
  how: Patience,
): Promise<readonly ClaimedRow[]> {
  return await db.run<ClaimedRow>(CLAIM_SUSPECT, [id, engineId], how);
}
