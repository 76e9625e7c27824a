/**
 * `FLUSHALL` amid many ready tasks: all run, none twice to its end, and the throughput comes back.
 *
 * @module
 */

import { eventually } from "../../support/fixtures.ts";
import { type Run, Site } from "../../support/host.ts";
import { pass, type Scenario, Sheet } from "../scenario.ts";

const SIZES = {
  quick: { tasks: 5000, before: 1 },
  full: { tasks: 50_000, before: 11 },
};
/** Seconds by which the throughput must be back. */
const BACK_WITHIN = 15;
/** Of what it was. */
const BACK = 0.8;
/** Milliseconds from one look at the throughput to the next. */
const STEP = 100;

export const flushall: Scenario = {
  name: "flushall",
  what: "FLUSHALL amid ready tasks: all run, none twice, throughput is back within 15 s",
  patient: false,
  async run(size) {
    const { tasks, before } = SIZES[size];
    const sheet = new Sheet();
    await using site = await Site.start({ environment: { TQ_PROCESSES: "2" } });
    await site.queue.publishMany(
      Array.from({ length: tasks }, () => ({ model: "rel.Work", fname: "work", data: { ms: 40 } })),
    );
    await site.host("a");
    await eventually(async () => (await site.runs()).size > 100, { what: "the first tasks", within: 10_000 });
    await pass(before);
    const hinted = await site.hinted();
    const flushed = Date.now();
    await site.withRedis((client) => client.flushall());
    await eventually(async () => (await site.states())[10] === tasks, {
      what: "the end of all tasks",
      within: 120_000,
    }).catch(() => {});
    const runs = await site.runs();
    const ends = [...runs.values()].flat().flatMap((run) => run.end ?? []).sort((a, b) => a - b);
    const rate = perSecond(ends, flushed - before * 1000, flushed);
    // Back for good: for as long as there was work.
    const last = ends.at(-1)! - 1000;
    const windows = Array.from({ length: Math.floor((last - flushed) / STEP) }, (_, n) => flushed + n * STEP);
    const rates = windows.map((from) => perSecond(ends, from, from + 1000));
    const back = rates.findLastIndex((one) => one < BACK * rate) + 1;
    sheet.note("ids in Redis at the FLUSHALL", String(hinted));
    sheet.equal("tasks completed", (await site.states())[10], tasks);
    sheet.equal("tasks that ran twice to their end", [...runs.values()].filter(endedTwice).length, 0);
    sheet.note("throughput before", `${Math.round(rate)} tasks/s`);
    sheet.note("least in a second after", `${Math.round(Math.min(...rates))} tasks/s`);
    sheet.atMost(
      `seconds until it was ${BACK * 100} % of that for good`,
      back * STEP / 1000,
      BACK_WITHIN,
      "s",
    );
    sheet.equal("there was work left then", back < windows.length, true);
    await eventually(async () => await site.hinted() === 0, { what: "an empty Redis", within: 15_000 })
      .catch(() => {});
    sheet.equal("ids left in Redis", await site.hinted(), 0);
    return sheet;
  },
};

function perSecond(times: readonly number[], from: number, to: number): number {
  return times.filter((time) => time >= from && time < to).length * 1000 / (to - from);
}

function endedTwice(runs: readonly Run[]): boolean {
  return runs.filter((run) => run.end !== undefined).length > 1;
}
