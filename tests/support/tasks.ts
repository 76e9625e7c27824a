/**
 * Tasks for tests of the store.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { ClaimedRow, InsertKind, Store } from "../../src/store/mod.ts";
import type { TaskRecord } from "../../src/task.ts";
import { TestSignal } from "./fixtures.ts";
import type { Bench } from "./store_suite.ts";

/** A channel that tests use when they do not care. */
export const CHANNEL = "tests";

/** The kind of a plain task, with changes. */
export function kindOf(changes: Partial<InsertKind> = {}): InsertKind {
  return {
    channel: CHANNEL,
    model: "myapp.Report",
    fname: "summary",
    priority: 0,
    max_attempts: 5,
    timeout_seconds: 1800,
    delay: null,
    at: null,
    stale_in: null,
    stale_at: null,
    publish_key: null,
    unique_key: null,
    trace_parent: null,
    ...changes,
  };
}

/** Publishes `count` tasks of one kind; returns their ids, which rise. */
export async function publish(store: Store, count = 1, changes: Partial<InsertKind> = {}): Promise<number[]> {
  const ids = await store.drawIds(count);
  const rows = ids.map((id) => ({ id, kind: 0, data: `{"id":${id}}` }));
  await store.insert({ kinds: [kindOf(changes)], rows }, false);
  return ids;
}

/** Publishes one task. */
export async function publishOne(store: Store, changes: Partial<InsertKind> = {}): Promise<number> {
  return (await publish(store, 1, changes))[0]!;
}

/** Publishes one task and claims it. */
export async function claimOne(
  store: Store,
  engineId: string,
  changes: Partial<InsertKind> = {},
): Promise<ClaimedRow> {
  const [row] = await store.claim([await publishOne(store, changes)], engineId);
  assert.ok(row !== undefined);
  return row;
}

/** The record of one task. */
export async function recordOf(store: Store, id: number): Promise<TaskRecord> {
  const [record] = await store.get([id]);
  assert.ok(record !== undefined, `there is no task ${id}`);
  return record;
}

/** The ids of rows, in rising order: RETURNING has none. */
export function idsOf(rows: readonly { readonly id: number }[]): number[] {
  return rows.map((row) => row.id).sort((a, b) => a - b);
}

/** Some fields of a record. */
export async function fieldsOf<K extends keyof TaskRecord>(
  store: Store,
  id: number,
  ...fields: K[]
): Promise<Pick<TaskRecord, K>> {
  const record = await recordOf(store, id);
  return Object.fromEntries(fields.map((field) => [field, record[field]])) as Pick<TaskRecord, K>;
}

/** Runs `fn` while another transaction holds the rows of `ids`. */
export async function whileLocked(
  { store, schema }: Pick<Bench, "store" | "schema">,
  ids: readonly number[],
  fn: () => Promise<void>,
): Promise<void> {
  const locked = new TestSignal("the lock");
  const done = Promise.withResolvers<void>();
  const elsewhere = store.transaction(async (tx) => {
    await tx.unsafe(`select from ${schema}.tasks where id in (${ids.join(", ")}) for update`);
    locked.fire();
    await done.promise;
  }, 10_000);
  try {
    await locked.next();
    await fn();
  } finally {
    done.resolve();
    await elsewhere;
  }
}
