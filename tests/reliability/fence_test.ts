import assert from "node:assert/strict";
import type { Engine } from "../../src/engine/engine.ts";
import { Recoverer } from "../../src/upkeep/recoverer.ts";
import { captureLog } from "../support/capture_log.ts";
import { eventually } from "../support/fixtures.ts";
import { Site } from "../support/host.ts";
import { needTest } from "../support/need.ts";
import { livingOf } from "../support/processes.ts";
import { recordOf } from "../support/tasks.ts";
import { CHANNEL, CUT, type GatedRun, NEEDS, Stage } from "./stage.ts";

/** An engine that was declared dead while a task is inside its handler there: a zombie. */
interface Zombie {
  readonly engine: Engine;
  readonly id: number;
  readonly run: GatedRun;
}

async function makeZombie(stage: Stage, workers: number): Promise<Zombie> {
  const engine = await stage.engine({ TQ_WORKERS: workers });
  const id = await stage.queue.publish("rel", "run");
  const run = await stage.run(id);
  await stage.ageBeat(engine.id, 31);
  await new Recoverer(stage.upkeep({ gapless: () => 29_000 })).runOnce();
  assert.equal((await recordOf(stage.store, id)).state, 1, "nobody judges before a lease without a gap");
  await new Recoverer(stage.upkeep()).runOnce();
  return { engine, id, run };
}

needTest(NEEDS, "a zombie's late finish writes nothing; its successor's does", async () => {
  await using log = await captureLog("info");
  await using stage = await Stage.make();
  const zombie = await makeZombie(stage, 1);
  const { id } = zombie;
  assert.equal(log.count(/Engine lost .*tasks=1/), 1);
  const successor = await stage.engine();
  const second = await stage.run(id, 2);
  zombie.run.task.completed("by the zombie");
  zombie.run.resolve();
  await eventually(() => log.count(/Ends of runs were not recorded.*dropped=1/), { what: "the late finish" });
  const held = await recordOf(stage.store, id);
  assert.deepEqual([held.state, held.engineId, held.claims], [1, successor.id, 2]);
  assert.deepEqual([held.attempts, held.deaths, held.result], [0, 0, null], "not charged");
  second.task.completed("by the successor");
  second.resolve();
  const task = await stage.until(id, 10);
  assert.deepEqual([task.result, task.attempts], ["by the successor", 1]);
});

needTest(NEEDS, "a zombie's retry, failure and release write nothing either", async () => {
  await using stage = await Stage.make();
  const { engine, id } = await makeZombie(stage, 1);
  await stage.engine();
  await stage.run(id, 2);
  const before = await recordOf(stage.store, id);
  const lease = { id, claims: 1 };
  for (const state of [10, -1, 2] as const) {
    const ending = { ...lease, state, reason: "late", result: null, delay: 1 };
    assert.equal(await stage.store.finish([ending], engine.id, null), 0);
  }
  assert.equal(await stage.store.complete([lease], engine.id, null), 0);
  assert.deepEqual(await stage.store.release([lease], engine.id, "late"), []);
  assert.deepEqual(await recordOf(stage.store, id), before);
});

needTest(NEEDS, "a zombie learns that it lost: its tasks' signals abort", async () => {
  await using stage = await Stage.make();
  const zombie = await makeZombie(stage, 1);
  await stage.engine();
  const second = await stage.run(zombie.id, 2);
  const { signal } = zombie.run.task;
  await eventually(async () => {
    await stage.beat(zombie.engine);
    return signal.aborted;
  }, { what: "the abort", within: 10_000 });
  assert.equal(signal.reason.message, "lost");
  zombie.run.reject(signal.reason);
  await eventually(() => zombie.engine.status.running === 0, { what: "the zombie's end" });
  second.resolve();
  assert.equal((await stage.until(zombie.id, 10)).attempts, 1);
});

needTest(NEEDS, "a zombie claims nothing any more: nobody would rescue it in time", async () => {
  await using stage = await Stage.make();
  const { engine, id } = await makeZombie(stage, 2);
  const later = await stage.queue.publish("rel", "run");
  assert.equal((await stage.store.claim([id, later], engine.id)).length, 0);
  assert.equal((await stage.store.claimNext([{ channel: CHANNEL, room: 10 }], 10, engine.id)).length, 0);
  const successor = await stage.engine();
  for (const [task, run] of [[id, 2], [later, 1]] as const) (await stage.run(task, run, 15_000)).resolve();
  for (const task of [id, later]) assert.equal((await stage.until(task, 10)).engineId, successor.id);
});

needTest(
  NEEDS,
  "an engine that claims what it still runs does not start it twice: it has the new lease",
  async () => {
    await using stage = await Stage.make();
    const engine = await stage.engine({ TQ_WORKERS: 2 });
    const id = await stage.queue.publish("rel", "run");
    const run = await stage.run(id);
    // As if somebody had taken it from this engine, which finds it ready again.
    await stage.store.release([{ id, claims: 1 }], engine.id, null);
    await eventually(() => engine.status.claimed === 2, { what: "the second claim", within: 15_000 });
    run.task.completed("once");
    run.resolve();
    const task = await stage.until(id, 10);
    assert.deepEqual([task.result, task.claims, task.attempts], ["once", 2, 1]);
    assert.equal(stage.runsOf(id).length, 1);
  },
);

needTest(
  ["postgres-binaries", "redis-binaries"],
  "an engine that is declared dead while it lives is replaced, and its task is left to whoever has it",
  async () => {
    await using site = await Site.start({ environment: { TQ_LEASE: "2" } });
    const host = await site.host("a");
    const [engine] = await host.engines();
    await site.sql`delete from tq.engines`;
    await eventually(() => host.log().includes("declared dead while it lived"), {
      what: "the supervisor to see it",
    });
    await eventually(async () => (await livingOf([engine!])).length === 0, { what: "the end of the engine" });
    const task = await site.queue.wait(await site.queue.publish("rel.Work", "quick"), { timeout: 10 });
    assert.equal(task.state, 10);
    const rows = await site.sql<{ id: string }[]>`select id from tq.engines`;
    assert.deepEqual(rows.map((row) => row.id), [task.engineId], "its successor is the only one");
  },
  CUT,
);
