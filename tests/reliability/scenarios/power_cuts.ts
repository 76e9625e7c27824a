/**
 * Three power cuts of a host do not fail an innocent task: nobody is charged for them.
 *
 * @module
 */

import { eventually } from "../../support/fixtures.ts";
import { Site } from "../../support/host.ts";
import { type Scenario, Sheet } from "../scenario.ts";

const CUTS = 3;
const TASKS = 20;

export const powerCuts: Scenario = {
  name: "power-cuts",
  what: "three power cuts of a host do not fail an innocent task",
  patient: true,
  async run() {
    const sheet = new Sheet();
    await using site = await Site.start();
    const host = await site.host("a");
    const ids = await site.queue.publishMany(
      Array.from({ length: TASKS }, () => ({
        model: "rel.Work",
        fname: "gated",
        data: { gate: "end" },
        options: { maxAttempts: 2 },
      })),
    );
    const running = (count: number) =>
      eventually(async () => {
        const runs = await site.runs();
        return ids.every((id) => (runs.get(id)?.length ?? 0) >= count);
      }, { what: `run ${count} of all tasks`, within: 20_000 });
    await running(1);
    for (let cut = 1; cut <= CUTS; cut++) {
      await host.kill();
      // Postgres is on this host as well.
      await site.postgres.kill();
      await site.redis!.kill();
      await Promise.all([site.postgres.start(), site.redis!.start()]);
      await host.start();
      await running(cut + 1);
    }
    await site.open("end");
    const tasks = await Promise.all(ids.map((id) => site.queue.wait(id, { timeout: 30 })));
    sheet.equal("tasks completed", tasks.filter((task) => task.state === 10).length, TASKS);
    sheet.equal("attempts charged to each at most", Math.max(...tasks.map((task) => task.attempts)), 1);
    sheet.equal("deaths charged to each at most", Math.max(...tasks.map((task) => task.deaths)), 0);
    return sheet;
  },
};
