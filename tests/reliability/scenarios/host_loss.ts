/**
 * A host is lost with tasks inside their handlers: another host has them after the lease; the same host, started
 * again, at once. Nobody is charged.
 *
 * @module
 */

import { eventually } from "../../support/fixtures.ts";
import { Site } from "../../support/host.ts";
import { pass, type Scenario, Sheet } from "../scenario.ts";

const SIZES = {
  quick: { lease: 2, otherHost: 15, sameHost: 9 },
  full: { lease: 30, otherHost: 35, sameHost: 3 },
};
const TASKS = 20;

export const hostLoss: Scenario = {
  name: "host-loss",
  what: "kill -9 of a whole host with 20 running tasks: another host has them, the same host at once",
  patient: true,
  async run(size) {
    const { lease, otherHost, sameHost } = SIZES[size];
    const sheet = new Sheet();
    await using site = await Site.start({
      environment: { TQ_LEASE: String(lease), TQ_WORKERS: String(TASKS) },
    });
    // The host that is lost leads: another must take over that as well.
    const a = await site.host("a");
    const ids = await publish(site);
    const b = await site.host("b");
    // Who judges must have beaten without a gap for a lease.
    await pass(lease + 2);
    const killed = Date.now();
    await a.kill();
    await secondRuns(site, ids, lease + 30);
    const took = Math.max(...await secondStarts(site, ids)) - killed;
    sheet.atMost("another host has all of them", took / 1000, otherHost, "s");
    await charged(sheet, site, ids, "another host");
    await b.stop();

    await a.start();
    const others = await publish(site);
    await a.kill();
    const restarted = Date.now();
    await a.start();
    await secondRuns(site, others, lease + 30);
    const again = Math.max(...await secondStarts(site, others)) - restarted;
    sheet.atMost("the same host has all of them, from its start", again / 1000, sameHost, "s");
    await charged(sheet, site, others, "the same host");
    return sheet;
  },
};

/** Publishes tasks whose first run does not end, and waits until all run. */
async function publish(site: Site): Promise<number[]> {
  const ids = await site.queue.publishMany(
    Array.from({ length: TASKS }, () => ({ model: "rel.Work", fname: "stuckOnce" })),
  );
  await eventually(async () => {
    const runs = await site.runs();
    return ids.every((id) => runs.has(id));
  }, { what: `${TASKS} running tasks`, within: 10_000 });
  return ids;
}

async function secondRuns(site: Site, ids: readonly number[], seconds: number): Promise<void> {
  await eventually(async () => (await secondStarts(site, ids)).length === ids.length, {
    what: "the second runs",
    within: seconds * 1000,
  });
  for (const id of ids) await site.queue.wait(id, { timeout: 10 });
}

async function secondStarts(site: Site, ids: readonly number[]): Promise<number[]> {
  const runs = await site.runs();
  return ids.flatMap((id) => runs.get(id)?.[1]?.start ?? []);
}

async function charged(sheet: Sheet, site: Site, ids: readonly number[], who: string): Promise<void> {
  const tasks = await Promise.all(ids.map((id) => site.queue.get(id)));
  const charges = tasks.filter((task) => task!.state !== 10 || task!.attempts !== 1 || task!.deaths !== 0);
  sheet.equal(`tasks that were charged or did not complete (${who})`, charges.length, 0);
}
