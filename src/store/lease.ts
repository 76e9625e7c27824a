/**
 * Engines, their beats, the rescue of what dead ones held, and the leader's row.
 *
 * @module
 */

import { type Database, numbers, type Patience, type Statement, strings } from "./database.ts";
import type { Lease, ReadyRow } from "./row.ts";

/** An engine, as it registers itself. */
export interface EngineRow {
  readonly id: string;
  readonly host: string;
  readonly pid: number;
  readonly codeVersion: string | null;
  readonly channels: readonly string[];
}

/** A row that says an engine holds it. */
export interface HeldRow extends Lease {
  readonly engine_id: string;
  readonly cancel_requested: boolean;
}

const REGISTER: Statement = (schema) =>
  `insert into ${schema}.engines (id, host, pid, code_version, channels)
   values ($1::text::uuid, $2, $3::text::integer, $4, $5::text::text[]) on conflict do nothing`;

/*
 * Rows younger than two seconds are left out: a claim is valid for one (invariant 10), so an engine that does not
 * know an older one will never start it.
 */
const BEAT: Statement = (schema) =>
  `with beat as (update ${schema}.engines set beat_at = now() where id = any($1::text::uuid[]))
   select id, claims, engine_id, cancel_requested from ${schema}.tasks
   where state = 1 and engine_id = any($1::text::uuid[])
     and (cancel_requested or started_at < now() - interval '2 seconds')`;

const DEAD: Statement = (schema) =>
  `select id, host, pid from ${schema}.engines where beat_at < now() - $1::text::float8 * interval '1 second'`;

const RESCUE: Statement = (schema) =>
  `update ${schema}.tasks t
   set attempts = t.attempts + s.charged, deaths = t.deaths + s.charged,
     state = case when t.cancel_requested then -2
       when s.charged = 1 and t.attempts + 1 >= t.max_attempts then -1
       when s.charged = 1 then 2 else 0 end,
     completed_at = case when t.cancel_requested or s.charged = 1 and t.attempts + 1 >= t.max_attempts then now() end,
     scheduled_for = case when s.charged = 1 then now() + interval '1 second' else t.scheduled_for end,
     started_at = case when s.charged = 1 then t.started_at end,
     modified = now(), reason = $3
   from (
     select id, case when id = any($2::text::bigint[]) then 1 else 0 end as charged
     from ${schema}.tasks where state = 1 and engine_id = $1::text::uuid order by id limit 1000 for update
   ) s
   where t.id = s.id and t.state is not distinct from 1 and t.engine_id is not distinct from $1::text::uuid
   returning t.id, t.channel, t.priority, t.state`;

const FORGET: Statement = (schema) =>
  `delete from ${schema}.engines e where id = $1::text::uuid
     and not exists (select from ${schema}.tasks where state = 1 and engine_id = $1::text::uuid)`;

const LEAD: Statement = (schema) =>
  `update ${schema}.leader set holder = $1::text::uuid, until = now() + $2::text::float8 * interval '1 second'
   where holder is not distinct from $1::text::uuid or until < now()`;

const RESIGN: Statement = (schema) =>
  `update ${schema}.leader set holder = null, until = '-infinity' where holder = $1::text::uuid`;

/** Writes the engine's row. */
export async function registerEngine(db: Database, engine: EngineRow, how: Patience): Promise<void> {
  const { id, host, pid, codeVersion, channels } = engine;
  await db.run(REGISTER, [id, host, pid, codeVersion, strings(channels)], how);
}

/** Renews the leases of engines; returns the rows that say they are held by them, or wanted canceled. */
export async function beat(
  db: Database,
  engineIds: readonly string[],
  how: Patience,
): Promise<readonly HeldRow[]> {
  return await db.run<HeldRow>(BEAT, [strings(engineIds)], how);
}

/** Engines without a beat for `leaseSeconds`. */
export async function deadEngines(
  db: Database,
  leaseSeconds: number,
  how: Patience,
): Promise<readonly { id: string; host: string; pid: number }[]> {
  return await db.run(DEAD, [leaseSeconds], how);
}

/**
 * Takes the rows of a dead engine from it: suspects (inside their handlers when it died) are charged one attempt,
 * the others none. Returns those that are ready again, to be pushed, and how many were moved in all.
 */
export async function rescue(
  db: Database,
  engineId: string,
  suspects: readonly number[],
  reason: string,
  how: Patience,
): Promise<{ ready: ReadyRow[]; moved: number }> {
  const ready: ReadyRow[] = [];
  let moved = 0;
  for (;;) {
    const rows = await db.run<ReadyRow & { state: number }>(
      RESCUE,
      [engineId, numbers(suspects), reason],
      how,
    );
    moved += rows.length;
    ready.push(...rows.filter((row) => row.state === 0));
    if (rows.length < 1000) break;
  }
  await db.run(FORGET, [engineId], how);
  return { ready, moved };
}

/** Takes or renews the leadership; true when `holder` is the leader for the next `seconds`. */
export async function lead(db: Database, holder: string, seconds: number, how: Patience): Promise<boolean> {
  return (await db.run(LEAD, [holder, seconds], how)).count === 1;
}

/** Gives the leadership up, so that another may take it at once. */
export async function resign(db: Database, holder: string, how: Patience): Promise<void> {
  await db.run(RESIGN, [holder], how);
}
