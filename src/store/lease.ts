/**
 * Engines, their beats, the rescue of what dead ones held, and the leader's row.
 *
 * @module
 */

import { type Database, numbers, type Patience, type Statement, strings, valuesOf } from "./database.ts";
import { CLAIMABLE, type Lease, type MovedRow, type ReadyRow, SUSPECT, toPush } from "./row.ts";

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
  readonly cancel_requested: boolean;
  /** Whether its claim is too old for an engine that does not know it to start it yet. */
  readonly is_old: boolean;
}

/** What a beat's answer tells. */
export interface Beat {
  /** When it was, by the database's clock, in milliseconds since the epoch. */
  readonly at: number;
  /** What the record says that each engine holds, or is to cancel. An engine without an entry was declared dead. */
  readonly held: ReadonlyMap<string, readonly HeldRow[]>;
  /** Of the channels that were asked for, those with ready tasks. */
  readonly ready: readonly string[];
  /** Whether suspects are ready on those channels. */
  readonly hasSuspects: boolean;
}

const REGISTER: Statement = (schema) =>
  `insert into ${schema}.engines (id, host, pid, code_version, channels)
   values ($1::text::uuid, $2, $3::text::integer, $4, $5::text::text[]) on conflict do nothing`;

/*
 * Rows younger than two seconds are left out, unless they are to be canceled: a claim is valid for one (invariant 10),
 * so an engine that does not know an older one will never start it. The `offset` keeps the channels out of the look for
 * suspects: without statistics it would read all ready rows of these channels, not the few of the suspects' own index.
 */
const BEAT: Statement = (schema) =>
  `with beat as (
     update ${schema}.engines set beat_at = now()
     where id = any($1::text::uuid[]) and beat_at > '-infinity' returning id
   )
   select (1000 * date_part('epoch', now()))::float8 as at, b.id as engine_id, t.id, t.claims, t.cancel_requested,
     t.started_at < now() - interval '2 seconds' as is_old,
     array_to_json(array(select c from unnest($2::text::text[]) c where (
       select 1 from ${schema}.tasks t where t.channel = c and ${CLAIMABLE}
       order by t.priority desc, t.id limit 1) is not null)) as ready,
     exists (select from (select t.channel from ${schema}.tasks t where ${SUSPECT} order by t.id offset 0) s
       where s.channel = any($2::text::text[])) as suspects
   from (select 1) one left join beat b on true left join ${schema}.tasks t on t.state = 1 and t.engine_id = b.id
     and (t.cancel_requested or t.started_at < now() - interval '2 seconds')`;

const STILL_HELD: Statement = (schema) =>
  `select t.id from rows from (unnest($1::text::bigint[]), unnest($2::text::integer[])) as f(id, claims)
   join ${schema}.tasks t on t.id = f.id and t.claims = f.claims
   where t.state is not distinct from 1 and t.engine_id is not distinct from $3::text::uuid`;

/**
 * Whether the engine `e` beats, or is said to hold tasks although it was declared dead. Not `exists`: that reads what
 * all engines hold, once, where this looks for one row of one engine.
 */
export const matters = (schema: string): string =>
  `(e.beat_at > '-infinity'
     or (select 1 from ${schema}.tasks h where h.state = 1 and h.engine_id = e.id limit 1) is not null)`;

/* The second part finds rows whose engine has no row of its own any more: nothing else would ever rescue them. */
const DEAD: Statement = (schema) =>
  `select * from (
     select id, host, pid from ${schema}.engines e
     where beat_at < now() - $1::text::float8 * interval '1 second' and ${matters(schema)}
     union all
     select engine_id, '', 0 from (${valuesOf(schema, "engine_id", 1)}) holders
     where not exists (select from ${schema}.engines e where e.id = engine_id)
   ) dead where now() <= to_timestamp($2::text::float8 / 1000)`;

const HELD_BY: Statement = (schema) =>
  `select id, started_at + (timeout_seconds + $2::text::float8) * interval '1 second' < now() as overdue
   from ${schema}.tasks where state = 1 and engine_id = $1::text::uuid`;

/** A task that was inside its handler at so many deaths of engines, the first in company, the others alone, has failed. */
const DEADLY = 4;

