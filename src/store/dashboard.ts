/**
 * What the dashboard shows of the whole record. Each statement reads by index and at most so many rows, however many
 * there are: it is asked every second while somebody looks.
 *
 * @module
 */

import { InputError, TooSlowError } from "../errors.ts";
import { CHANNEL_PATTERN, State } from "../task.ts";
import { type Database, type Patience, type Statement, strings, valuesOf } from "./database.ts";
import { isCanceled } from "./errors.ts";
import { COUNT_LIMIT } from "./inspect.ts";

/** Steps of a histogram in each doubling of a time: a step is 9 % wide. */
export const STEPS_PER_DOUBLING = 8;

/** Ended tasks of a stretch of time, counted. A minute is a number of whole minutes since the epoch. */
export interface EndedStretch {
  /** When the oldest task that was read ended, ISO 8601 to the microsecond; null when there was none. */
  readonly lowest: string | null;
  /** Tasks that were read. */
  readonly rows: number;
  /** `[minute, state, count]` */
  readonly states: readonly (readonly [number, number, number])[];
  /** `[minute, model, fname, state, count, seconds of all runs, seconds of the longest]` */
  readonly handlers: readonly (readonly [number, string, string, number, number, number, number])[];
  /** `[minute, step, count]`: how long they ran; see `stepSeconds`. */
  readonly runs: readonly (readonly [number, number, number])[];
  /** `[minute, step, count]`: how long they were ready before they ran. */
  readonly waits: readonly (readonly [number, number, number])[];
  /** `[ready in this minute, left the line in that one, count]`, where the two differ. */
  readonly spans: readonly (readonly [number, number, number])[];
  /** The newest failure of each handler: `[model, fname, id, ended (seconds since the epoch), reason]` */
  readonly failures: readonly (readonly [string, string, number, number, string | null])[];
}

/** What waits and runs at this moment. Times are seconds since the epoch, by the database's clock. */
export interface Standing {
  readonly now: number;
  /**
   * Channels with ready tasks: of those that somebody subscribes to the first 50 by name, and of all the first 50 by
   * name.
   */
  readonly channels: readonly {
    readonly channel: string;
    /** Ready tasks, counted up to just above `COUNT_LIMIT`. */
    readonly ready: number;
    /** Since when the first in line of any priority is ready. */
    readonly oldest: number;
  }[];
  /** The channels whose ready tasks were counted, also those without any; null when all were. */
  readonly counted: readonly string[] | null;
  /** `[ready in this minute, count]` of the ready tasks that were counted. */
  readonly readyMinutes: readonly (readonly [number, number])[];
  /** Running tasks: by engine, and by channel. */
  readonly running: readonly {
    readonly engine: string | null;
    readonly channel: string | null;
    readonly count: number;
  }[];
  /** Tasks that wait for their time, counted up to just above `COUNT_LIMIT`. */
  readonly later: number;
  /** When the next of them is due, or null. */
  readonly nextDue: number | null;
  /** Engines that were not declared dead, at most 200. */
  readonly engines: readonly {
    readonly id: string;
    readonly host: string;
    readonly pid: number;
    readonly commit: string | null;
    readonly channels: readonly string[];
    readonly started: number;
    readonly beat: number;
  }[];
  /** Whether somebody does the upkeep. */
  readonly isLed: boolean;
}

/** How long a read for the dashboard may take: an old number is no help. Milliseconds. */
const DEADLINE = 5_000;
/** What the way to the server and back may take besides, milliseconds. */
const MARGIN = 2_000;
/** Channels that are told of, the first by name: somebody could make up millions. As many that are subscribed to. */
const MOST_CHANNELS = 50;
/**
 * How these statements are planned. Postgres expects much more work of them than there is. It would compile them first
 * (JIT): 2 s for 0.1 s of work (2026-11-24, Postgres 15, a million rows). And where statistics are old it would read
 * and sort all ready tasks for the first 10,000 instead of walking their index.
 */
export const LOOK_PLANNER: Readonly<Record<string, string>> = {
  jit: "off",
  enable_seqscan: "off",
  enable_bitmapscan: "off",
};

/* Null where there is no length of time, which `greatest` alone would take for the shortest. */
const step = (seconds: string) =>
  `case when ${seconds} is not null then floor(${STEPS_PER_DOUBLING} / ln(2.0::float8)
     * ln(greatest(extract(epoch from ${seconds})::float8 * 1000, 1)))::integer end`;
