/**
 * A backlog of ready tasks: memory stays bounded, and upkeep's queries stay quick.
 *
 * @module
 */

import { eventually } from "../../support/fixtures.ts";
import { Site } from "../../support/host.ts";
import { MemoryWatch, pass, percentile, type Scenario, Sheet } from "../scenario.ts";

const SIZES = {
  quick: { rows: 30_000, seconds: 3, times: 5, bound: 250 },
  full: { rows: 1_000_000, seconds: 60, times: 20, bound: 50 },
};
const MEMORY = 250;

export const backlog: Scenario = {
  name: "backlog",
  what: "a backlog of ready rows: memory stays below 250 MB, upkeep's queries stay quick",
  patient: false,
  async run(size) {
    const { rows, seconds, times, bound } = SIZES[size];
    const sheet = new Sheet();
    await using site = await Site.start();
    const { store } = site;
    await site.sql`
      insert into tq.tasks (model, fname, data, modified)
      select 'rel.Work', 'work', '{"ms": 5}', now() - interval '1 minute' from generate_series(1, ${rows}::integer)`;
    const host = await site.host("a");
    const [engine] = await host.engines();
    using memory = new MemoryWatch([host.pid, engine!.pid]);
    await pass(seconds / 2);
    const channel = "tq_model_handler";
    const queries: Record<string, () => Promise<unknown>> = {
      "lead": () => store.lead(crypto.randomUUID(), 0),
      "beat": () => store.beat([crypto.randomUUID()], [channel]),
      "promoteDue": () => store.promoteDue(1000),
      "expireStale": () => store.expireStale(1000),
      "activeChannels": () => store.activeChannels(),
      "readyCounts": () => store.readyCounts([channel]),
      "untouchedReady": () => store.untouchedReady(channel, 1000, 5),
      "readyAfter": () => store.readyAfter(channel, { priority: 101, id: 0 }, 1000),
      "readyAfter, half way": () => store.readyAfter(channel, { priority: 0, id: rows >> 1 }, 1000),
      "deadEngines": () => store.deadEngines(30),
      "readySuspects": () => store.readySuspects([channel], 8),
      "heldBy": () => store.heldBy(crypto.randomUUID(), 2),
      "prune": () => store.prune(7, 30, 1000),
    };
    for (const [name, query] of Object.entries(queries)) {
      const took: number[] = [];
      for (let i = 0; i < times; i++) {
        const started = performance.now();
        await query();
        took.push(performance.now() - started);
      }
      sheet.atMost(`${name}, median of ${times}`, percentile(took, 50), bound, "ms");
    }
    const [counted] = await store.readyCounts([channel]);
    sheet.atMost("a count stops", counted![1], 10_001, "rows");
    await pass(seconds / 2);
    await eventually(async () => ((await site.states())[10] ?? 0) > 0, { what: "completed tasks" });
    sheet.note("completed meanwhile", String((await site.states())[10]));
    sheet.note("ids in Redis", String(await site.hinted()));
    sheet.atMost("memory of the supervisor", memory.peak(host.pid), MEMORY, "MB");
    sheet.atMost("memory of the engine", memory.peak(engine!.pid), MEMORY, "MB");
    return sheet;
  },
};
