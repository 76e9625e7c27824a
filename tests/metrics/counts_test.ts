import assert from "node:assert/strict";
import { EngineCounts, MOST_HANDLERS, OUTCOMES, type RunOutcome } from "../../src/metrics/engine_counts.ts";
import { Histogram, SECONDS } from "../../src/metrics/histogram.ts";
import { HostCounts } from "../../src/metrics/host_counts.ts";
import { Stopwatch } from "../../src/metrics/stopwatch.ts";
import { TestClock } from "../support/fixtures.ts";

/** As it arrives at a supervisor. */
function told(counts: EngineCounts): EngineCounts["report"] {
  return JSON.parse(JSON.stringify(counts.report));
}

function run(counts: EngineCounts, fname: string, outcome: RunOutcome = "completed", channel = "c"): void {
  counts.ended({ channel, model: "app", fname }, true, outcome, 20, 3);
}

/** Runs by handler: `{ "app.a": [completed, failed, retry, canceled] }` */
function runsOf(host: HostCounts): Record<string, number[]> {
  return Object.fromEntries([...host.handlers].map(({ handler, outcomes }) => [handler, outcomes]));
}

Deno.test("Histogram: a value is in the first bucket whose bound it does not exceed", () => {
  const histogram = new Histogram([1, 2.5]);
  for (const value of [0, 1, 1.001, 2.5, 3, -1, Infinity]) histogram.observe(value);
  assert.deepEqual(histogram.report.slice(1), [3, 2, 2]);
  assert.equal(histogram.report[0], Infinity);
});

Deno.test("EngineCounts: runs are counted by channel, handler and outcome, with their times", () => {
  const counts = new EngineCounts();
  for (const outcome of OUTCOMES) run(counts, "a", outcome);
  run(counts, "a", "completed", "other_channel");
  counts.ended({ channel: "c", model: "app", fname: "b" }, true, "completed", undefined, 700);
  const { runs, waits } = told(counts);
  assert.deepEqual(runs.map(({ channel, handler, outcomes }) => [channel, handler, outcomes]), [
    ["c", "app.a", [1, 1, 1, 1]],
    ["other_channel", "app.a", [1, 0, 0, 0]],
    ["c", "app.b", [1, 0, 0, 0]],
  ]);
  const [sum = 0, ...buckets] = runs[0]!.seconds;
  assert.ok(Math.abs(sum - 0.012) < 1e-9);
  assert.equal(buckets[SECONDS.indexOf(0.005)], 4);
  const byChannel = Object.fromEntries(waits);
  assert.equal(byChannel["c"]?.slice(1).reduce((a, b) => a + b), 4, "an unknown wait is not counted");
  assert.equal(byChannel["c"]?.[1 + SECONDS.indexOf(0.025)], 4);
});

Deno.test("EngineCounts: handlers beyond the limit are one, and so are names that no handler has", () => {
  const counts = new EngineCounts();
  for (let i = 0; i < MOST_HANDLERS + 50; i++) run(counts, `f${i}`);
  for (let i = 0; i < 50; i++) {
    counts.ended({ channel: "c", model: "x", fname: `g${i}` }, false, "retry", 0, 0);
  }
  const { runs } = told(counts);
  assert.equal(runs.length, MOST_HANDLERS + 2);
  const byName = new Map(runs.map(({ handler, outcomes }) => [handler, outcomes]));
  assert.deepEqual(byName.get("other"), [50, 0, 0, 0]);
  assert.deepEqual(byName.get("unknown"), [0, 0, 50, 0]);
});

Deno.test("EngineCounts: everything that is counted is a change", () => {
  const counts = new EngineCounts();
  const acts = [
    () => run(counts, "a"),
    () => counts.batch("claim", 0, 1),
    () => counts.released(1),
    () => counts.dropped(1),
  ];
  for (const act of acts) {
    const before = counts.changes;
    act();
    assert.ok(counts.changes > before, String(act));
  }
});

Deno.test("HostCounts: replacing an engine takes nothing away", () => {
  const host = new HostCounts();
  const [first, second] = [new EngineCounts(), new EngineCounts()];
  run(first, "a");
  run(first, "a", "failed");
  host.heard(first, told(first));
  host.heard(first, told(first));
  assert.deepEqual(runsOf(host), { "app.a": [1, 1, 0, 0] }, "the same report twice counts once");
  run(second, "a");
  run(second, "b");
  second.batch("claim", 7, 5);
  second.released(3);
  second.dropped(2);
  host.heard(second, told(second));
  run(first, "a");
  host.heard(first, told(first));
  assert.deepEqual(runsOf(host), { "app.a": [3, 1, 0, 0], "app.b": [1, 0, 0, 0] });
  assert.deepEqual([host.runs("completed"), host.runs("failed"), host.released, host.dropped], [4, 1, 3, 2]);
  assert.equal(host.batches.get("claim")?.sizes.report[0], 7);
  const [[channel, waits] = ["", undefined]] = [...host.waits];
  assert.equal(channel, "c");
  assert.equal(waits?.report.slice(1).reduce((a, b) => a + b), 5);
  assert.ok(Math.abs(waits.report[0]! - 0.1) < 1e-9);
});

Deno.test("HostCounts: handlers that came and went over many engines are bounded too", () => {
  const host = new HostCounts();
  for (let generation = 0; generation < 5; generation++) {
    const engine = new EngineCounts();
    for (let i = 0; i < 100; i++) run(engine, `g${generation}_f${i}`);
    host.heard(engine, told(engine));
    for (let i = 0; i < 100; i++) run(engine, `g${generation}_f${i}`);
    host.heard(engine, told(engine));
  }
  const runs = runsOf(host);
  assert.equal(Object.keys(runs).length, MOST_HANDLERS + 1);
  assert.deepEqual(runs["app.g0_f0"], [2, 0, 0, 0]);
  assert.deepEqual(runs["other"], [600, 0, 0, 0]);
  assert.equal(host.runs("completed"), 1000);
});

Deno.test("Stopwatch: adds up the stretches during which something was wrong", async () => {
  const clock = new TestClock();
  const watch = new Stopwatch(clock);
  await clock.advance(1000);
  assert.equal(watch.seconds, 0);
  watch.set(true);
  await clock.advance(1500);
  watch.set(true);
  await clock.advance(500);
  assert.deepEqual([watch.seconds, watch.isRunning], [2, true]);
  watch.set(false);
  await clock.advance(5000);
  watch.set(false);
  assert.deepEqual([watch.seconds, watch.isRunning], [2, false]);
  watch.set(true);
  await clock.advance(250);
  assert.equal(watch.seconds, 2.25);
});
