import assert from "node:assert/strict";
import postgres from "npm:postgres@3.4.9";
import { loadSettings } from "../../src/config.ts";
import { connectStore } from "../../src/store/connect.ts";
import { Pool } from "../../src/store/pool.ts";
import { eventually } from "../support/fixtures.ts";
import { needTest } from "../support/need.ts";
import { PREPARES, PrivatePostgres } from "../support/servers.ts";
import { storeSuite } from "../support/store_suite.ts";

const FILL = `insert into :schema.tasks (model, fname, channel, state, data, modified)
  select 'shop.Invoice', 'on_tq_total', 'tq_model_handler', case when i % 4 = 0 then 0 else 10 end,
    jsonb_build_object('prices', array[i, i + 1]), now() - i * interval '1 s'
  from generate_series(1, $1::text::integer) i`;

storeSuite((test) => {
  test("server() tells what the server is", async ({ store, sql }) => {
    const server = await store.health.server();
    const [row] = await sql<{ version: string; autovacuum: boolean }>(
      "select version() as version, current_setting('autovacuum')::boolean as autovacuum",
    );
    assert.ok(row!.version.startsWith(`PostgreSQL ${server.version}`), `${server.version}: ${row!.version}`);
    assert.equal(Math.floor(server.versionNumber / 10_000), Number.parseInt(server.version));
    assert.equal(server.isStandby, false);
    assert.equal(server.autovacuum, row!.autovacuum);
  });

  test("now() is the server's clock", async ({ store }) => {
    const before = Date.now();
    const now = await store.health.now();
    assert.ok(before - 1000 < now && now < Date.now() + 1000, `${now}`);
  });

  test("tables() counts rows, dead ones and the last vacuum", async ({ store, sql, schema, url }) => {
    await sql(FILL, [400]);
    await sql("vacuum :schema.tasks");
    {
      // A session tells what it has counted when it ends; before, it may take 10 s.
      await using short = new Pool({
        url: () => Promise.resolve(url),
        size: 1,
        prepare: false,
        applicationName: "tq test",
      });
      await short.run(`delete from ${schema}.tasks where id % 2 = 0`);
    }
    const tasks = await eventually(async () => {
      const found = (await store.health.tables()).find(({ name }) => name === "tasks");
      return found !== undefined && found.dead >= 200 && found;
    }, { what: "the statistics", within: 20_000 });
    // An insert that is counted after the vacuum has counted its rows is counted twice.
    assert.ok(tasks.live >= 200 && tasks.live <= 800, `${tasks.live} live`);
    assert.ok(tasks.vacuumed !== null && tasks.vacuumed >= 0 && tasks.vacuumed < 60, `${tasks.vacuumed}`);
    assert.equal(tasks.optedOut, false);
    await sql("alter table :schema.task_logs set (autovacuum_enabled = off)");
    try {
      const out = (await store.health.tables()).filter(({ optedOut }) => optedOut);
      assert.deepEqual(out.map(({ name }) => name), ["task_logs"]);
    } finally {
      await sql("alter table :schema.task_logs reset (autovacuum_enabled)");
    }
  });

  test("relations() finds little room wasted in a full table, and much in one that was emptied", async (bench) => {
    const { store, sql } = bench;
    const relation = async (name: string) => {
      const found = (await store.health.relations()).find((one) => one.name === name);
      assert.ok(found !== undefined, name);
      return found;
    };
    await sql(FILL, [20_000]);
    await sql("vacuum (analyze) :schema.tasks");
    for (const name of ["tasks", "tasks_pkey", "tasks_ready", "tasks_ended"]) {
      const { bytes, wasted, kind } = await relation(name);
      assert.equal(kind, name === "tasks" ? "table" : "index");
      assert.ok(bytes > 100_000, `${name} takes ${bytes}`);
      assert.ok(wasted !== null && wasted < bytes * 0.35, `${name}: ${wasted} of ${bytes}`);
    }
    // A row is left on every page: none of them can be given back.
    await sql("delete from :schema.tasks where id % 20 <> 0");
    await sql("vacuum (analyze) :schema.tasks");
    for (const name of ["tasks", "tasks_pkey"]) {
      const { bytes, wasted } = await relation(name);
      assert.ok(wasted !== null && wasted > bytes * 0.8, `${name}: ${wasted} of ${bytes}`);
    }
  });

  test("a schema without tables has nothing to tell", async (bench) => {
    await using other = connectStore(
      loadSettings({
        flags: { TQ_DATABASE_URL: bench.url, TQ_SCHEMA: `${bench.schema}_none`, TQ_PREPARE: PREPARES },
        environment: {},
        folder: "/",
      }),
      { applicationName: "tq test", connections: 1 },
    );
    assert.deepEqual(await other.health.tables(), []);
    assert.deepEqual(await other.health.relations(), []);
  });

  test("transactions() finds those that hold vacuum back, and no others", async ({ store, url }) => {
    const others = [1, 2].map((n) =>
      postgres(url, {
        max: 1,
        prepare: false,
        fetch_types: false,
        connection: { application_name: `tq holder ${n}` },
      })
    );
    const [writer, reader] = others as [postgres.Sql, postgres.Sql];
    const found = async (olderThan: number) =>
      (await store.health.transactions(olderThan)).oldest.filter(({ name }) => name.startsWith("tq holder"));
    try {
      await writer.begin(async (tx) => {
        await tx`select pg_current_xact_id()`;
        await reader.begin(async (merelyOpen) => {
          // Simple: the portal of the other protocol would keep its snapshot.
          await merelyOpen`select 1`.simple();
          const [holder, ...more] = await found(0);
          assert.equal(more.length, 0, "one that has read and waits holds nothing");
          assert.equal(holder?.name, "tq holder 1");
          assert.equal(holder.state, "idle in transaction");
          assert.ok(holder.pid! > 0 && holder.seconds >= 0 && holder.seconds < 30);
          assert.deepEqual(await found(300), []);
        });
      });
      assert.deepEqual(await found(0), []);
    } finally {
      await Promise.all(others.map((sql) => sql.end({ timeout: 1 })));
    }
  }, "Postgres");
});

needTest(
  ["postgres-binaries"],
  "transactions() counts sessions that it may not look into, and finds prepared ones",
  async () => {
    await using server = await PrivatePostgres.started({ max_prepared_transactions: 2 });
    const own = postgres(server.url(), { max: 1, fetch_types: false, onnotice() {} });
    try {
      await own`create role plain login`;
      await own.begin(async (tx) => {
        await tx`create table kept (id integer)`;
        await tx`prepare transaction 'left behind'`;
        // The driver's own commit finds no transaction any more; Postgres merely warns.
      });
      const settings = loadSettings({
        flags: { TQ_DATABASE_URL: server.url().replace("postgres@", "plain@") },
        environment: {},
        folder: "/",
      });
      await using store = connectStore(settings, { applicationName: "tq test", connections: 1 });
      const { oldest, hidden } = await store.health.transactions(0);
      assert.ok(hidden >= 1, `${hidden}`);
      assert.deepEqual(oldest.map(({ pid, name, state }) => ({ pid, name, state })), [
        { pid: null, name: "left behind", state: "prepared" },
      ]);
      await own`rollback prepared 'left behind'`;
      assert.deepEqual((await store.health.transactions(0)).oldest, []);
    } finally {
      await own.end({ timeout: 1 });
    }
  },
);
