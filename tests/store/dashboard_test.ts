/**
 * What the dashboard reads of the record.
 *
 * @module
 */

import assert from "node:assert/strict";
import postgres from "npm:postgres@3.4.9";
import { endedText, LOOK_PLANNER, standingText, stepSeconds } from "../../src/store/dashboard.ts";
import { COUNT_LIMIT } from "../../src/store/mod.ts";
import { needTest } from "../support/need.ts";
import { PlanGround } from "../support/plan_ground.ts";
import { planOf } from "../support/query_plans.ts";
import { type Bench, storeSuite } from "../support/store_suite.ts";
import { claimOne, publish, publishOne } from "../support/tasks.ts";

/** Some minute, as its number and as Postgres reads it. */
const MINUTE = 29_000_000;
const at = (seconds: number) => new Date(MINUTE * 60_000 + seconds * 1000).toISOString();

/** Writes an ended task; times are seconds after `MINUTE`. */
async function ended(
  { sql }: Bench,
  task: {
    state?: number;
    ready?: number;
    due?: number;
    started?: number | null;
    ended: number;
    model?: string;
    reason?: string;
  },
): Promise<void> {
  const { state = 10, ready = 0, due, started = ready, model = "app.A", reason } = task;
  const time = (seconds: number | null | undefined) =>
    seconds === null || seconds === undefined ? "null" : `'${at(seconds)}'`;
  await sql(
    `insert into :schema.tasks (state, model, fname, created, scheduled_for, started_at, completed_at, modified, reason)
     values (${state}, '${model}', 'run', ${time(ready)}, ${time(due)}, ${time(started)}, ${time(task.ended)},
       ${time(task.ended)}, ${reason === undefined ? "null" : `'${reason}'`})`,
  );
}