/* Those that are charged get a line in their log, as the engine would have written: see engine/attempt_note.ts. */
const RESCUE: Statement = (schema) =>
  `with moved as (
   update ${schema}.tasks t
   set attempts = t.attempts + s.charged, deaths = t.deaths + s.charged, state = s.next, modified = now(),
     completed_at = case when s.next < 0 then now() end,
     scheduled_for = case when s.next = 2 then now() + interval '1 second' else t.scheduled_for end,
     started_at = case when s.charged = 1 then t.started_at end,
     code_version = case when s.charged = 1
       then (select code_version from ${schema}.engines where id = $1::text::uuid) else t.code_version end,
     reason = case when s.next = -2 then t.reason when s.overdue then 'timed out'
       when s.next = -1 and t.deaths + 1 >= ${DEADLY} then 'it ended its engine ' || t.deaths + 1 || ' times: ' || $3
       else $3 end
   from (
     select id, charged, overdue, case when cancel_requested then -2 when overdue then -1
       when charged = 0 then 0 when attempts + 1 >= max_attempts or deaths + 1 >= ${DEADLY} then -1 else 2 end as next
     from (
       select id, attempts, max_attempts, deaths, cancel_requested, id = any($4::text::bigint[]) as overdue,
         case when id = any($2::text::bigint[] || $4::text::bigint[]) then 1 else 0 end as charged
       from ${schema}.tasks where state = 1 and engine_id = $1::text::uuid order by id limit 1000 for update
     ) held
   ) s
   where t.id = s.id and t.state is not distinct from 1 and t.engine_id is not distinct from $1::text::uuid
   returning t.id, t.channel, t.priority, t.state, t.deaths, t.attempts, t.reason, t.code_version, t.started_at, s.charged
   ), told as (
     insert into ${schema}.task_logs (task_id, kind, text)
     select id, 'attempt', 'attempt ' || attempts || case state when -1 then ' failed' when -2 then ' canceled'
         else ' retry_later' end || ' after ' || coalesce(round(extract(epoch from now() - started_at)::numeric, 3), 0) || ' s, engine '
         || $1 || ', commit ' || coalesce(code_version, 'none') || ': ' || coalesce(reason, '')
     from moved where charged = 1
   ) select id, channel, priority, state, deaths from moved`;

const SUSPECTS: Statement = (schema) =>
  `select t.id from ${schema}.tasks t where ${SUSPECT} and t.channel = any($1::text::text[])
   order by t.id limit $2::text::integer`;

/**
 * Declared dead: its row stays for a week from now, so that it cannot beat or claim if it lives after all. One that has
 * no row, and holds tasks all the same, gets one for that. When it started is of no more use: it tells when it was buried.
 */
const BURY: Statement = (schema) =>
  `insert into ${schema}.engines as e (id, host, pid, channels, beat_at)
   values ($1::text::uuid, '', 0, '{}', '-infinity')
   on conflict (id) do update set beat_at = '-infinity', started_at = now()
     where e.beat_at < now() - $2::text::float8 * interval '1 second'`;

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

/** Renews the leases of engines, and tells what the record has for them and for these channels. */
export async function beat(
  db: Database,
  engineIds: readonly string[],
  channels: readonly string[],
  how: Patience,
): Promise<Beat> {
  type Row =
    & {
      readonly at: number;
      readonly ready: string[];
      readonly suspects: boolean;
      readonly engine_id: string | null;
    }
    & (HeldRow | { readonly id: null });
  const held = new Map<string, HeldRow[]>();
  const found = await db.run<Row>(BEAT, [strings(engineIds), strings(channels)], how);
  for (const row of found) {
    if (row.engine_id === null) continue;
    const rows = held.get(row.engine_id) ?? [];
    held.set(row.engine_id, rows);
    if (row.id !== null) {
      const { id, claims, cancel_requested, is_old } = row;
      rows.push({ id, claims, cancel_requested, is_old });
    }
  }
  const { at = 0, ready = [], suspects = false } = found[0] ?? {};
  return { at, held, ready, hasSuspects: suspects };
}

/** Of `leases`, the ids of those that the engine still has. */
export async function stillHeld(
  db: Database,
  leases: readonly Lease[],
  engineId: string,
  how: Patience,
): Promise<number[]> {
  const ids = numbers(leases.map((lease) => lease.id));
  const rows = await db.run<{ id: number }>(
    STILL_HELD,
    [ids, numbers(leases.map((lease) => lease.claims)), engineId],
    how,
  );
  return rows.map((row) => row.id);
}

