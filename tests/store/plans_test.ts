/**
 * How Postgres finds rows among 200,000: with fresh statistics, with none, and with those of a quieter time, as they
 * are minutes after a wave of tasks came in.
 *
 * @module
 */

import assert from "node:assert/strict";
import postgres from "npm:postgres@3.4.9";
import { claim, claimNext } from "../../src/store/claim.ts";
import type { Database } from "../../src/store/database.ts";
import { expireStale, promoteDue } from "../../src/store/due.ts";
import { complete, finish } from "../../src/store/finish.ts";
import {
  activeChannels,
  COUNT_LIMIT,
  list,
  readyAfter,
  readyCounts,
  untouchedReady,
} from "../../src/store/inspect.ts";
import { beat, deadEngines, readySuspects, rescue } from "../../src/store/lease.ts";
import { prune } from "../../src/store/prune.ts";
import { release } from "../../src/store/release.ts";
import { needTest } from "../support/need.ts";
import { PlanGround } from "../support/plan_ground.ts";
import { type Plan, planOf, sentBy } from "../support/query_plans.ts";

const ENGINES = Array.from({ length: 20 }, () => crypto.randomUUID());
const ENGINE = ENGINES[0]!;
/** Rows of each state. */
const ENDED = 150_000;
const READY = 30_000;
const RUNNING = 10_000;
const WAITING = 10_000;

/** A statement, the index that it must use (one of them), and how many rows it may look at. */
interface Case {
  readonly name: string;
  readonly index: string | readonly string[];
  readonly most: number;
  readonly verb: (db: Database) => Promise<unknown>;
  /** Which of the statements that it sends, from 0. @default 0 */
  readonly nth?: number;
}

function cases(ids: { ready: readonly number[]; running: readonly number[] }): Case[] {
  const leases = ids.running.map((id) => ({ id, claims: 1 }));
  const endings = leases.map((lease) =>
    ({ ...lease, state: -1, reason: "r", result: null, delay: null }) as const
  );
  return [
    { name: "claim by ids", index: "tasks_pkey", most: 500, verb: (db) => claim(db, ids.ready, ENGINE, {}) },
    {
      name: "claim one",
      index: "tasks_pkey",
      most: 5,
      verb: (db) => claim(db, ids.ready.slice(0, 1), ENGINE, {}),
    },
    {
      name: "claim next",
      index: "tasks_ready",
      most: 500,
      verb: (db) => claimNext(db, ["c1", "c2"].map((channel) => ({ channel, room: 100 })), 100, ENGINE, {}),
    },
    {
      name: "complete",
      index: "tasks_pkey",
      most: 500,
      verb: (db) => complete(db, leases, ENGINE, null, {}),
    },
    { name: "finish", index: "tasks_pkey", most: 500, verb: (db) => finish(db, endings, ENGINE, null, {}) },
    { name: "release", index: "tasks_pkey", most: 500, verb: (db) => release(db, leases, ENGINE, null, {}) },
    { name: "prune", index: "tasks_ended", most: 500, verb: (db) => prune(db, 1.7, 30, 100, {}), nth: 1 },
    {
      name: "prune what is left of 1.7 days",
      index: "tasks_ended",
      most: 500,
      verb: (db) => prune(db, 1.7, 0.1, 100, {}),
      nth: 1,
    },
    {
      name: "prune the oldest",
      index: "tasks_ended",
      most: 500,
      verb: (db) => prune(db, 1.7, 1.7, 100, {}),
    },
    { name: "dead engines", index: "tasks_held", most: 500, verb: (db) => deadEngines(db, 30, {}) },
    { name: "beat", index: "tasks_held", most: 1500, verb: (db) => beat(db, [ENGINE], ["c1", "c2"], {}) },
    { name: "due", index: "tasks_due", most: 500, verb: (db) => promoteDue(db, 100, {}) },
  ];
}

