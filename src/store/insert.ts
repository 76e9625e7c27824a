/**
 * Publishing: rows whose ids were drawn ahead, so that an insert whose answer was lost is sent again, not doubled.
 *
 * @module
 */

import { type Database, numbers, type Patience, type Statement } from "./database.ts";
import { isDuplicate } from "./errors.ts";
import { NOTIFY } from "./notify.ts";
import type { Parameter, Transaction } from "./pool.ts";

/** What the tasks of one kind share; sent once a batch. Times: `delay` and `stale_in` in seconds from now, `at` and `stale_at` in milliseconds since the epoch. */
export interface InsertKind {
  readonly channel: string;
  readonly model: string;
  readonly fname: string;
  readonly priority: number;
  readonly max_attempts: number;
  readonly timeout_seconds: number;
  readonly delay: number | null;
  readonly at: number | null;
  readonly stale_in: number | null;
  readonly stale_at: number | null;
  readonly publish_key: string | null;
  readonly unique_key: string | null;
  readonly trace_parent: string | null;
}

/** One task to insert. */
export interface InsertRow {
  readonly id: number;
  /** Index into the batch's kinds. */
  readonly kind: number;
  /** JSON text. */
  readonly data: string;
}

/** Rows and what they share. */
export interface InsertBatch {
  readonly kinds: readonly InsertKind[];
  readonly rows: readonly InsertRow[];
}

/** What a task's kind gives to its row. */
const KIND = `channel text, model text, fname text, priority smallint, max_attempts smallint,
  timeout_seconds integer, delay float8, at float8, stale_in float8, stale_at float8, publish_key text, unique_key text,
  trace_parent text`;
const MOMENTS = `coalesce(to_timestamp(at / 1000), now() + delay * interval '1 second') as due,
  coalesce(to_timestamp(stale_at / 1000), now() + stale_in * interval '1 second') as stale`;

/*
 * How 1,000 rows travel was measured (2026-11-24, 2 cores, two connections, rows a second): all columns as arrays
 * through unnest 136,000; one array of whole records 141,000; ids and data as arrays, the rest joined from a short
 * list of kinds 196,000 to 212,000. Values that need quoting inside an array literal are what costs.
 */
const SHARED =
  `rows from (unnest($1::text::bigint[]), unnest($2::text::integer[]), jsonb_array_elements($3::text::jsonb))
     as t(id, kind, data)
   join (select *, ${MOMENTS} from jsonb_to_recordset($4::text::jsonb) as k(n integer, ${KIND})) k on k.n = t.kind`;

/*
 * Without hash and merge joins, which are off here, 1,000 rows of as many kinds (keys, moments, traces) take 164 ms in
 * the form above, and 1.8 in this one (2026-11-28).
 */
const OWN = `rows from (unnest($1::text::bigint[]), jsonb_array_elements($2::text::jsonb),
     jsonb_array_elements($3::text::jsonb)) as t(id, data, kind)
   cross join lateral (select *, ${MOMENTS} from jsonb_to_record(t.kind) as k(${KIND})) k`;

/** With more kinds than this each row brings its own. */
const MOST_SHARED = 10;

/** By whether NOTIFY wakes engines. */
type Variants = Readonly<Record<`${boolean}`, Statement>>;

/** The inserts of rows that come in one form. */
function insertsOf(rows: string) {
  const plain: Statement = (schema) =>
    `insert into ${schema}.tasks (id, state, channel, model, fname, data, priority, max_attempts, timeout_seconds,
     scheduled_for, stale_after, publish_key, unique_key, trace_parent)
   overriding system value
   select t.id, case when k.due > now() then 2 else 0 end, k.channel, k.model, k.fname, t.data, k.priority,
     k.max_attempts, k.timeout_seconds, k.due, k.stale, k.publish_key, k.unique_key, k.trace_parent
   from ${rows}`;
  const careful: Statement = (schema) => `${plain(schema)} on conflict do nothing`;
  const returning: Statement = (schema) => `${careful(schema)} returning id`;
  const notifying = (insert: Statement): Statement => (schema) =>
    `with inserted as (${insert(schema)}) ${NOTIFY(schema)}`;
  return {
    /** The first try. */
    plain: { false: plain, true: notifying(plain) } satisfies Variants,
    /** For when an earlier one may have arrived. */
    careful: { false: careful, true: notifying(careful) } satisfies Variants,
    returning: {
      false: returning,
      true: (schema) =>
        `with inserted as (${returning(schema)}), told as (${NOTIFY(schema)}) select id from inserted, told`,
    } satisfies Variants,
  };
}

const INSERTS = { shared: insertsOf(SHARED), own: insertsOf(OWN) } as const;