storeSuite((test) => {
  test("endedStretch() counts what ended, how long it took and how long it waited", async (bench) => {
    await ended(bench, { ended: 1, started: 0.5 });
    await ended(bench, { ended: 61, started: 60.9, ready: 60 });
    await ended(bench, { state: -1, model: "app.B", ended: 50, started: 40, reason: "old" });
    await ended(bench, { state: -1, model: "app.B", ended: 62, started: 61, ready: 60, reason: "new" });
    await ended(bench, { state: -2, ended: 63, started: null, ready: 60 });
    await ended(bench, { ended: 600 });
    const found = await bench.store.endedStretch(at(0), at(120), 1000);
    assert.equal(found.rows, 5);
    assert.equal(Date.parse(found.lowest!), Date.parse(at(1)));
    const sorted = <T>(rows: readonly T[]) => rows.map((row) => JSON.stringify(row)).sort();
    assert.deepEqual(
      sorted(found.states),
      sorted([[MINUTE, 10, 1], [MINUTE, -1, 1], [MINUTE + 1, 10, 1], [MINUTE + 1, -1, 1], [
        MINUTE + 1,
        -2,
        1,
      ]]),
    );
    const handlers = found.handlers.map(([minute, model, fname, state, count, seconds, longest]) =>
      `${minute - MINUTE} ${model} ${fname} ${state} ${count} ${seconds.toFixed(1)} ${longest.toFixed(1)}`
    );
    assert.deepEqual(handlers.sort(), [
      "0 app.A run 10 1 0.5 0.5",
      "0 app.B run -1 1 10.0 10.0",
      "1 app.A run -2 1 0.0 0.0",
      "1 app.A run 10 1 0.1 0.1",
      "1 app.B run -1 1 1.0 1.0",
    ]);
    assert.deepEqual(found.failures.map(([model, fname, , time, reason]) => [model, fname, time, reason]), [
      ["app.B", "run", MINUTE * 60 + 62, "new"],
    ]);
    const runs = found.runs.flatMap(([, step, count]) => Array(count).fill(stepSeconds(step)));
    for (const [i, seconds] of [0.1, 0.5, 1, 10].entries()) {
      const measured = runs.sort((a, b) => a - b)[i];
      assert.ok(Math.abs(measured / seconds - 1) < 0.05, `${measured} for ${seconds}`);
    }
  });

  test("endedStretch() tells who waited across minutes; a retry waits from when it was due", async (bench) => {
    await ended(bench, { ready: 10, started: 190, ended: 200 });
    await ended(bench, { ready: 20, started: 185, ended: 200 });
    await ended(bench, { ready: 0, due: 130, started: 131, ended: 200 });
    await ended(bench, { state: -2, ready: 30, started: null, ended: 70 });
    const { spans } = await bench.store.endedStretch(at(0), null, 1000);
    const told = spans.map(([ready, left, count]) => [ready - MINUTE, left - MINUTE, count]);
    assert.deepEqual(told.sort(), [[0, 1, 1], [0, 3, 2]]);
  });

  test("a task that a person runs again waits from then on, not from when it was published", async (bench) => {
    const { store, sql } = bench;
    const engine = crypto.randomUUID();
    const { id, claims } = await claimOne(store, engine);
    await store.finish([{ id, claims, state: -1, reason: "r", result: null, delay: null }], engine, null);
    await sql("update :schema.tasks set created = created - interval '1 day'");
    await store.retryNow([id]);
    const { now, channels } = await store.standing();
    assert.ok(now - channels[0]!.oldest < 60);
    const [again] = await store.claim([id], engine);
    await store.complete([{ id, claims: again!.claims }], engine, null);
    // Not to now: by the embedded database's clock, which counts milliseconds, that may be the moment of the end.
    const { rows, waits, spans, runs } = await store.endedStretch(
      at(0),
      new Date(2 ** 42).toISOString(),
      1000,
    );
    assert.deepEqual([rows, waits, spans, runs.length], [1, [], [], 1]);
  });

  test("endedStretch() reads the newest first, and never half of one moment", async (bench) => {
    for (let second = 1; second <= 9; second++) await ended(bench, { ended: Math.ceil(second / 3) });
    const first = await bench.store.endedStretch(at(0), null, 4);
    assert.deepEqual([first.rows, Date.parse(first.lowest!)], [6, Date.parse(at(2))]);
    const rest = await bench.store.endedStretch(at(0), first.lowest, 4);
    assert.equal(rest.rows, 3);
    const none = await bench.store.endedStretch(at(0), rest.lowest, 4);
    assert.deepEqual([none.rows, none.lowest, none.states], [0, null, []]);
  });

  test("standing() tells what waits and runs, and who works", async ({ store, sql }) => {
    const empty = await store.standing();
    assert.deepEqual(
      { ...empty, now: 0 },
      {
        now: 0,
        channels: [],
        counted: null,
        readyMinutes: [],
        running: [],
        later: 0,
        nextDue: null,
        engines: [],
        isLed: false,
      },
    );
    const engine = crypto.randomUUID();
    await store.registerEngine({ id: engine, host: "h", pid: 7, codeVersion: "abc", channels: ["a", "b"] });
    await store.lead(crypto.randomUUID(), 30);
    await publish(store, 3, { channel: "a" });
    await publish(store, 1, { channel: "a", priority: 5 });
    await publish(store, 2, { channel: "b" });
    await publishOne(store, { channel: "a", delay: 60 });
    await claimOne(store, engine, { channel: "c" });
    // Of low priority, and the first that was ready.
    await sql(
      `update :schema.tasks set modified = modified - interval '1 hour', priority = -5
       where id = (select min(id) from :schema.tasks where channel = 'a' and state = 0 and priority = 0)`,
    );
    const found = await store.standing();
    assert.deepEqual(found.channels.map(({ channel, ready }) => [channel, ready]), [["a", 4], ["b", 2]]);
    const [a, b] = found.channels;
    assert.ok(found.now - a!.oldest > 3_500 && found.now - b!.oldest < 60);
    assert.equal(found.readyMinutes.reduce((sum, [, count]) => sum + count, 0), 6);
    assert.deepEqual(
      found.running.map((row) => `${row.engine} ${row.channel} ${row.count}`).sort(),
      [`${engine} null 1`, "null c 1"].sort(),
    );
    assert.equal(found.later, 1);
    assert.ok(found.nextDue! - found.now > 50 && found.nextDue! - found.now <= 60);
    assert.ok(found.isLed);
    const [row] = found.engines;
    assert.deepEqual([row!.id, row!.host, row!.pid, row!.commit, row!.channels], [
      engine,
      "h",
      7,
      "abc",
      ["a", "b"],
    ]);
    assert.ok(found.now - row!.beat < 60);
  });

  test("standing() counts the channels that are subscribed to, and says what it did not count", async (bench) => {
    const { store, sql } = bench;
    await sql(
      `insert into :schema.tasks (state, channel, model, fname)
       select 0, 'made.' || lpad(g::text, 3, '0'), 'app', 'run' from generate_series(1, 60) g`,
    );
    await publish(store, 2, { channel: "of.an.engine" });
    await publish(store, 3, { channel: "set" });
    await publish(store, 1, { channel: "unknown" });
    const engine = { id: crypto.randomUUID(), host: "h", pid: 7, codeVersion: null };
    await store.registerEngine({ ...engine, channels: ["of.an.engine", "idle"] });
    const { channels, counted } = await store.standing(["set", "idle.too"]);
    const ready = new Map(channels.map(({ channel, ready }) => [channel, ready]));
    assert.deepEqual([ready.size, ready.get("made.050"), ready.get("of.an.engine"), ready.get("set")], [
      52,
      1,
      2,
      3,
    ]);
    assert.deepEqual(new Set(counted), new Set([...ready.keys(), "idle", "idle.too"]));
    await sql("delete from :schema.tasks where channel > 'made.040' and channel like 'made%'");
    assert.equal((await store.standing()).counted, null);
  });

  test("lastLogId() is that of the last line, or 0", async ({ store }) => {
    const id = await publishOne(store);
    assert.equal(await store.lastLogId(id), 0);
    const note = { task_id: id, kind: "log", text: "x", progress: null };
    await store.writeNotes([note, note], crypto.randomUUID());
    assert.equal(await store.lastLogId(id), (await store.readLog(id)).at(-1)!.id);
  });
});

