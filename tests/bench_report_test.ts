/**
 * The benchmark's arithmetic and its documents; bench_guard_test.ts counts what tasks cost.
 *
 * @module
 */

import assert from "node:assert/strict";
import { join } from "node:path";
import { chooseContestants, CONTESTANTS, OTHERS, peerFolder } from "./bench/contestants.ts";
import { documentsOf, PUBLISHED, PUBLISHED_OTHERS } from "./bench/documents.ts";
import { parseOptions } from "./bench/options.ts";
import { chart } from "./bench/chart.ts";
import { othersSection, pageSection, readmeSection, textReport } from "./bench/report.ts";
import { Reports } from "./bench/reports.ts";
import { type Results, shown } from "./bench/results.ts";
import { median, percentile } from "./bench/statistics.ts";
import { findSystem, installLine, whyAbsent } from "./bench/system.ts";
import { judge } from "./bench/targets.ts";
import { publish } from "./bench/role/publishing.ts";
import { RATE } from "./bench/workload.ts";
import { WORKLOADS } from "./bench/workloads/mod.ts";
import { tempFolder } from "./support/fixtures.ts";
import { REPOSITORY } from "./support/tq.ts";

/** Rounds of `rate`, by workload and contestant. */
function resultsOf(rates: Record<string, Record<string, number[]>>): Results {
  const names = ["tq", "limit", "bullmq", "graphile-tuned", "pg-boss"];
  return {
    scale: "full",
    complete: true,
    minutes: 1,
    cores: 2,
    conditions: {
      machine: "2 cores, <model>",
      Postgres: "PostgreSQL 15",
      "settings of Postgres": "fsync on, synchronous_commit on, autovacuum off",
    },
    contestants: CONTESTANTS.filter(({ name }) => names.includes(name))
      .map(({ name, title, setup, durable }) => ({ name, title, setup, durable, version: "1" })),
    workloads: WORKLOADS.map(({ name, title, metrics }) => ({ name, title, metrics })),
    values: Object.fromEntries(
      Object.entries(rates).map(([workload, by]) => [
        workload,
        Object.fromEntries(Object.entries(by).map(([name, rounds]) => [name, { [RATE.name]: rounds }])),
      ]),
    ),
    failures: [],
  };
}

Deno.test("bench: medians and percentiles", () => {
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(median([4, 1, 2, 3]), 2.5);
  const sorted = Array.from({ length: 100 }, (_, i) => i + 1);
  assert.deepEqual([50, 95, 99, 100].map((p) => percentile(sorted, p)), [50, 95, 99, 100]);
  assert.equal(percentile([7], 99), 7);
  assert.ok(Number.isNaN(percentile([], 50)));
});

Deno.test("bench: numbers are shown with three digits that count", () => {
  assert.deepEqual([0.1234, 1.2, 12.34, 123.4, 1234, 123_456, NaN].map(shown), [
    ...["0.12", "1.20", "12.3", "123", "1,230", "123,000", "–"],
  ]);
});

Deno.test("bench: a bad option is one line that says what there is", () => {
  assert.throws(
    () => parseOptions(["--only", "run-1,nothing"]),
    /^Error: --only: there is no nothing; known: /,
  );
  assert.throws(() => parseOptions(["--contestants", "resque"]), /there is no resque; known: tq, /);
  assert.throws(() => parseOptions(["--rounds", "0"]), /--rounds is 0: give a whole number from 1/);
  assert.throws(() => parseOptions(["--fast"]), /--fast/);
  assert.equal(parseOptions(["--help"]), undefined);
  assert.deepEqual(parseOptions(["--quick", "--only", "run-1"])?.only, ["run-1"]);
});

