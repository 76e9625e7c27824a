/**
 * Many tasks due in the same second, and tasks due at moments of their own: on time, with nothing in Redis
 * beforehand, and with bounded memory.
 *
 * @module
 */

import type { PublishOptions } from "../../../src/publish/options.ts";
import { eventually } from "../../support/fixtures.ts";
import { Site } from "../../support/host.ts";
import { MemoryWatch, pass, percentile, type Scenario, Sheet } from "../scenario.ts";

const SIZES = {
  quick: { burst: 3000, lead: 2.5, amid: 20, spread: 100, over: 1.5, bound: 1000 },
  full: { burst: 200_000, lead: 60, amid: 100, spread: 1000, over: 60, bound: 250 },
};
const MEMORY = 250;
/** Tasks of higher priority are due amid the burst, so many milliseconds apart. */
const AMID_EVERY = 60;

export const dueBurst: Scenario = {
  name: "due",
  what: "tasks due in one second, and spread ones: started on time, Redis empty beforehand, memory bounded",
  patient: false,
  async run(size) {
    const { burst, lead, amid, spread, over, bound } = SIZES[size];
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
    const amidDues = Array.from({ length: amid }, (_, n) => at.getTime() + n * AMID_EVERY);
    const amidIds = await publishAt(site, amidDues, { priority: 10 });
    sheet.equal("all of them were published before", Date.now() < at.getTime(), true);
    await eventually(() => Date.now() > at.getTime() - 300, { what: "their moment", within: lead * 1000 });
    sheet.equal("ids in Redis beforehand", await site.hinted(), 0);
    await eventually(async () => (await site.states())[10] === burst + amid, {
      what: "the end of the burst",
      within: 300_000,
    }).catch(() => {});
    sheet.equal("of the burst completed", (await site.states())[10], burst + amid);
    sheet.note("seconds for the burst", ((Date.now() - at.getTime()) / 1000).toFixed(1));
    const amidLate = await lateness(site, amidIds, amidDues);
    sheet.atMost("p95 of start after due, of higher priority amid it", percentile(amidLate, 95), bound, "ms");

    const first = Date.now() + 1000;
    const dues = Array.from({ length: spread }, (_, n) => Math.round(first + n * over * 1000 / spread));
    const ids = await publishAt(site, dues);
    await pass((first - Date.now()) / 1000 + over);
    await eventually(async () => (await site.states())[10] === burst + amid + spread, {
      what: "the spread ones",
    })
      .catch(() => {});
    const late = await lateness(site, ids, dues);
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

async function publishAt(
  site: Site,
  dues: readonly number[],
  options: PublishOptions = {},
): Promise<number[]> {
  return await site.queue.publishMany(
    dues.map((due) => ({ model: "rel.Work", fname: "quick", options: { ...options, at: new Date(due) } })),
  );
}

/** Milliseconds from due to start. */
async function lateness(site: Site, ids: readonly number[], dues: readonly number[]): Promise<number[]> {
  const runs = await site.runs();
  return ids.map((id, n) => (runs.get(id)?.[0]?.start ?? Infinity) - dues[n]!);
}