/** Those that may look at more, but not at everything. */
function others(): Omit<Case, "most">[] {
  return [
    { name: "list by -id", index: "tasks_pkey", verb: (db) => list(db, {}, {}) },
    { name: "list by -modified", index: "tasks_ended", verb: (db) => list(db, { sort: "-modified" }, {}) },
    {
      name: "failed by -modified",
      index: "tasks_ended",
      verb: (db) => list(db, { sort: "-modified", states: [-1] }, {}),
    },
    { name: "stale", index: "tasks_stale", verb: (db) => expireStale(db, 1000, {}) },
    {
      name: "rescue",
      index: "tasks_held",
      verb: (db) => rescue(db, ENGINE, { reason: "r", suspects: [1] }, {}),
    },
    {
      name: "suspects",
      index: ["tasks_suspects", "tasks_ready"],
      verb: (db) => readySuspects(db, ["c1"], 10, {}),
    },
    { name: "ready counts", index: "tasks_ready", verb: (db) => readyCounts(db, ["c1", "c2"], {}) },
    { name: "active channels", index: "tasks_ready", verb: (db) => activeChannels(db, {}) },
    { name: "untouched", index: "tasks_ready", verb: (db) => untouchedReady(db, "c1", 1000, 5, {}) },
    {
      name: "ready after",
      index: "tasks_ready",
      verb: (db) => readyAfter(db, "c1", { priority: 1, id: 0 }, 1000, {}),
    },
  ];
}

needTest(["postgres"], "among 200,000 rows every statement finds its own by an index", async (t) => {
  await using ground = await PlanGround.make();
  const { url, schema } = ground;
  const sql = postgres(url, { max: 1, onnotice() {}, fetch_types: false, prepare: false });
  const tasks = `${schema}.tasks`;
  const insert = (state: number, count: number) =>
    sql.unsafe(
      `insert into ${tasks} (state, claims, channel, model, fname, priority, modified, scheduled_for, engine_id, started_at)
       select ${state}, 1, 'c' || g % 4, 'myapp.Report', 'run', g % 3, now() - g * interval '1 second',
         now() + (g - 500) * interval '1 second', (array['${ENGINES.join("','")}'])[1 + g % 20]::uuid, now()
       from generate_series(1, ${count}) g`,
    );
  const wave = async () => {
    await insert(0, READY);
    await insert(1, RUNNING);
    await insert(2, WAITING);
  };
  const idsIn = async (state: number) =>
    (await sql.unsafe(
      `select id::float8 as id from ${tasks} where state = ${state} order by random() limit 100`,
    ))
      .map((row) => Number(row.id));
  const check = async (statistics: string) => {
    const ids = { ready: await idsIn(0), running: await idsIn(1) };
    const broken: string[] = [];
    const look = async (one: Omit<Case, "most">): Promise<Plan> => {
      const plan = await planOf(sql, await sentBy(schema, one.verb, one.nth));
      const used = JSON.stringify(plan);
      if (plan.scanned.includes("tasks")) broken.push(`${one.name} reads the whole table: ${used}`);
      if (!plan.indexes.some((index) => [one.index].flat().includes(index.name))) {
        broken.push(`${one.name} without its index: ${used}`);
      }
      return plan;
    };
    for (const one of cases(ids)) {
      const plan = await look(one);
      const walked = plan.indexes.filter((index) => index.condition === undefined && index.rows > 1);
      if (walked.length > 0) broken.push(`${one.name} walks ${JSON.stringify(walked)}`);
      if (plan.touched > one.most) {
        broken.push(`${one.name} looks at ${plan.touched} rows: ${JSON.stringify(plan)}`);
      }
    }
    for (const one of others()) await look(one);
    assert.equal(broken.length, 0, `with ${statistics}:\n${broken.join("\n")}`);
  };
  try {
    await insert(10, ENDED);
    await wave();
    await t.step("without statistics", () => check("no statistics"));
    await sql.unsafe(`truncate ${tasks}`);
    await insert(10, ENDED);
    await sql.unsafe(`analyze ${tasks}`);
    await wave();
    await t.step("with statistics that know nothing of the last wave", () => check("old statistics"));
    await sql.unsafe(`analyze ${tasks}`);
    await t.step("with fresh statistics", () => check("fresh statistics"));
  } finally {
    await sql.end();
  }
});

needTest(
  ["postgres"],
  "a backlog that the planner knows of is counted up to the limit, no further",
  async () => {
    await using ground = await PlanGround.make();
    const { url, schema } = ground;
    const sql = postgres(url, { max: 1, onnotice() {}, fetch_types: false, prepare: false });
    try {
      await sql.unsafe(
        `insert into ${schema}.tasks (state, channel, model, fname)
       select 0, 'c1', 'myapp.Report', 'run' from generate_series(1, ${50 * COUNT_LIMIT})`,
      );
      await sql.unsafe(`analyze ${schema}.tasks`);
      const plan = await planOf(sql, await sentBy(schema, (db) => readyCounts(db, ["c1"], {})));
      assert.equal(plan.touched, COUNT_LIMIT + 1, JSON.stringify(plan));
    } finally {
      await sql.end();
    }
  },
);
