/**
 * Reading the record.
 *
 * @module
 */

import { State, type TaskRecord } from "../task.ts";
import { type Database, numbers, type Patience, type Statement, strings, valuesOf } from "./database.ts";
import type { Parameter } from "./pool.ts";
import { CLAIMABLE, type ReadyRow, recordOf, TASK_COLUMNS, type TaskRow } from "./row.ts";

/** Orders of a list; a minus is descending. */
export type ListSort = "-id" | "id" | "-modified" | "modified";

/** Which tasks are meant. Everything is optional. */
export interface TaskFilter {
  readonly states?: readonly State[];
  readonly channel?: string;
  readonly model?: string;
  readonly fname?: string;
  /** Part of the model, the function or the reason, in any case; or an id. */
  readonly search?: string;
}

/** What a list shows. Everything is optional. */
export interface ListFilter extends TaskFilter {
  /** Rows to skip. @default 0 */
  readonly start?: number;
  /** Rows at most. @default 25 */
  readonly size?: number;
  /** @default "-id" */
  readonly sort?: ListSort;
}

/** Counts stop here: the index scan of a backlog of millions would take seconds. */
export const COUNT_LIMIT = 10_000;

const GET: Statement = (schema) =>
  `select ${TASK_COLUMNS} from ${schema}.tasks where id = any($1::text::bigint[])`;

const FILTER = `(cardinality($1::text::smallint[]) = 0 or state = any($1::text::smallint[]))
     and ($2::text is null or channel = $2) and ($3::text is null or model = $3) and ($4::text is null or fname = $4)
     and ($5::text is null or id::text = $5 or strpos(lower(model || '.' || fname || ' ' || coalesce(reason, '')), lower($5)) > 0)`;

/** Every list names its order in the statement, so that each has its own plan. */
const LISTS: Readonly<Record<ListSort, Statement>> = {
  "-id": (schema) => listById(schema, "desc"),
  "id": (schema) => listById(schema, "asc"),
  "-modified": (schema) => listByModified(schema, "desc"),
  "modified": (schema) => listByModified(schema, "asc"),
};

function listById(schema: string, direction: "asc" | "desc"): string {
  return `select ${TASK_COLUMNS} from ${schema}.tasks where ${FILTER}
    order by id ${direction} limit $6::text::integer offset $7::text::integer`;
}

function listByModified(schema: string, direction: "asc" | "desc"): string {
  const order = `order by modified ${direction}, id ${direction}`;
  const first = byModified({
    tasks: `${schema}.tasks`,
    where: (states) => `where state in (${states.join(", ")}) and ${FILTER}`,
    direction,
    last: "$6::text::integer + $7::text::integer",
  });
  return `select ${TASK_COLUMNS} from ${schema}.tasks where id = any(array(
      select id from ${first} ${order} limit $6::text::integer offset $7::text::integer
    )) ${order}`;
}

/** The first tasks by `modified`, then by id. */
interface FirstByModified {
  readonly tasks: string;
  /** The WHERE of rows in these states. */
  where(states: readonly State[]): string;
  /** All when empty. @default all */
  readonly states?: readonly State[];
  readonly direction: "asc" | "desc";
  /** So many: a number or a parameter. */
  readonly last: number | string;
}

/**
 * What to select them from, as `id` and `modified`: those of each part, so there are more.
 *
 * Only ended rows have an index on `modified`, and the running are few. Of the waiting and the ready the newest (or
 * oldest) `COUNT_LIMIT` by id stand for all. Every part has the whole order, since a batch changes up to 1,000 rows
 * at one moment, and none depends on the page: else pages would show some rows twice and others never. They are found
 * by ids alone: 10,000 whole rows would not fit the memory of a sort.
 */
export function byModified({ tasks, where, states = [], direction, last }: FirstByModified): string {
  const order = `order by modified ${direction}, id ${direction}`;
  const parts: string[] = [];
  const add = (isFew: boolean, ...group: State[]) => {
    const wanted = group.filter((state) => states.length === 0 || states.includes(state));
    if (wanted.length === 0) return;
    const rows = `select id, modified from ${tasks} ${where(wanted)}`;
    const few =
      `select * from (${rows} order by id ${direction} limit greatest(${COUNT_LIMIT}, ${last})) few`;
    parts.push(`(${isFew ? few : rows} ${order} limit ${last})`);
  };
  add(false, State.canceled, State.failed, State.completed);
  add(false, State.started);
  add(true, State.retry);
  add(true, State.scheduled);
  return `(${parts.join(" union all ")}) parts`;
}

const EXTENT: Statement = (schema) =>
  `select count(*)::integer as count, coalesce(max(id), 0) as last from ${schema}.tasks where ${FILTER}`;

const IDS_AFTER: Statement = (schema) =>
  `select id from ${schema}.tasks where id > $6::text::bigint and id <= $7::text::bigint and ${FILTER}
   order by id limit $8::text::integer`;

const NEWEST: Statement = (schema) =>
  `select id, state, channel, model, fname from ${schema}.tasks order by id desc limit $1::text::integer`;