/** How the dead are looked for. */
export interface DeadOptions extends Patience {
  /** After this nobody is dead; by the database's clock, in milliseconds since the epoch. @default it has no end */
  readonly until?: number;
}

/** An engine that is taken for dead; host and pid are empty for one that is not registered. */
export interface DeadEngine {
  readonly id: string;
  readonly host: string;
  readonly pid: number;
}

/** Engines without a beat for `leaseSeconds`. */
export async function deadEngines(
  db: Database,
  leaseSeconds: number,
  how: DeadOptions,
): Promise<readonly DeadEngine[]> {
  return await db.run(DEAD, [leaseSeconds, how.until ?? Infinity], how);
}

/** The ids of the tasks that an engine holds. */
export interface HeldBy {
  /** Those past their time limit, and the grace. */
  readonly overdue: readonly number[];
  readonly others: readonly number[];
}

/** The tasks that the record says an engine holds, by whether they are past their time limit by `graceSeconds`. */
export async function heldBy(
  db: Database,
  engineId: string,
  graceSeconds: number,
  how: Patience,
): Promise<HeldBy> {
  const rows = await db.run<{ id: number; overdue: boolean }>(HELD_BY, [engineId, graceSeconds], how);
  const { overdue = [], others = [] } = Object.groupBy(rows, (row) => row.overdue ? "overdue" : "others");
  return { overdue: overdue.map((row) => row.id), others: others.map((row) => row.id) };
}

/** The oldest ready suspects of these channels. */
export async function readySuspects(
  db: Database,
  channels: readonly string[],
  limit: number,
  how: Patience,
): Promise<number[]> {
  return (await db.run<{ id: number }>(SUSPECTS, [strings(channels), limit], how)).map((row) => row.id);
}

/** How an engine ended, for the tasks that it held. */
export interface Death {
  /** Whether it is certain: one that was buried may wake up, and stays buried. @default true */
  readonly isCertain?: boolean;
  /** The reason of tasks that go back. */
  readonly reason: string;
  /** Inside their handlers when it died: charged one attempt and one death each. The others are not charged. */
  readonly suspects?: readonly number[];
  /** Those past their time limit that it was ended for: failed as `timed out`. */
  readonly overdue?: readonly number[];
}

/**
 * Declares an engine dead that may wake up: it cannot beat or claim any more. False when it has beaten within
 * `silentSeconds`, as it may have done since it was looked for.
 */
export async function bury(
  db: Database,
  engineId: string,
  silentSeconds: number,
  how: Patience,
): Promise<boolean> {
  return (await db.run(BURY, [engineId, silentSeconds], how)).count === 1;
}

/** Takes the rows of a dead engine from it. Returns those to be pushed again, and how many were moved in all. */
export async function rescue(
  db: Database,
  engineId: string,
  death: Death,
  how: Patience,
): Promise<{ ready: ReadyRow[]; moved: number }> {
  const parameters = [engineId, numbers(death.suspects ?? []), death.reason, numbers(death.overdue ?? [])];
  const ready: ReadyRow[] = [];
  let moved = 0;
  for (;;) {
    const rows = await db.run<MovedRow>(RESCUE, parameters, how);
    moved += rows.length;
    ready.push(...toPush(rows));
    if (rows.length < 1000) break;
  }
  if (death.isCertain ?? true) await db.run(FORGET, [engineId], how);
  return { ready, moved };
}

/** Removes the row of an engine that ends; not while tasks say that it holds them, for the recoverer must find those. */
export async function forgetEngine(db: Database, engineId: string, how: Patience): Promise<void> {
  await db.run(FORGET, [engineId], how);
}

/** Takes or renews the leadership; true when `holder` is the leader for the next `seconds`. */
export async function lead(db: Database, holder: string, seconds: number, how: Patience): Promise<boolean> {
  return (await db.run(LEAD, [holder, seconds], how)).count === 1;
}

/** Gives the leadership up, so that another may take it at once. */
export async function resign(db: Database, holder: string, how: Patience): Promise<void> {
  await db.run(RESIGN, [holder], how);
}
