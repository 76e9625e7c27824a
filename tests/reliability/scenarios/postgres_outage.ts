/**
 * Postgres is away for longer than a lease, with long handlers under way: nobody is declared dead, nothing runs twice.
 *
 * @module
 */

import { Site } from "../../support/host.ts";
import { eventually } from "../../support/fixtures.ts";
import { pass, type Scenario, Sheet } from "../scenario.ts";

const SIZES = {
  quick: { lease: 3, outage: 5, watch: 6 },
  full: { lease: 30, outage: 45, watch: 40 },
};
const TASKS = 20;

export const postgresOutage: Scenario = {
  name: "postgres-outage",
  what: "an outage of Postgres of one and a half leases gives no second run",
  patient: true,
  async run(size) {
    const { lease, outage, watch } = SIZES[size];
    const sheet = new Sheet();
    await using site = await Site.start({ environment: { TQ_LEASE: String(lease), TQ_WORKERS: "10" } });
    // Two hosts: each could judge the other.
    const hosts = [await site.host("a"), await site.host("b")];
    const spec = (gate: string) => ({ model: "rel.Work", fname: "gated", data: { gate } });
    // Half of the handlers end while Postgres is away, half after its return.
    const ids = await site.queue.publishMany(
      Array.from({ length: TASKS }, (_, n) => spec(n % 2 === 0 ? "during" : "after")),
    );
    await eventually(async () => (await site.runs()).size === TASKS, {
      what: "running tasks",
      within: 10_000,
    });
    await site.postgres.stop("immediate");
    await pass(outage / 2);
    await site.open("during");
    await pass(outage / 2);
    await site.postgres.start();
    // Whoever would judge too early would do so now.
    await pass(watch);
    await site.open("after");
    const tasks = await Promise.all(ids.map((id) => site.queue.wait(id, { timeout: 30 })));
    const runs = await site.runs();
    sheet.equal("tasks completed", tasks.filter((task) => task.state === 10).length, TASKS);
    sheet.equal("second runs", [...runs.values()].filter((list) => list.length > 1).length, 0);
    sheet.equal("claims of each at most", Math.max(...tasks.map((task) => task.claims)), 1);
    const lost = hosts.map((host) => host.log().match(/Engine lost|declared dead/g)?.length ?? 0);
    sheet.equal("engines declared dead", lost, [0, 0]);
    return sheet;
  },
};