/* With its order, so that the index is walked: else the planner reads the table, ended rows first. */
const READY_COUNTS: Statement = (schema) =>
  `select c.channel, (select count(*)::integer from (
     select from ${schema}.tasks t where t.channel = c.channel and ${CLAIMABLE}
     order by t.priority desc, t.id limit ${COUNT_LIMIT + 1}) few) as ready
   from unnest($1::text::text[]) as c(channel)`;

const UNTOUCHED: Statement = (schema) =>
  `select id, channel, priority from (
     select id, channel, priority, modified from ${schema}.tasks
     where channel = $1 and state = 0 and deaths = 0 order by priority desc, id limit $2::text::integer
   ) first where modified < now() - $3::text::float8 * interval '1 second'`;

/*
 * In two parts, each a range of the index: with `or` all that comes before is walked, and a refill of a million rows
 * took 300 ms for each 1,000 of them instead of 1 (2026-11-24).
 */
const READY_AFTER: Statement = (schema) => {
  const part = (range: string) =>
    `(select id, channel, priority from ${schema}.tasks where channel = $1 and state = 0 and deaths = 0 and ${range}
      order by priority desc, id limit $4::text::integer)`;
  return `select id, channel, priority from (
      ${part("priority = $2::text::integer and id > $3::text::bigint")}
      union all ${part("priority < $2::text::integer")}
    ) parts order by priority desc, id limit $4::text::integer`;
};

/** Channels with ready tasks. */
export const ACTIVE_CHANNELS: Statement = (schema) => valuesOf(schema, "channel", 0);

/** The records of `ids`; those that do not exist are left out. */
export async function get(db: Database, ids: readonly number[], how: Patience): Promise<TaskRecord[]> {
  return (await db.run<TaskRow>(GET, [numbers(ids)], how)).map(recordOf);
}

/** One page of records. */
export async function list(db: Database, filter: ListFilter, how: Patience): Promise<TaskRecord[]> {
  const rows = await db.run<TaskRow>(LISTS[filter.sort ?? "-id"], [
    ...parametersOf(filter),
    filter.size ?? 25,
    filter.start ?? 0,
  ], how);
  return rows.map(recordOf);
}

/** How many tasks are meant, and the last of their ids (0 when there are none). */
export async function extent(
  db: Database,
  filter: TaskFilter,
  how: Patience,
): Promise<{ count: number; last: number }> {
  const [row] = await db.run<{ count: number; last: number }>(EXTENT, parametersOf(filter), how);
  return row ?? { count: 0, last: 0 };
}

/** Ids after one and up to another, so many at most. */
export interface IdRange {
  readonly after: number;
  readonly last: number;
  readonly limit: number;
}

/** The first ids of the tasks that are meant, in order. */
export async function idsAfter(
  db: Database,
  filter: TaskFilter,
  range: IdRange,
  how: Patience,
): Promise<number[]> {
  const parameters = [...parametersOf(filter), range.after, range.last, range.limit];
  return (await db.run<{ id: number }>(IDS_AFTER, parameters, how)).map((row) => row.id);
}

/** What a task is called, and how it stands. */
export type TaskName = Pick<TaskRecord, "id" | "state" | "channel" | "model" | "fname">;

/** The newest tasks, without what they carry. */
export async function newest(db: Database, limit: number, how: Patience): Promise<readonly TaskName[]> {
  return await db.run<TaskName>(NEWEST, [limit], how);
}

/** The parameters of `FILTER`. */
function parametersOf(filter: TaskFilter): Parameter[] {
  return [
    numbers(filter.states ?? []),
    filter.channel ?? null,
    filter.model ?? null,
    filter.fname ?? null,
    filter.search ?? null,
  ];
}

/** How many ready tasks each channel has, counted up to just above `COUNT_LIMIT`. */
export async function readyCounts(
  db: Database,
  channels: readonly string[],
  how: Patience,
): Promise<Map<string, number>> {
  const rows = await db.run<{ channel: string; ready: number }>(READY_COUNTS, [strings(channels)], how);
  return new Map(rows.map(({ channel, ready }) => [channel, ready]));
}

/** Channels that have ready tasks. */
export async function activeChannels(db: Database, how: Patience): Promise<string[]> {
  return (await db.run<{ channel: string }>(ACTIVE_CHANNELS, [], how)).map((row) => row.channel);
}

/** Among the first `limit` ready rows of a channel, those that nothing has touched for `seconds`. */
export async function untouchedReady(
  db: Database,
  channel: string,
  limit: number,
  seconds: number,
  how: Patience,
): Promise<readonly ReadyRow[]> {
  return await db.run<ReadyRow>(UNTOUCHED, [channel, limit, seconds], how);
}

/** Ready rows of a channel in the order they run, after `after`: for refilling an emptied Redis in chunks. */
export async function readyAfter(
  db: Database,
  channel: string,
  after: { priority: number; id: number },
  limit: number,
  how: Patience,
): Promise<readonly ReadyRow[]> {
  return await db.run<ReadyRow>(READY_AFTER, [channel, after.priority, after.id, limit], how);
}
