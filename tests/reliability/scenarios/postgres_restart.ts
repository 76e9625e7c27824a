/**
 * Postgres restarts in immediate mode under load: nothing acknowledged is lost, engines work again at once, and
 * no process exits.
 *
 * @module
 */

import { eventually } from "../../support/fixtures.ts";
import { Site } from "../../support/host.ts";
import { pass, type Scenario, Sheet, SteadyLoad } from "../scenario.ts";

const SIZES = {
  quick: { rate: 100, times: 1, around: 2, away: 0 },
  full: { rate: 200, times: 5, around: 10, away: 2 },
};

export const postgresRestart: Scenario = {
  name: "postgres-restart",
  what: "Postgres restarted under load: nothing is lost, engines work within 5 s, no process exits",
  patient: true,
  async run(size) {
    const { rate, times, around, away } = SIZES[size];
    const sheet = new Sheet();
    await using site = await Site.start({ environment: { TQ_PROCESSES: "2" } });
    const host = await site.host("a");
    const pids = async () => [host.pid, ...(await host.engines()).map((one) => one.pid)].sort();
    const before = await pids();
    const load = new SteadyLoad(site.queue, rate, { ms: 5 });
    const backs: number[] = [];
    for (let i = 0; i < times; i++) {
      await pass(around);
      await site.postgres.stop("immediate");
      await pass(away);
      await site.postgres.start();
      backs.push(Date.now());
    }
    await pass(around);
    await load.stop();
    await eventually(async () => await open(site) === 0, { what: "the end of all tasks", within: 60_000 })
      .catch(() => {});
    const runs = await site.runs();
    const starts = [...runs.values()].flat().map((run) => run.start).sort((a, b) => a - b);
    const rows = await site.sql<{ id: number }[]>`select id from tq.tasks where state = 10`;
    const completed = new Set(rows.map((row) => row.id));
    sheet.note("tasks acknowledged", String(load.ids.length));
    sheet.note("publishes that were not acknowledged", String(load.published.length - load.ids.length));
    sheet.equal(
      "acknowledged tasks that did not complete",
      load.ids.filter((id) => !completed.has(id)).length,
      0,
    );
    const waits = backs.map((back) => (starts.find((start) => start >= back) ?? Infinity) - back);
    sheet.atMost("longest wait for a start after its return", Math.max(...waits) / 1000, 5, "s");
    sheet.equal(
      "processes that exited",
      before.length - (await pids()).filter((pid) => before.includes(pid)).length,
      0,
    );
    sheet.equal("tasks that ran twice", [...runs.values()].filter((list) => list.length > 1).length, 0);
    return sheet;
  },
};

async function open(site: Site): Promise<number> {
  const states = await site.states();
  return (states[0] ?? 0) + (states[1] ?? 0) + (states[2] ?? 0);
}
