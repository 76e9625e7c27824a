import assert from "node:assert/strict";
import { Janitor } from "../../src/upkeep/janitor.ts";
import { eventually } from "../support/fixtures.ts";
import { needTest } from "../support/need.ts";
import { TestRecord } from "../support/test_record.ts";
import { Keep } from "../upkeep/parts.ts";

/** A wave of ready tasks that the planner knows nothing of, and autovacuum does not see. */
async function wave(record: TestRecord, count: number): Promise<void> {
  await record.run("alter table :schema.tasks set (autovacuum_enabled = false)");
  await record.run(
    `insert into :schema.tasks (channel, model, fname) select 'c', 'm', 'f' from generate_series(1, ${count})`,
  );
  // Postgres counts changes with a delay of a second or so.
  await eventually(async () => await changed(record) >= count, {
    what: "the counted changes",
    within: 15_000,
  });
}

/** Rows that changed since the last statistics. */
async function changed(record: TestRecord): Promise<number> {
  const [row] = await record.sql<{ changed: number }[]>`
    select n_mod_since_analyze::integer as changed from pg_stat_all_tables
    where schemaname = ${record.schema} and relname = 'tasks'`;
  return row!.changed;
}

/** How many ready rows the planner expects on the channel. */
async function expected(record: TestRecord): Promise<number> {
  const [row] = await record.run(
    "explain (format json) select from :schema.tasks where channel = 'c' and state = 0",
  );
  return row!["QUERY PLAN"][0].Plan["Plan Rows"];
}

needTest(["postgres"], "analyze() renews statistics that a wave of tasks has outdated, once", async () => {
  await using record = await TestRecord.make();
  const store = record.store();
  await wave(record, 5000);
  assert.ok(await expected(record) < 100, "the planner knows nothing yet");
  assert.equal(await store.analyze(), true);
  assert.ok(await expected(record) > 4000);
  await eventually(async () => await changed(record) === 0, { what: "the count to start anew" });
  assert.equal(await store.analyze(), false);
});

needTest(["postgres"], "the janitor renews statistics when a backlog is large, and not before", async () => {
  await using keep = await Keep.make();
  await wave(keep.record, 9000);
  await new Janitor(keep).runOnce();
  assert.ok(await expected(keep.record) < 100);
  await wave(keep.record, 2000);
  await new Janitor(keep).runOnce();
  assert.ok(await expected(keep.record) > 10_000);
});
