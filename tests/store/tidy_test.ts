import assert from "node:assert/strict";
import { Janitor } from "../../src/upkeep/janitor.ts";
import { eventually } from "../support/fixtures.ts";
import { needTest } from "../support/need.ts";
import { PrivatePostgres } from "../support/private_postgres.ts";
import { storeSuite } from "../support/store_suite.ts";
import { TestRecord } from "../support/test_record.ts";
import { Keep } from "../upkeep/parts.ts";

const NEEDS = ["postgres-binaries"] as const;

/** A wave of ready tasks that the planner knows nothing of, and autovacuum does not see. */
async function wave(record: TestRecord, count: number): Promise<void> {
  await record.run("alter table :schema.tasks set (autovacuum_enabled = false)");
  await record.run(
    `insert into :schema.tasks (channel, model, fname) select 'c', 'm', 'f' from generate_series(1, ${count})`,
  );
  await counted(record, "n_mod_since_analyze", count);
}

/** Waits until Postgres has counted: that comes with a delay of a second or so. */
async function counted(record: TestRecord, column: string, least: number): Promise<void> {
  await eventually(async () => await count(record, column) >= least, { what: column, within: 15_000 });
}

async function count(record: TestRecord, column: string): Promise<number> {
  const [row] = await record.sql`
    select ${record.sql(column)}::integer as count from pg_stat_all_tables
    where schemaname = ${record.schema} and relname = 'tasks'`;
  return row!.count;
}

/** How many ready rows the planner expects on the channel. */
async function expected(record: TestRecord): Promise<number> {
  const [row] = await record.run(
    "explain (format json) select from :schema.tasks where channel = 'c' and state = 0",
  );
  return row!["QUERY PLAN"][0].Plan["Plan Rows"];
}

needTest(NEEDS, "tidy() renews statistics that a wave of tasks has outdated, once", async () => {
  await using server = await PrivatePostgres.started({ autovacuum: "on" });
  await using record = await TestRecord.make({ url: server.url() });
  const store = record.store();
  await wave(record, 900);
  assert.equal(await store.tidy(), undefined);
  await wave(record, 5000);
  assert.ok(await expected(record) < 100, "the planner knows nothing yet");
  assert.equal(await store.tidy(), "analyze");
  assert.ok(await expected(record) > 4000);
  await eventually(async () => await count(record, "n_mod_since_analyze") === 0, {
    what: "the count to start anew",
  });
  assert.equal(await store.tidy(), undefined);
});

needTest(NEEDS, "the janitor vacuums where autovacuum is off, and only there", async () => {
  for (const autovacuum of ["off", "on"]) {
    await using server = await PrivatePostgres.started({ autovacuum });
    await using keep = await Keep.make({ url: server.url() });
    await wave(keep.record, 3000);
    await keep.record.run("update :schema.tasks set state = 10, modified = now()");
    await counted(keep.record, "n_dead_tup", 2000);
    await new Janitor(keep).runOnce();
    if (autovacuum === "off") {
      await eventually(async () => await count(keep.record, "n_dead_tup") < 100, { what: "the vacuum" });
    } else {
      assert.ok(await count(keep.record, "n_dead_tup") >= 2000);
    }
    assert.equal(await count(keep.record, "vacuum_count"), autovacuum === "off" ? 1 : 0);
    assert.equal(await count(keep.record, "analyze_count"), 1);
  }
});

storeSuite((test) => {
  test("tidy() vacuums the embedded database, which has nobody else to do it", async (bench) => {
    const { store, sql, ground } = bench;
    const [server] = await sql<{ off: boolean }>("select current_setting('autovacuum') = 'off' as off");
    await sql(
      "insert into :schema.tasks (channel, model, fname) select 'c', 'm', 'f' from generate_series(1, 3000)",
    );
    await sql("update :schema.tasks set state = 10");
    const dead = async () => {
      const text =
        "select n_dead_tup::integer as dead from pg_stat_all_tables where relid = ':schema.tasks'::regclass";
      return (await sql<{ dead: number }>(text))[0]!.dead;
    };
    await eventually(async () => await dead() > 2000, { what: "the counted changes", within: 15_000 });
    assert.equal(await store.tidy(), ground === "embedded" || server!.off ? "vacuum" : "analyze");
  });
});