Deno.test("bench: targets are judged by the medians of the rounds", () => {
  const judged = judge(resultsOf({
    "run-1": { tq: [90, 50, 60], limit: [79, 80, 81], bullmq: [10, 12, 14], "graphile-tuned": [40, 40, 40] },
    "publish-100": { tq: [50], bullmq: [20], "pg-boss": [2], "graphile-tuned": [1] },
  }));
  const verdictOf = (what: string) => {
    const { measured, verdict } = judged.find((one) => one.what === what)!;
    return [measured, verdict];
  };
  assert.deepEqual(verdictOf("run, one engine, against BullMQ"), ["5.00 ×", "met"]);
  assert.deepEqual(verdictOf("run, one engine, against graphile-worker tuned"), ["1.50 ×", "missed"]);
  assert.deepEqual(verdictOf("share of the limit, run"), ["75.0 %", "met"]);
  assert.deepEqual(verdictOf("publish, 100 callers, against the best other durable"), ["25.0 ×", "met"]);
  assert.deepEqual(verdictOf("run, two engines against one"), ["–", "not measured"]);
});

Deno.test("bench: tables and chart hold what was measured, and escape what is not theirs", () => {
  const results = resultsOf({ "run-1": { tq: [40_000, 41_000, 39_000], bullmq: [8000] } });
  assert.match(textReport(results), /BullMQ +8,000\/s +tq 5\.00 ×/);
  assert.match(readmeSection(results), /50 at once, a second *\| 40,000 *\| –/);
  assert.match(pageSection(results), /\| tq *\| 40,000 \(39,000 … 41,000\)/);
  assert.match(chart(results), /2 cores, &lt;model>/);
  assert.match(chart(results), />40,000<\/text>/);
});

Deno.test("bench: README says with which settings of Postgres it was measured", () => {
  const results = resultsOf({ "run-1": { tq: [1] } });
  const sentence = (settings: string) =>
    readmeSection({ ...results, conditions: { ...results.conditions, "settings of Postgres": settings } });
  assert.match(readmeSection(results), /; PostgreSQL 15 with fsync and without autovacuum, /);
  assert.match(sentence("autovacuum on, fsync off"), /; PostgreSQL 15 without fsync and with autovacuum, /);
});

Deno.test("bench: the page says what was left out", () => {
  const results = resultsOf({ "run-1": { tq: [1] } });
  const late = "Round 4 and later: there was no time left for them";
  assert.match(
    pageSection({ ...results, leftOut: [late] }),
    new RegExp(`\n\n### Left out\n\n- ${late}\n\n### T`),
  );
  assert.doesNotMatch(pageSection({ ...results, leftOut: [] }), /Left out/);
});

Deno.test("bench: --others is a run and a table of its own, without targets", () => {
  const chosen = (args: string[]) => chooseContestants(parseOptions(args)!).map(({ name }) => name);
  assert.deepEqual(chosen(["--others"]), ["tq", "celery", "rq", "sidekiq"]);
  assert.deepEqual(chosen(["--others", "--contestants", "tq,rq"]), ["tq", "rq"]);
  assert.ok(!chosen([]).includes("celery"));
  const known = WORKLOADS.map(({ name }) => name);
  assert.deepEqual(OTHERS.workloads.filter((name) => !known.includes(name)), []);

  const results: Results = {
    ...resultsOf({ "run-1": { tq: [40_000, 41_000, 39_000], bullmq: [500] } }),
    others: true,
    leftOut: ["RQ is left out"],
  };
  const section = othersSection(results);
  assert.match(section, /^\| +\| tq +\| the limit +\| BullMQ/m);
  assert.match(section, /50 at once, a second *\| 40,000 \(39,000 … 41,000\) *\| – *\| 500 /);
  assert.match(section, /^- RQ is left out$/m);
  assert.doesNotMatch(section + textReport(results), /Targets/);
  assert.match(textReport(results), /Left out\n {2}RQ is left out/);
});

