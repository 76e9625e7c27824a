/**
 * Pages of the record, for people: any filter, any order, and how many there are. Made for millions of rows, where
 * only some filters and orders have an index: see `BoundedReads`.
 *
 * @module
 */

import { InputError } from "../errors.ts";
import type { State, TaskLog, TaskRecord } from "../task.ts";
import type { BoundedReads, BoundedRun } from "./bounded.ts";
import { type Database, numbers, type Patience, type Statement } from "./database.ts";
import { byModified, COUNT_LIMIT } from "./inspect.ts";
import type { Parameter } from "./pool.ts";
import { BRIEF_COLUMNS, logOf, type LogRow, recordOf, TASK_COLUMNS, type TaskRow } from "./row.ts";

/** What pages of tasks are ordered by. Quick for any number of tasks: `id` and `modified`. */
export const PAGE_SORTS = [
  "id",
  "modified",
  "created",
  "started_at",
  "completed_at",
  "scheduled_for",
  "stale_after",
  "state",
  "channel",
  "model",
  "fname",
  "attempts",
  "priority",
] as const;

/** An order of pages. */
export type PageSort = (typeof PAGE_SORTS)[number];

/** Which tasks, in which order. */
export interface PageFilter {
  /** All when empty. */
  readonly states: readonly State[];
  readonly channel?: string | undefined;
  readonly model?: string | undefined;
  readonly fname?: string | undefined;
  /** Part of the model, the function or the reason, in any case; or an id. */
  readonly search?: string | undefined;
  /** Published at this moment or later. */
  readonly createdFrom?: Date | undefined;
  /** Published before this moment. */
  readonly createdBefore?: Date | undefined;
  readonly sort: PageSort;
  readonly descending: boolean;
  /** Rows to skip. */
  readonly start: number;
  /** Rows at most. */
  readonly size: number;
}

/** One page, and how many rows all pages have. */
export interface Page<T> {
  readonly rows: readonly T[];
  readonly count: number;
  /** Whether `count`, which is above `COUNT_LIMIT` then, is what the planner takes it to be. */
  readonly isEstimate: boolean;
}

/** A record without what may be large. */
export type BriefRecord = Omit<TaskRecord, "data" | "result">;

/** MiB of data and results, as JSON, that a page of several tasks may have: all of it is in memory some times over. */
const MOST_MIB = 64;
/** Milliseconds for a page: a search among 1,000,000 tasks that finds nothing took 0.9 s (2026-11-24, 2 cores). */
const PAGE_TIME = 5000;
/** Milliseconds for its count: an estimate stands in for it. */
const COUNT_TIME = 500;

/** Conditions, and the values of their parameters. */
class Conditions {
  readonly parameters: Parameter[] = [];
  readonly #conditions: string[] = [];

  constructor(filter: PageFilter) {
    for (const name of ["channel", "model", "fname"] as const) {
      if (filter[name] !== undefined) this.#add(`${name} = ?::text`, filter[name]);
    }
    if (filter.createdFrom) this.#add("created >= ?::text::timestamptz", filter.createdFrom.toISOString());
    if (filter.createdBefore) this.#add("created < ?::text::timestamptz", filter.createdBefore.toISOString());
    if (filter.search !== undefined) {
      this.#add(
        "(id::text = ?::text or strpos(lower(model || '.' || fname || ' ' || coalesce(reason, '')), lower(?)) > 0)",
        filter.search,
      );
    }
  }

  /** All of them, for rows in these states. Numbers stand in the text, so that indexes of some states are found. */
  where(states: readonly State[]): string {
    const all = states.length === 0
      ? this.#conditions
      : [`state in (${states.map(Number).join(", ")})`, ...this.#conditions];
    return all.length === 0 ? "" : `where ${all.join(" and ")}`;
  }

  #add(condition: string, value: Parameter): void {
    this.parameters.push(value);
    this.#conditions.push(condition.replaceAll("?", `$${this.parameters.length}`));
  }
}

/**
 * One page of tasks.
 *
 * @throws {TooSlowError} when it has to look at too many
 * @throws {InputError} when their data and results are too large together
 */
export function page(db: Database, reads: BoundedReads, filter: PageFilter): Promise<Page<TaskRecord>> {
  const tasks = `${db.schema}.tasks`;
  const weigh =
    `select coalesce(sum(octet_length(data::text) + coalesce(octet_length(result::text), 0)), 0)::float8
    / 1048576 as mib from ${tasks} where id = any($1::text::bigint[])`;
  return found(db, reads, filter, async (bounded, ids, order) => {
    if (ids.length > 1) {
      const [{ mib } = { mib: 0 }] = await bounded.run<{ mib: number }>(weigh, [numbers(ids)]);
      if (mib > MOST_MIB) {
        throw new InputError(
          `the data and results of these ${ids.length} tasks are ${
            Math.ceil(mib)
          } MiB, above the ${MOST_MIB} that a page may have`,
          { remedy: "ask for fewer" },
        );
      }
    }
    const text = `select ${TASK_COLUMNS} from ${tasks} where id = any($1::text::bigint[]) ${order}`;
    return (await bounded.run<TaskRow>(text, [numbers(ids)])).map(recordOf);
  });
}