needTest(["postgres"], "among 200,000 tasks the dashboard reads a few, by index", async (t) => {
  await using ground = await PlanGround.make();
  const { url, schema } = ground;
  const sql = postgres(url, { max: 1, onnotice() {}, prepare: false, connection: LOOK_PLANNER });
  const insert = (state: number, count: number) =>
    sql.unsafe(
      `insert into ${schema}.tasks (state, channel, model, fname, priority, created, modified, started_at, completed_at,
         scheduled_for, engine_id)
       select ${state}, 'c' || g % 4, 'myapp.Report', 'run', g % 3, now() - g * interval '10 ms',
         now() - g * interval '10 ms', now(), now(), now() + g * interval '1 second', gen_random_uuid()
       from generate_series(1, ${count}) g`,
    );
  const check = async () => {
    const from = new Date(Date.now() - 3_600_000).toISOString();
    const stretch = await planOf(sql, { text: endedText(schema, from, null, 1000), parameters: [] });
    assert.deepEqual(stretch.indexes.map(({ name }) => name), ["tasks_ended"]);
    assert.ok(
      stretch.indexes[0]!.condition !== undefined && stretch.touched <= 3000,
      JSON.stringify(stretch),
    );
    const stand = await planOf(sql, { text: standingText(schema), parameters: [] });
    assert.ok(!stand.scanned.includes("tasks"), JSON.stringify(stand.scanned));
    // Ready ones of each channel, those for later, and those that run.
    const most = 4 * (COUNT_LIMIT + 1) + (COUNT_LIMIT + 1) + 1_000 + 100;
    assert.ok(stand.touched <= most, `${stand.touched} rows were looked at`);
  };
  try {
    for (const [state, count] of [[10, 100_000], [0, 80_000], [1, 1_000], [2, 19_000]] as const) {
      await insert(state, count);
    }
    await t.step("without statistics", check);
    await sql.unsafe(`analyze ${schema}.tasks`);
    await t.step("with statistics", check);
  } finally {
    await sql.end();
  }
});