Deno.test("bench: who is not installed is left out with what to type", async () => {
  const [rq, sidekiq] = ["rq", "sidekiq"].map((name) => CONTESTANTS.find((one) => one.name === name)!);
  assert.equal(
    whyAbsent(sidekiq!),
    "Sidekiq is left out, it is not installed: apt-get install -y ruby-sidekiq ruby-hiredis",
  );
  const celery = CONTESTANTS.find(({ name }) => name === "celery")!;
  assert.equal(
    installLine([celery, rq!]),
    "apt-get install -y python3-celery python3-redis python3-hiredis python3-rq",
    "what both need stands there once",
  );
  assert.equal(await findSystem("rq", { ...rq!.system!, modules: ["no_such_module_of_tq"] }), undefined);
  assert.equal(
    await findSystem("sidekiq", { ...sidekiq!.system!, modules: ["no_such_gem_of_tq"] }),
    undefined,
  );
});

Deno.test("bench: reports of several processes are one count over time", async () => {
  await using folder = await tempFolder();
  await Deno.writeTextFile(join(folder.path, "1"), "1 100\n51 200\nlatency 1.5\n60 300\n");
  await Deno.writeTextFile(join(folder.path, "2"), "1 150\n40 250\n41 3");
  using reports = new Reports(folder.path);
  assert.equal(reports.count(), 100);
  assert.equal(reports.timeOf(2), 150);
  assert.equal(reports.timeOf(52), 200);
  assert.equal(reports.timeOf(91), 250);
  assert.equal(reports.lastTime(), 300);
  assert.deepEqual(reports.latencies(), [1.5]);
  await Deno.writeTextFile(join(folder.path, "2"), "50\n", { append: true });
  assert.equal(reports.count(), 101, "a line that was half written is read when it is whole");
  assert.throws(() => reports.timeOf(102), /fewer than 102/);
});

Deno.test("bench: every task is published once, by callers, in batches and at fixed moments", async () => {
  const sizes: number[] = [];
  const driver = {
    // One of 4,096 moments is a whole number, which is four characters shorter.
    publish: (_: string, data: object) =>
      Promise.resolve(sizes.push(JSON.stringify({ ...data, at: 1764000000000.123 }).length)),
    publishMany: (_: string, list: readonly unknown[]) => Promise.resolve(list.forEach(() => sizes.push(0))),
  };
  const order = { handler: "noop", bytes: 100 } as const;
  assert.equal((await publish(driver, { ...order, how: "count", callers: 7, count: 100 })).count, 100);
  assert.equal(sizes.length, 100);
  assert.ok(sizes.every((size) => size === 100), `sizes are ${[...new Set(sizes)]}`);
  await publish(driver, { ...order, how: "load", size: 30, count: 100 });
  assert.equal(sizes.length, 200);
  const { ms } = await publish(driver, { ...order, how: "rate", perSecond: 1000, count: 50 });
  assert.equal(sizes.length, 250);
  assert.ok(ms >= 49, `50 tasks at 1,000 a second took ${ms} ms`);
});

Deno.test("bench: README, page and chart are those of the results that are kept", async () => {
  for (const published of [PUBLISHED, PUBLISHED_OTHERS]) {
    const text = await Deno.readTextFile(published).catch(() => undefined);
    if (text === undefined) continue; // No complete run yet: the documents say so.
    const documents = documentsOf(JSON.parse(text));
    for (const [path, expected] of documents) {
      const formatted = (some: string) => some.replaceAll(/[ -]{2,}/g, " ").replaceAll(/\s+/g, " ");
      const found = await Deno.readTextFile(join(REPOSITORY, path));
      assert.equal(formatted(found), formatted(expected), `run deno task bench --report ${published}`);
    }
  }
});

Deno.test("bench: the peers' lock files name the versions that are asked for", () => {
  for (const peer of ["bullmq", "graphile-worker", "pg-boss", "node"]) {
    const read = (name: string) => JSON.parse(Deno.readTextFileSync(join(peerFolder(peer), name)));
    const [asked, lock] = [read("package.json"), read("package-lock.json")];
    for (const [name, version] of Object.entries({ ...asked.dependencies, ...asked.optionalDependencies })) {
      assert.equal(lock.packages[`node_modules/${name}`].version, version, `${peer}: ${name}`);
    }
  }
});