/**
 * The same without data and results, which are not read.
 *
 * @throws {TooSlowError} when it has to look at too many
 */
export function briefPage(db: Database, reads: BoundedReads, filter: PageFilter): Promise<Page<BriefRecord>> {
  return found(db, reads, filter, async (bounded, ids, order) => {
    const text =
      `select ${BRIEF_COLUMNS} from ${db.schema}.tasks where id = any($1::text::bigint[]) ${order}`;
    const rows = await bounded.run<Omit<TaskRow, "data" | "result">>(text, [numbers(ids)]);
    return rows.map((row) => {
      const { data: _, result: __, ...brief } = recordOf({ ...row, data: {}, result: null });
      return brief;
    });
  });
}

/** Finds the ids of a page, has its rows read, and counts. */
async function found<T>(
  db: Database,
  reads: BoundedReads,
  filter: PageFilter,
  rowsOf: (bounded: BoundedRun, ids: readonly number[], order: string) => Promise<readonly T[]>,
): Promise<Page<T>> {
  const tasks = `${db.schema}.tasks`;
  const conditions = new Conditions(filter);
  const order = `order by ${filter.sort} ${direction(filter)}${
    filter.sort === "id" ? "" : `, id ${direction(filter)}`
  }`;
  const [size, start] = [Number(filter.size), Number(filter.start)];
  const where = (states: readonly State[]) => conditions.where(states);
  // By ids alone: a sort of whole rows would not fit its memory.
  const text = `select id from ${
    filter.sort === "modified"
      ? byModified({ tasks, where, states: filter.states, direction: direction(filter), last: start + size })
      : `${tasks} ${where(filter.states)}`
  } ${order} limit ${size} offset ${start}`;
  let rows: readonly T[] | undefined;
  let estimate = 0;
  try {
    return await reads.read(PAGE_TIME, async (bounded) => {
      const ids = (await bounded.run<{ id: number }>(text, conditions.parameters)).map(({ id }) => id);
      rows = ids.length === 0 ? [] : await rowsOf(bounded, ids, order);
      const end = filter.start + rows.length;
      // A page that is not full ends the list, unless it lies beyond the end.
      if (rows.length < filter.size && (rows.length > 0 || filter.start === 0)) {
        return { rows, count: end, isEstimate: false };
      }
      const from = `from ${tasks} ${conditions.where(filter.states)}`;
      estimate = Math.max(await planned(bounded, from, conditions.parameters), end, COUNT_LIMIT + 1);
      await bounded.limit(COUNT_TIME);
      const count = await counted(bounded, from, conditions.parameters);
      return count > COUNT_LIMIT
        ? { rows, count: estimate, isEstimate: true }
        : { rows, count, isEstimate: false };
    });
  } catch (error) {
    // The page was read, and only its count takes too long.
    if (rows === undefined || estimate === 0) throw error;
    return { rows, count: estimate, isEstimate: true };
  }
}

function direction({ descending }: PageFilter): "asc" | "desc" {
  return descending ? "desc" : "asc";
}

/** How many rows there are, up to just above `COUNT_LIMIT`. */
async function counted(bounded: BoundedRun, from: string, parameters: readonly Parameter[]): Promise<number> {
  const text = `select count(*)::integer as count from (select ${from} limit ${COUNT_LIMIT + 1}) few`;
  const [row] = await bounded.run<{ count: number }>(text, parameters);
  return row?.count ?? 0;
}

/** How many rows the planner takes them to be. */
async function planned(bounded: BoundedRun, from: string, parameters: readonly Parameter[]): Promise<number> {
  const [row] = await bounded.run<{ "QUERY PLAN": unknown }>(
    `explain (format json) select ${from}`,
    parameters,
  );
  const told = row?.["QUERY PLAN"];
  const [{ Plan: plan }] = typeof told === "string" ? JSON.parse(told) : told;
  return Math.round(plan["Plan Rows"]);
}

const LOG_NEWEST: Statement = (schema) => logPageText(schema, "desc");
const LOG_OLDEST: Statement = (schema) => logPageText(schema, "asc");

function logPageText(schema: string, order: "asc" | "desc"): string {
  return `select id, task_id, created, kind, text from ${schema}.task_logs where task_id = $1::text::bigint
    order by id ${order} limit $2::text::integer offset $3::text::integer`;
}

const LOG_COUNT: Statement = (schema) =>
  `select count(*)::integer as count from (select from ${schema}.task_logs where task_id = $1::text::bigint
     order by id limit ${COUNT_LIMIT + 1}) few`;

/** One page of a task's log; a count of `COUNT_LIMIT` + 1 means that there are more. */
export async function logPage(
  db: Database,
  taskId: number,
  { start, size, descending }: { start: number; size: number; descending: boolean },
  how: Patience,
): Promise<Page<TaskLog>> {
  const statement = descending ? LOG_NEWEST : LOG_OLDEST;
  const [rows, [counted]] = await Promise.all([
    db.run<LogRow>(statement, [taskId, size, start], how),
    db.run<{ count: number }>(LOG_COUNT, [taskId], how),
  ]);
  const count = counted?.count ?? 0;
  return { rows: rows.map(logOf), count, isEstimate: count > COUNT_LIMIT };
}