/* The sequence is looked up once, not for each id: 0.4 µs an id instead of 2.7 (2026-11-24). */
const draw = (table: string): Statement => (schema) =>
  `select json_agg(nextval(t.ids)) as ids
   from (select pg_get_serial_sequence('${schema}.${table}', 'id')::regclass as ids offset 0) t,
     generate_series(1, $1::text::integer)`;

const DRAWS = { tasks: draw("tasks"), task_logs: draw("task_logs") } as const;

const FIND: Statement = (schema) =>
  `select g.id as wanted, coalesce(
     (select t.id from ${schema}.tasks t where t.id = g.id),
     (select t.id from ${schema}.tasks t where t.publish_key = g.publish_key),
     (select t.id from ${schema}.tasks t where t.unique_key = g.unique_key and t.state in (0, 1, 2))) as id
   from jsonb_to_recordset($1::text::jsonb) as g(id bigint, publish_key text, unique_key text)`;

/** Draws `count` ids from the sequence; those that are not used are lost, which does no harm. */
export async function drawIds(
  db: Database,
  table: keyof typeof DRAWS,
  count: number,
  how: Patience,
): Promise<number[]> {
  const [drawn] = await db.run<{ ids: number[] }>(DRAWS[table], [count], how);
  return drawn?.ids ?? [];
}

/**
 * Inserts rows without keys. Rows that are there already (an earlier try, whose answer was lost) stay as they are: the
 * first statement fails for them, and is followed by a careful one. `on conflict` for all would cost every insert a
 * fifth (5.7 instead of 4.7 µs a row; 2026-11-24, 1,000 rows a statement).
 */
export async function insert(
  db: Database,
  batch: InsertBatch,
  notify: boolean,
  how: Patience,
): Promise<void> {
  const { inserts, parameters } = formOf(batch);
  try {
    await db.run(inserts.plain[`${notify}`], parameters, how);
  } catch (error) {
    if (!isDuplicate(error)) throw error;
    await db.run(inserts.careful[`${notify}`], parameters, how);
  }
}

/** Inserts rows inside the caller's own transaction; the notification leaves with its commit. */
export async function insertInto(
  db: Database,
  tx: Transaction,
  batch: InsertBatch,
  notify: boolean,
): Promise<void> {
  const { inserts, parameters } = formOf(batch);
  await tx.unsafe(db.text(inserts.careful[`${notify}`]), parameters as never[]);
}

/**
 * Inserts rows that have a publish key or a unique key.
 *
 * @returns for each row the id that stands in the record: its own, or that of the task that has its key
 */
export async function insertKeyed(
  db: Database,
  batch: InsertBatch,
  notify: boolean,
  how: Patience,
): Promise<number[]> {
  const insertRows = async (rows: readonly InsertRow[]) => {
    const { inserts, parameters } = formOf({ kinds: batch.kinds, rows });
    const inserted = await db.run<{ id: number }>(inserts.returning[`${notify}`], parameters, how);
    for (const { id } of inserted) ids.set(id, id);
  };
  const ids = new Map<number, number>();
  await insertRows(batch.rows);
  for (;;) {
    const missing = batch.rows.filter((row) => !ids.has(row.id));
    if (missing.length === 0) return batch.rows.map((row) => ids.get(row.id) ?? row.id);
    const asked = missing.map(({ id, kind }) => ({ id, ...batch.kinds[kind] }));
    for (
      const { wanted, id } of await db.run<{ wanted: number; id: number | null }>(FIND, [
        JSON.stringify(asked),
      ], how)
    ) {
      if (id !== null) ids.set(wanted, id);
    }
    // The holder of a unique key may have ended between the two statements: then its place is free now.
    const free = missing.filter((row) => !ids.has(row.id));
    if (free.length === 0) continue;
    await insertRows(free);
  }
}

/** The inserts for a batch, and what they take. */
function formOf({ kinds, rows }: InsertBatch): {
  readonly inserts: (typeof INSERTS)[keyof typeof INSERTS];
  readonly parameters: Parameter[];
} {
  const ids = numbers(rows.map((row) => row.id));
  const data = `[${rows.map((row) => row.data).join(",")}]`;
  if (kinds.length > MOST_SHARED) {
    const own = rows.map((row) => kinds[row.kind]);
    return { inserts: INSERTS.own, parameters: [ids, data, JSON.stringify(own)] };
  }
  const shared = kinds.map((kind, n) => ({ n, ...kind }));
  return {
    inserts: INSERTS.shared,
    parameters: [ids, numbers(rows.map((row) => row.kind)), data, JSON.stringify(shared)],
  };
}
