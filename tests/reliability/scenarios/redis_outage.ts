/**
 * Redis is down under a steady load: publishing never fails, tasks go on starting, and it is as it was afterwards.
 *
 * @module
 */

import { eventually } from "../../support/fixtures.ts";
import { Site } from "../../support/host.ts";
import { pass, percentile, type Scenario, Sheet, SteadyLoad } from "../scenario.ts";

const SIZES = {
  quick: { rate: 100, before: 1, away: 3, after: 4, settle: 2, awayBound: 6000, backBound: 250 },
  full: { rate: 200, before: 10, away: 60, after: 30, settle: 15, awayBound: 2000, backBound: 50 },
};

export const redisOutage: Scenario = {
  name: "redis-outage",
  what:
    "Redis down under load: publishing never fails, tasks go on starting, latency is back after its return",
  patient: false,
  async run(size) {
    const { rate, before, away, after, settle, awayBound, backBound } = SIZES[size];
    const sheet = new Sheet();
    await using site = await Site.start({ environment: { TQ_PROCESSES: "2" } });
    await site.host("a");
    const load = new SteadyLoad(site.queue, rate, { ms: 1 });
    await eventually(() => load.ids.length > 0, { what: "the first publish" });
    await pass(before);
    const down = Date.now();
    await site.redis!.kill();
    await pass(away);
    await site.redis!.start();
    const up = Date.now();
    await pass(after);
    await load.stop();
    const end = Date.now();
    const done = async () => (await site.states())[10] === load.ids.length;
    await eventually(done, { what: "the end of all tasks", within: 20_000 }).catch(() => {});
    const runs = await site.runs();
    const p99 = (from: number, to: number) => percentile(load.latencies(runs, from, to), 99);
    sheet.note("tasks published", String(load.published.length));
    sheet.equal("publishes that failed", load.published.filter((one) => one.error !== undefined).length, 0);
    sheet.equal("tasks that did not complete", load.ids.length - ((await site.states())[10] ?? 0), 0);
    sheet.note("p99 publish to start before", `${p99(0, down)} ms`);
    sheet.atMost("p99 publish to start while away", p99(down, up), awayBound, "ms");
    sheet.note("most while away", `${percentile(load.latencies(runs, down, up), 100)} ms`);
    sheet.note("p99 in the first seconds after", `${p99(up, up + settle * 1000)} ms`);
    sheet.atMost(`p99 from ${settle} s after its return`, p99(up + settle * 1000, end), backBound, "ms");
    return sheet;
  },
};
