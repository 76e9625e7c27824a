/**
 * A host is frozen for longer than its lease and wakes up: what its successor wrote stays, and it works again.
 *
 * @module
 */

import { eventually } from "../../support/fixtures.ts";
import { Site } from "../../support/host.ts";
import { livingOf, signal } from "../../support/processes.ts";
import { pass, type Scenario, Sheet } from "../scenario.ts";

const SIZES = { quick: { lease: 2 }, full: { lease: 30 } };
const TASKS = 10;

export const zombieHost: Scenario = {
  name: "zombie-host",
  what: "a host that is frozen beyond its lease and wakes up overwrites nothing, and works again",
  patient: true,
  async run(size) {
    const { lease } = SIZES[size];
    const sheet = new Sheet();
    await using site = await Site.start({ environment: { TQ_LEASE: String(lease) } });
    const a = await site.host("a");
    const ids = await site.queue.publishMany(
      Array.from({ length: TASKS }, () => ({ model: "rel.Work", fname: "stuckOnce" })),
    );
    await eventually(async () => (await site.runs()).size === TASKS, { what: "running tasks" });
    const b = await site.host("b");
    await pass(lease + 2);
    const zombies = await a.engines();
    const frozen = await a.signalTree("SIGSTOP");
    const tasks = await Promise.all(ids.map((id) => site.queue.wait(id, { timeout: lease + 30 })));
    sheet.equal(
      "tasks that the other host completed",
      tasks.filter((task) => task.state === 10).length,
      TASKS,
    );
    for (const pid of frozen) signal(pid, "SIGCONT");
    await eventually(async () => (await livingOf(zombies)).length === 0, {
      what: "the end of the zombie engine",
      within: 30_000,
    });
    const after = await Promise.all(ids.map((id) => site.queue.get(id)));
    sheet.equal(
      "records that the zombie changed",
      after.filter((task, i) => !same(task, tasks[i])).length,
      0,
    );
    await b.stop();
    const next = await site.queue.wait(await site.queue.publish("rel.Work", "quick"), { timeout: 10 });
    sheet.equal("a task for the host that woke up", next.state, 10);
    return sheet;
  },
};

function same(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
