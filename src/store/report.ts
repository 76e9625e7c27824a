/**
 * The record in numbers, for people. Bounded in the rows that are looked at: beyond that, estimates.
 *
 * @module
 */

import type { BoundedReads, BoundedRun } from "./bounded.ts";
import type { Database } from "./database.ts";
import { COUNT_LIMIT } from "./inspect.ts";

/** How many tasks are in which state. Counts above `COUNT_LIMIT` are estimates. */
export interface Totals {
  /** Waiting until they are due. */
  readonly retry: number;
  readonly running: number;
  /** Ready to run. */
  readonly backlog: number;
  /** Ended well within the window. */
  readonly completed: number;
  /** Failed within the window. */
  readonly failed: number;
  /** Canceled within the window. */
  readonly canceled: number;
  /** The end of the task that completed last. */
  readonly lastCompleted: Date | null;
  /** When the newest task was published. */
  readonly lastScheduled: Date | null;
  readonly isEstimate: boolean;
}

/** What ended in one day. */
export interface DayStats {
  /** `2026-11-24`, in UTC. */
  readonly day: string;
  readonly completed: number;
  readonly failed: number;
  /** Seconds of the longest run that ended in it; null when none did. */
  readonly longest: number | null;
}

/** Milliseconds for each statement of a report. */
const REPORT_TIME = 5000;
/** Ended rows of the window that are counted one by one, the newest first; the rest of the window is taken to be alike. */
const MOST_ENDED = 200_000;
/** With more ended tasks than this, days are told from a sample: 1,000,000 take 0.3 s (2026-11-24, 2 cores). */
const SAMPLED_ABOVE = 2_000_000;
/** Rows of a sample, about. */
const SAMPLE = 200_000;

/** How many tasks wait, run and are ready, and how many ended in the last `seconds`. */
export async function totals(
  db: Database,
  reads: BoundedReads,
  seconds: number,
  mostEnded = MOST_ENDED,
): Promise<Totals> {
  const tasks = `${db.schema}.tasks`;
  return await reads.read(REPORT_TIME, async (bounded) => {
    const counts: Record<"retry" | "running" | "backlog", number> = { retry: 0, running: 0, backlog: 0 };
    let isEstimate = false;
    for (
      const [name, state, index] of [
        ["retry", 2, "tasks_due"],
        ["running", 1, "tasks_held"],
        ["backlog", 0, "tasks_ready"],
      ] as const
    ) {
      counts[name] = await countOf(bounded, tasks, state);
      if (counts[name] <= COUNT_LIMIT) continue;
      isEstimate = true;
      counts[name] = Math.max(counts[name], await entriesOf(bounded, `${db.schema}.${index}`));
    }
    type Ended = Record<"completed" | "failed" | "canceled" | "seconds", number>;
    const [ended] = await bounded.run<Ended>(
      `select count(*) filter (where state = 10)::integer as completed,
         count(*) filter (where state = -1)::integer as failed,
         count(*) filter (where state = -2)::integer as canceled,
         coalesce(extract(epoch from now() - min(modified)), 0)::float8 as seconds
       from (select state, modified from ${tasks}
         where state in (-2, -1, 10) and modified >= now() - $1::text::float8 * interval '1 second'
         order by modified desc limit ${mostEnded}) newest`,
      [seconds],
    );
    const { completed = 0, failed = 0, canceled = 0, seconds: covered = 0 } = ended ?? {};
    const isCut = completed + failed + canceled >= mostEnded;
    const scale = isCut ? Math.max(seconds / Math.max(covered, 0.001), 1) : 1;
    const [last] = await bounded.run<{ completed: Date | null; scheduled: Date | null }>(
      `select (select completed_at from ${tasks} where state = 10 order by modified desc limit 1) as completed,
         (select created from ${tasks} order by id desc limit 1) as scheduled`,
    );
    return {
      ...counts,
      completed: Math.round(completed * scale),
      failed: Math.round(failed * scale),
      canceled: Math.round(canceled * scale),
      lastCompleted: last?.completed ?? null,
      lastScheduled: last?.scheduled ?? null,
      isEstimate: isEstimate || isCut,
    };
  });
}

/** What ended on each of the last `days` days in UTC, today last; and whether that was told from a sample. */
export async function dayStats(
  db: Database,
  reads: BoundedReads,
  days: number,
  sampledAbove = SAMPLED_ABOVE,
): Promise<{ days: readonly DayStats[]; isEstimate: boolean }> {
  const tasks = `${db.schema}.tasks`;
  return await reads.read(REPORT_TIME, async (bounded) => {
    const ended = await entriesOf(bounded, `${db.schema}.tasks_ended`);
    const isEstimate = ended > sampledAbove;
    const text = isEstimate ? sampledDays(tasks) : everyDay(tasks);
    const parameters = isEstimate ? [days, Math.min(100, 100 * SAMPLE / ended)] : [days];
    return { days: await bounded.run<DayStats>(text, parameters), isEstimate };
  });
}

const DAYS = `generate_series(
    date_trunc('day', now() at time zone 'UTC') - ($1::text::integer - 1) * interval '1 day',
    date_trunc('day', now() at time zone 'UTC'), interval '1 day') as d(day)`;

/* A range of the index a day: with a group by the day of each row it took twice as long. */
function everyDay(tasks: string): string {
  return `select to_char(d.day, 'YYYY-MM-DD') as day, s.completed, s.failed, s.longest from ${DAYS}, lateral (
      select count(*) filter (where state = 10)::integer as completed,
        count(*) filter (where state = -1)::integer as failed,
        extract(epoch from max(completed_at - started_at))::float8 as longest
      from ${tasks} where state in (-2, -1, 10)
        and modified >= d.day at time zone 'UTC' and modified < (d.day + interval '1 day') at time zone 'UTC') s
    order by d.day`;
}

function sampledDays(tasks: string): string {
  return `with sample as (
      select date_trunc('day', modified at time zone 'UTC') as day, state, completed_at - started_at as run
      from ${tasks} tablesample system ($2::text::real) where state in (-1, 10)
    )
    select to_char(d.day, 'YYYY-MM-DD') as day,
      (count(*) filter (where s.state = 10) * 100 / $2::text::float8)::bigint as completed,
      (count(*) filter (where s.state = -1) * 100 / $2::text::float8)::bigint as failed,
      extract(epoch from max(s.run))::float8 as longest
    from ${DAYS} left join sample s on s.day = d.day group by d.day order by d.day`;
}

async function countOf(bounded: BoundedRun, tasks: string, state: 0 | 1 | 2): Promise<number> {
  const [row] = await bounded.run<{ count: number }>(
    `select count(*)::integer as count from (select from ${tasks} where state = ${state} limit ${
      COUNT_LIMIT + 1
    }) few`,
  );
  return row?.count ?? 0;
}

/** How many rows an index holds, as of the last vacuum or analyze. */
async function entriesOf(bounded: BoundedRun, index: string): Promise<number> {
  const [row] = await bounded.run<{ entries: number }>(
    "select reltuples::float8 as entries from pg_class where oid = $1::text::regclass",
    [index],
  );
  return Math.max(0, Math.round(row?.entries ?? 0));
}