const minute = (time: string) => `floor(extract(epoch from ${time}) / 60)::integer`;
const epoch = (time: string) => `extract(epoch from ${time})::float8`;
/**
 * Since when an ended task was ready for its last run: a retry from the moment that it was due. Null for one that was
 * claimed before and made ready by a person, or given back: nothing tells when.
 */
const READY_AT =
  "case when scheduled_for is not null or claims <= attempts then greatest(created, scheduled_for) end";

/**
 * The statement of `endedStretch`. Newest first, so that a first look shows the last minutes at once and reads the
 * others later. With ties, since a batch of 1,000 ends has one moment: the next stretch begins before it. All is
 * counted in one pass.
 */
export function endedText(schema: string, from: string, to: string | null, limit: number): string {
  return `with ended as materialized (
     select id, modified, state, model, fname, case when state = -1 then left(reason, 300) end as reason,
       ${minute("modified")} as m,
       ${minute("ready_at")} as ready_m, ${minute("coalesce(started_at, modified)")} as left_m,
       ${epoch("completed_at - started_at")} as seconds,
       ${step("completed_at - started_at")} as run, ${step("started_at - ready_at")} as wait
     from (
       select *, ${READY_AT} as ready_at from ${schema}.tasks
       where state in (-2, -1, 10) and modified >= '${moment(from)}'
         and modified < ${to === null ? "now()" : `'${moment(to)}'`}
       order by modified desc fetch first ${Math.round(limit)} rows with ties
     ) newest
   ), counted as (
     select grouping(m, state, model, fname, run, wait, ready_m, left_m) as kind, m, state, model, fname, run, wait,
       ready_m, left_m, count(*) as n, sum(seconds) as total, max(seconds) as longest
     from ended
     group by grouping sets ((m, state), (m, model, fname, state), (m, run), (m, wait), (ready_m, left_m))
   )
   select (select to_jsonb(min(modified)) #>> '{}' from ended) as lowest, (select count(*) from ended) as rows,
     coalesce(json_agg(json_build_array(m, state, n)) filter (where kind = ${
    kind("m", "state")
  }), '[]') as states,
     coalesce(json_agg(json_build_array(m, model, fname, state, n, coalesce(total, 0), coalesce(longest, 0)))
       filter (where kind = ${kind("m", "state", "model", "fname")}), '[]') as handlers,
     coalesce(json_agg(json_build_array(m, run, n))
       filter (where kind = ${kind("m", "run")} and run is not null), '[]') as runs,
     coalesce(json_agg(json_build_array(m, wait, n))
       filter (where kind = ${kind("m", "wait")} and wait is not null), '[]') as waits,
     coalesce(json_agg(json_build_array(ready_m, left_m, n))
       filter (where kind = ${kind("ready_m", "left_m")} and ready_m < left_m), '[]') as spans,
     (select coalesce(json_agg(json_build_array(model, fname, id, ${epoch("modified")}, reason)), '[]') from (
       select distinct on (model, fname) model, fname, id, modified, reason from ended where state = -1
       order by model, fname, modified desc, id desc) newest) as failures
   from counted`;
}

/** A time, as it may stand in a statement. */
function moment(text: string): string {
  if (/^\d{4}-\d{2}-\d{2}T[\d:.]{5,20}(Z|[+-][\d:]{2,6})$/.test(text)) return text;
  throw new InputError(`${JSON.stringify(text)} is no moment`, { remedy: "give ISO 8601" });
}

/** What `grouping()` says of the set with these columns: a bit for each that is not in it. */
function kind(...columns: string[]): number {
  const all = ["m", "state", "model", "fname", "run", "wait", "ready_m", "left_m"];
  return all.reduce((bits, column) => bits * 2 + (columns.includes(column) ? 0 : 1), 0);
}

