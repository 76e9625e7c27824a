import assert from "node:assert/strict";
import { join } from "node:path";
import { journalFolder, readJournal } from "../../src/engine/journal.ts";
import { captureLog } from "../support/capture_log.ts";
import { eventually } from "../support/fixtures.ts";
import { Site } from "../support/host.ts";
import { needTest } from "../support/need.ts";
import { signal } from "../support/processes.ts";
import { recordOf } from "../support/tasks.ts";
import { CUT, NEEDS, Stage } from "./stage.ts";

needTest(
  NEEDS,
  "a finish whose answer was lost is sent again, and changes nothing the second time",
  async () => {
    await using log = await captureLog("info");
    await using stage = await Stage.make();
    const engine = await stage.engine();
    const id = await stage.queue.publish("rel", "run");
    const run = await stage.run(id);
    const hold = await stage.holdTask(id);
    run.task.completed({ n: 1 });
    run.resolve();
    await hold.waiters();
    stage.network.goSilent();
    await hold.release();
    const written = await stage.until(id, 10);
    stage.network.cut();
    await stage.network.resume();
    await eventually(() => log.count(/Ends of runs were not recorded/), { what: "the second finish" });
    const task = await recordOf(stage.store, id);
    assert.deepEqual([task.attempts, task.claims, task.result], [1, 1, { n: 1 }]);
    assert.equal(task.modified.getTime(), written.modified.getTime(), "nothing was written twice");
    await eventually(() => engine.status.running === 0 && engine.status.open.length === 1, {
      what: "an engine that takes tasks",
    });
    assert.equal(stage.runsOf(id).length, 1);
  },
  CUT,
);

needTest(NEEDS, "an end that comes while Postgres is away is kept, and written when it is back", async () => {
  await using stage = await Stage.make();
  const engine = await stage.engine();
  const id = await stage.queue.publish("rel", "run");
  const run = await stage.run(id);
  await stage.network.refuse();
  stage.network.cut();
  run.task.completed("kept");
  run.resolve();
  await eventually(() => engine.status.running === 0, { what: "the handler's end" });
  assert.equal((await recordOf(stage.store, id)).state, 1);
  await stage.network.resume();
  const task = await stage.until(id, 10);
  assert.deepEqual([task.result, task.attempts, task.claims], ["kept", 1, 1]);
  assert.equal(stage.runsOf(id).length, 1);
}, CUT);

needTest(
  ["postgres-binaries", "redis-binaries"],
  "an engine killed between its handler's end and the finish: the task is not charged, and runs again",
  async () => {
    await using site = await Site.start();
    const host = await site.host("a");
    const id = await site.queue.publish("rel.Work", "gated", { gate: "end" });
    await eventually(async () => (await site.runs()).has(id), { what: "its start" });
    const [engine] = await host.engines();
    const lock = Promise.withResolvers<void>();
    const locked = Promise.withResolvers<void>();
    const hold = site.sql.begin(async (tx) => {
      await tx`lock table tq.tasks in share mode`;
      locked.resolve();
      await lock.promise;
    });
    await locked.promise;
    await site.open("end");
    await eventually(async () => (await site.runs()).get(id)![0]!.end, { what: "the handler's end" });
    const [journal] = [...Deno.readDirSync(journalFolder(host.varFolder))];
    await eventually(() => readJournal(join(journalFolder(host.varFolder), journal!.name)).length === 0, {
      what: "an empty journal",
    });
    signal(engine!.pid, "SIGKILL");
    // What the dead engine had sent may be in Postgres already, and would be carried out: that is the other window.
    await site
      .sql`select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'tq engine'`;
    lock.resolve();
    await hold;
    const task = await site.queue.wait(id, { timeout: 15 });
    const runs = (await site.runs()).get(id)!;
    assert.equal(runs.length, 2, "at least once");
    assert.deepEqual([task.state, task.attempts, task.deaths, task.claims], [10, 1, 0, 2]);
  },
  CUT,
);
