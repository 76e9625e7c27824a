/**
 * What a task costs, counted and not timed, so that it is the same on every machine: statements, round trips, bytes
 * of write-ahead log, rows that are looked at. A change that makes tq slower shows here first.
 *
 * @module
 */

import assert from "node:assert/strict";
import { CONTESTANTS } from "./bench/contestants.ts";
import { furnish } from "./bench/measure.ts";
import { Servers } from "./bench/servers.ts";
import { Trial } from "./bench/trial.ts";
import { claim } from "../src/store/claim.ts";
import { complete } from "../src/store/finish.ts";
import { eventually } from "./support/fixtures.ts";
import { needTest } from "./support/need.ts";
import { planOf, sentBy } from "./support/query_plans.ts";
import { PrivatePostgres, PrivateRedis } from "./support/servers.ts";

const TASKS = 10_000;

/**
 * Bounds for one task, with data of 100 bytes. Each statement and each command is one round trip. Counted were (2026-11-24,
 * Postgres 15, four runs on a machine with a load of 30): 0.0116, 0.0100 and 461 bytes to publish, 0.0044 to 0.0066,
 * 0.0034 to 0.0044 and 772 to 786 bytes to run. Batches of 100 callers may leave as two halves, which is what the
 * bounds for publishing allow; an index more on every row costs some 80 bytes for each version of it, and does not
 * pass.
 */
const BOUNDS = {
  /** The INSERT and the drawing of ids, with 100 callers at once. */
  "publish: statements": 0.025,
  "publish: Redis commands": 0.022,
  "publish: bytes of log": 530,
  /** Claims and ends, with 50 tasks at once. */
  "run: statements": 0.015,
  "run: Redis commands": 0.01,
  "run: bytes of log": 900,
};

/** Settings under which the same statements write the same log: no images of whole pages, nobody else who writes. */
const SETTINGS = {
  shared_preload_libraries: "pg_stat_statements",
  "pg_stat_statements.track": "top",
  full_page_writes: "off",
  autovacuum: "off",
  max_connections: 50,
};

/** Counters since the server's start. */
interface Counters {
  readonly statements: number;
  readonly commands: number;
  readonly bytes: number;
}

needTest(["postgres-binaries", "redis-binaries"], "10,000 tasks cost no more than they should", async (t) => {
  await using postgres = await PrivatePostgres.started(SETTINGS);
  await using redis = await PrivateRedis.started();
  await using servers = await Servers.find({ postgres: postgres.url(), redis: redis.url() });
  await servers.sql`create extension pg_stat_statements`;
  const { stalls: [stall] } = await furnish(CONTESTANTS.filter(({ name }) => name === "tq"), servers);
  await using trial = await Trial.open(stall!, servers);
  const counted: Partial<Record<keyof typeof BOUNDS, number>> = {};
  const count = async (phase: "publish" | "run", act: () => Promise<void>) => {
    const before = await read(servers, trial.database);
    await act();
    const after = await read(servers, trial.database);
    counted[`${phase}: statements`] = (after.statements - before.statements) / TASKS;
    counted[`${phase}: Redis commands`] = (after.commands - before.commands) / TASKS;
    counted[`${phase}: bytes of log`] = (after.bytes - before.bytes) / TASKS;
  };

  await count("publish", async () => {
    await trial.publish({ how: "count", callers: 100, count: TASKS, handler: "noop", bytes: 100 });
    await eventually(async () => await hints(servers) === TASKS, { what: "all hints", within: 20_000 });
  });
  await count("run", async () => {
    await trial.startWorkers({ processes: 1, workers: 50, handler: "noop" });
    await trial.recorded();
  });

  for (const [name, bound] of Object.entries(BOUNDS)) {
    const value = counted[name as keyof typeof BOUNDS]!;
    await t.step(
      `${name} a task: ${value.toPrecision(3)}, at most ${bound}`,
      () => assert.ok(value <= bound),
    );
  }
  await t.step("claims and ends look at their own rows alone", async () => {
    const sql = servers.look(trial.database);
    // A bitmap scan counts an index's entries of versions that are dead, of which each task has left two.
    await sql`vacuum (freeze, index_cleanup on) tq.tasks`;
    const engine = crypto.randomUUID();
    const ids = (await sql`select id::float8 as id from tq.tasks limit 100`).map(({ id }) => Number(id));
    const leases = ids.map((id) => ({ id, claims: 1 }));
    const claimed = await planOf(sql, await sentBy("tq", (db) => claim(db, ids, engine, {})));
    const ended = await planOf(sql, await sentBy("tq", (db) => complete(db, leases, engine, null, {})));
    for (const plan of [claimed, ended]) {
      assert.deepEqual(plan.scanned.filter((table) => table === "tasks"), []);
      assert.ok(plan.touched <= 2 * ids.length, JSON.stringify(plan));
    }
  });
});

/** Statements of the hot path alone: what a supervisor does by the clock depends on how long it runs. */
async function read(servers: Servers, database: string): Promise<Counters> {
  const [row] = await servers.sql`
    select coalesce(sum(calls), 0)::float8 as statements, (pg_current_wal_lsn() - '0/0')::float8 as bytes
    from pg_stat_statements s join pg_database d on d.oid = s.dbid
    where datname = ${database} and query ~* 'insert into tq\\.tasks|update tq\\.tasks|nextval'`;
  const stats = [...(await servers.redis.info("commandstats")).matchAll(/^cmdstat_(\w+):calls=(\d+)/gm)];
  const commands = stats.filter(([, name = ""]) => /^(zadd|bzmpop|zmpop)$/.test(name))
    .reduce((sum, [, , calls]) => sum + Number(calls), 0);
  return { statements: Number(row?.statements), commands, bytes: Number(row?.bytes) };
}

/** Hints that are in Redis. */
async function hints({ redis }: Servers): Promise<number> {
  const [key] = await redis.keys("*:queue:*");
  return key === undefined ? 0 : await redis.zcard(key);
}