/** The statement of `standing`. */
export function standingText(schema: string, subscribed: readonly string[] = []): string {
  if (!subscribed.every((channel) => CHANNEL_PATTERN.test(channel))) {
    throw new InputError(`${JSON.stringify(subscribed)} are no channels`);
  }
  const ready = (more: string) =>
    `select priority, id, t.modified as at from ${schema}.tasks t where t.state = 0 and t.channel = c.channel ${more}
      order by priority desc, id`;
  return `with first as materialized (
     select channel from (${valuesOf(schema, "channel", State.scheduled)}) ready limit ${MOST_CHANNELS + 1}
   ), subscribed as materialized (
     select distinct channel from (
       select unnest(channels) as channel from ${schema}.engines where beat_at > '-infinity'
       union all select unnest('${strings(subscribed)}'::text[])
     ) every order by channel limit ${MOST_CHANNELS}
   ), busy as materialized (
     (select channel from first limit ${MOST_CHANNELS})
     union
     select channel from subscribed s
     where exists (select from ${schema}.tasks t where t.state = 0 and t.channel = s.channel)
   ), minutes as materialized (
     select c.channel, ${minute("r.at")} as m, count(*)::integer as n
     from busy c, lateral (${ready("")} limit ${COUNT_LIMIT + 1}) r group by 1, 2
   ), running as (
     select engine_id, channel, count(*)::integer as n
     from (select engine_id, channel from ${schema}.tasks where state = 1 order by engine_id limit ${COUNT_LIMIT}) held
     group by grouping sets ((engine_id), (channel))
   ), later as (
     select scheduled_for from ${schema}.tasks where state = 2 order by scheduled_for limit ${COUNT_LIMIT + 1}
   )
   select ${epoch("now()")} as now,
     (select coalesce(json_agg(json_build_object('channel', c.channel, 'oldest', ${epoch("o.at")},
         'ready', (select sum(n) from minutes m where m.channel = c.channel)) order by c.channel), '[]')
      from busy c, lateral (
        with recursive first as (
          (${ready("")} limit 1)
          union all
          select n.* from first p, lateral (${ready("and t.priority < p.priority")} limit 1) n
        ) select min(at) as at from first
      ) o) as channels,
     (select case when (select count(*) from first) > ${MOST_CHANNELS} then json_agg(channel) end
      from (select channel from busy union select channel from subscribed) told) as counted,
     (select coalesce(json_agg(json_build_array(m, n)), '[]')
      from (select m, sum(n)::integer as n from minutes group by 1) s) as "readyMinutes",
     (select coalesce(json_agg(json_build_object('engine', engine_id, 'channel', channel, 'count', n)), '[]')
      from running) as running,
     (select count(*) from later) as later, (select ${epoch("min(scheduled_for)")} from later) as "nextDue",
     (select coalesce(json_agg(json_build_object('id', id, 'host', host, 'pid', pid, 'commit', code_version,
         'channels', channels, 'started', ${epoch("started_at")}, 'beat', ${epoch("beat_at")})
         order by host, started_at, id), '[]')
      from (select * from ${schema}.engines where beat_at > '-infinity' order by id limit 200) e) as engines,
     (select until > now() from ${schema}.leader where one) as "isLed"`;
}

const LAST_LOG: Statement = (schema) =>
  `select id from ${schema}.task_logs where task_id = $1::text::bigint order by id desc limit 1`;

/**
 * Counts what ended from `from` on and before `to` (ISO 8601; null is now), the newest first, at most `limit` tasks and
 * those that ended in the same moment as the last of them.
 */
export async function endedStretch(
  db: Database,
  from: string,
  to: string | null,
  limit: number,
  how: Patience,
): Promise<EndedStretch> {
  return await look<EndedStretch>(db, endedText(db.schema, from, to, limit), how);
}

/** Reads what waits and runs; channels that are subscribed to, by engines or here, are counted before others. */
export async function standing(
  db: Database,
  subscribed: readonly string[],
  how: Patience,
): Promise<Standing> {
  return await look<Standing>(db, standingText(db.schema, subscribed), how);
}

/**
 * Runs a statement whose answer is one row. The server keeps the time itself, so that nothing goes on that nobody waits
 * for. That and how it is planned are set for this transaction alone, in the same message.
 *
 * @throws {TooSlowError} when it takes longer than `how.deadline`
 */
async function look<Row>(db: Database, text: string, how: Patience): Promise<Row> {
  const deadline = how.deadline ?? DEADLINE;
  const settings = Object.entries({ ...LOOK_PLANNER, statement_timeout: Math.round(deadline) });
  const script = `${settings.map(([name, value]) => `set local ${name} = ${value};`).join(" ")} ${text}`;
  try {
    const [row] = await db.pool.runScript<Row>(script, deadline + MARGIN);
    if (row === undefined) throw new Error("a count without a row");
    return row;
  } catch (error) {
    if (!isCanceled(error)) throw error;
    throw new TooSlowError(`the record was not counted within ${deadline / 1000} s`, { cause: error });
  }
}

/** The id of the last line in a task's log; 0 when it is empty. */
export async function lastLogId(db: Database, taskId: number, how: Patience): Promise<number> {
  const [row] = await db.run<{ id: number }>(LAST_LOG, [taskId], { deadline: DEADLINE, ...how });
  return row?.id ?? 0;
}

/** The middle of a step of a histogram, in seconds. */
export function stepSeconds(step: number): number {
  return 2 ** ((step + 0.5) / STEPS_PER_DOUBLING) / 1000;
}
