import assert from "node:assert/strict";
import type { EngineReport, SupervisorStatus } from "../../src/supervisor/status_file.ts";
import { TestClock } from "../support/fixtures.ts";
import { needTest } from "../support/need.ts";
import { STATUS, WebSite } from "./site.ts";

const NEEDS = ["postgres"] as const;
const CHANNEL = "tq_app_handler";

function engine(
  claimed: number,
  open: readonly string[],
  state: EngineReport["state"] = "ready",
): EngineReport {
  const status = {
    ...({} as NonNullable<EngineReport["status"]>),
    claimed,
    rss: 1,
    running: 0,
    stuck: 0,
    waiting: 0,
    open,
  };
  return { pid: 2, id: "e", commit: null, state, status };
}

/** What `/readyz` says, without a token. */
async function ready(
  site: WebSite,
): Promise<[status: number, postgres: boolean, engines: boolean, consumption: boolean]> {
  const response = await fetch(`${site.url}/readyz`);
  const { status, postgres, engines, consumption } = await response.json();
  assert.equal(status, response.status === 200);
  return [response.status, postgres, engines, consumption];
}

needTest(NEEDS, "/healthz answers whatever is the matter", async () => {
  await using site = await WebSite.make({ settings: { TQ_DATABASE_URL: "postgres://127.0.0.1:1/none" } });
  const response = await fetch(`${site.url}/healthz`);
  assert.deepEqual([response.status, await response.json()], [200, { status: true }]);
});

needTest(NEEDS, "/readyz wants engines that take tasks", async () => {
  const clock = new TestClock();
  let status: SupervisorStatus = { ...STATUS, ready: false };
  await using site = await WebSite.make({ clock, status: () => status });
  assert.deepEqual(await ready(site), [503, true, false, true]);
  status = { ...STATUS, engines: [engine(0, [CHANNEL], "starting"), engine(0, [CHANNEL], "draining")] };
  await clock.advance(1000);
  assert.deepEqual(await ready(site), [503, true, false, true]);
  status = { ...STATUS, engines: [engine(0, [CHANNEL])] };
  assert.deepEqual(await ready(site), [503, true, false, true], "an answer is kept for a second");
  await clock.advance(1000);
  assert.deepEqual(await ready(site), [200, true, true, true]);
});

needTest(NEEDS, "/readyz wants Postgres, and says so within seconds", async () => {
  await using site = await WebSite.make({
    settings: { TQ_DATABASE_URL: "postgres://127.0.0.1:1/none" },
    status: () => ({ ...STATUS, engines: [engine(0, [CHANNEL])] }),
  });
  assert.deepEqual(await ready(site), [503, false, true, false]);
});

needTest(NEEDS, "/readyz says when ready tasks wait although engines have room", async () => {
  const clock = new TestClock();
  let engines = [engine(5, [CHANNEL])];
  await using site = await WebSite.make({ clock, status: () => ({ ...STATUS, engines }) });
  const id = await site.queue.publish("app", "x");
  assert.deepEqual(await ready(site), [200, true, true, true]);
  // Nothing is claimed for long, but the task is new.
  await clock.advance(31_000);
  assert.deepEqual(await ready(site), [200, true, true, true]);
  await site.record.run(`update :schema.tasks set modified = now() - interval '40 s' where id = ${id}`);
  await clock.advance(1000);
  assert.deepEqual(await ready(site), [503, true, true, false]);
  // Engines without room are busy; those that claim are at work.
  engines = [engine(5, [])];
  await clock.advance(1000);
  assert.deepEqual(await ready(site), [200, true, true, true]);
  engines = [engine(6, [CHANNEL])];
  await clock.advance(1000);
  assert.deepEqual(await ready(site), [200, true, true, true]);
  await clock.advance(31_000);
  assert.deepEqual(await ready(site), [503, true, true, false]);
});
