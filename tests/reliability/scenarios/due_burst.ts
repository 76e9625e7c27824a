/**
 * Many tasks due in the same second, and tasks due at moments of their own: on time, with nothing in Redis
 * beforehand, and with bounded memory.
 *
 * @module
 */

import { eventually } from "../../support/fixtures.ts";
import { Site } from "../../support/host.ts";
import { MemoryWatch, pass, percentile, type Scenario, Sheet } from "../scenario.ts";

const SIZES = {
  quick: { burst: 3000, lead: 3, spread: 100, over: 2, bound: 1000 },
  full: { burst: 200_000, lead: 60, spread: 1000, over: 60, bound: 250 },
};
const MEMORY = 250;

export const dueBurst: Scenario = {
  name: "due",
  what: "tasks due in one second, and spread ones: started on time, Redis empty beforehand, memory bounded",
  patient: false,
  async run(size) {
    const { burst, lead, spread, over, bound } = SIZES[size];
    const sheet = new Sheet();
    await using site = await Site.start({ environment: { TQ_PROCESSES: "2" } });
    const host = await site.host("a");
    const pids = [host.pid, ...(await host.engines()).map((one) => one.pid)];
    using memory = new MemoryWatch(pids);
    const at = new Date(Date.now() + lead * 1000);
    for (let done = 0; done < burst; done += 10_000) {
      await site.queue.publishMany(
        Array.from({ length: Math.min(10_000, burst - done) }, () => ({
          model: "rel.Work",
          fname: "quick",
          options: { at },
        })),
      );
    }
    sheet.equal("all of them were published before", Date.now() < at.getTime(), true);
    await eventually(() => Date.now() > at.getTime() - 300, { what: "their moment", within: lead * 1000 });
    sheet.equal("ids in Redis beforehand", await site.hinted(), 0);
    await eventually(async () => (await site.states())[10] === burst, {
      what: "the end of the burst",
      within: 300_000,
    }).catch(() => {});
    sheet.equal("of the burst completed", (await site.states())[10], burst);
    sheet.note("seconds for the burst", ((Date.now() - at.getTime()) / 1000).toFixed(1));

    const first = Date.now() + 1000;
    const dues = Array.from({ length: spread }, (_, n) => Math.round(first + n * over * 1000 / spread));
    const ids = await site.queue.publishMany(
      dues.map((due) => ({ model: "rel.Work", fname: "quick", options: { at: new Date(due) } })),
    );
    await pass((first - Date.now()) / 1000 + over);
    await eventually(async () => (await site.states())[10] === burst + spread, { what: "the spread ones" })
      .catch(() => {});
    const runs = await site.runs();
    const late = ids.map((id, n) => (runs.get(id)?.[0]?.start ?? Infinity) - dues[n]!);
    sheet.atLeast("earliest start after due", Math.min(...late), 0, "ms");
    sheet.atMost("p99 of start after due, spread ones", percentile(late, 99), bound, "ms");
    sheet.note("median, most", `${percentile(late, 50)} ms, ${Math.max(...late)} ms`);
    for (const pid of pids) {
      sheet.atMost(
        `memory of the ${pid === host.pid ? "supervisor" : "engine"}`,
        memory.peak(pid),
        MEMORY,
        "MB",
      );
    }
    return sheet;
  },
};
