import assert from "node:assert/strict";
import { Recoverer } from "../../src/upkeep/recoverer.ts";
import { Redispatcher } from "../../src/upkeep/redispatcher.ts";
import { eventually } from "../support/fixtures.ts";
import { needTest } from "../support/need.ts";
import { recordOf } from "../support/tasks.ts";
import { CHANNEL, CUT, NEEDS, Stage } from "./stage.ts";

needTest(NEEDS, "an engine that dies between pop and claim: its ids are pushed again", async () => {
  await using stage = await Stage.make();
  await stage.dispatch.wasEmptied();
  const id = await stage.queue.publish("rel", "run");
  await stage.queue.idle();
  // The dead engine: it popped, and that was all.
  const popped = await stage.dispatch.pop([CHANNEL], 10, 0, new AbortController().signal);
  assert.deepEqual(popped.map((hint) => hint.id), [id]);
  assert.deepEqual(await stage.record.hints(CHANNEL), []);
  await stage.age(id, 6);
  await new Redispatcher(stage.upkeep()).runOnce();
  assert.deepEqual(await stage.record.hints(CHANNEL), [id]);
  await stage.engine();
  (await stage.run(id)).resolve();
  assert.equal((await stage.until(id, 10)).claims, 1);
});

needTest(
  NEEDS,
  "a claim that is answered after more than a second never starts under that claim",
  async () => {
    await using stage = await Stage.make();
    await stage.engine();
    const hold = await holdUnpushed(stage);
    const sent = performance.now();
    await stage.dispatch.push([{ id: hold.id, channel: CHANNEL, priority: 0 }]);
    await hold.waiters();
    await eventually(() => performance.now() - sent > 1500, { what: "a second and a half" });
    await hold.release();
    const run = await stage.run(hold.id);
    const task = await recordOf(stage.store, hold.id);
    assert.deepEqual([task.state, task.claims, task.attempts], [1, 2, 0], "under the second claim");
    run.resolve();
    const done = await stage.until(hold.id, 10);
    assert.deepEqual([done.claims, done.attempts, stage.runsOf(hold.id).length], [2, 1, 1]);
  },
);

needTest(
  NEEDS,
  "a claim that is under way when its engine drains runs there, where it has a place",
  async () => {
    await using stage = await Stage.make();
    const engine = await stage.engine();
    const hold = await holdUnpushed(stage);
    await stage.dispatch.push([{ id: hold.id, channel: CHANNEL, priority: 0 }]);
    await hold.waiters();
    const drained = engine.drain(30);
    await hold.release();
    (await stage.run(hold.id)).resolve();
    await drained;
    const task = await recordOf(stage.store, hold.id);
    assert.deepEqual([task.state, task.claims, task.attempts], [10, 1, 1]);
  },
);

needTest(
  NEEDS,
  "a claim whose answer was lost: the beat finds it, it goes back uncharged and runs once",
  async () => {
    await using stage = await Stage.make();
    const engine = await stage.engine();
    const hold = await holdUnpushed(stage);
    const { id } = hold;
    await stage.dispatch.push([{ id, channel: CHANNEL, priority: 0 }]);
    await hold.waiters();
    stage.network.goSilent();
    await hold.release();
    await stage.until(id, 1);
    stage.network.cut();
    await stage.network.resume();
    await stage.beat(engine);
    assert.equal((await recordOf(stage.store, id)).state, 1, "a claim this young may be about to start");
    await stage.age(id, 3);
    await stage.beat(engine);
    const run = await stage.run(id);
    const task = await recordOf(stage.store, id);
    assert.deepEqual([task.claims, task.attempts, task.deaths], [2, 0, 0]);
    run.resolve();
    await stage.until(id, 10);
    assert.equal(stage.runsOf(id).length, 1);
  },
  CUT,
);

needTest(NEEDS, "a claim that commits after its engine was rescued is rescued by the leader", async () => {
  await using stage = await Stage.make();
  const dead = crypto.randomUUID();
  await stage.store.registerEngine({ id: dead, host: "h", pid: 1, codeVersion: null, channels: [CHANNEL] });
  await stage.store.rescue(dead, { reason: "engine lost" });
  const id = await stage.queue.publish("rel", "run");
  // It was on its way when the engine died, or waited for a lock inside Postgres.
  assert.equal((await stage.store.claim([id], dead)).length, 1);
  await new Recoverer(stage.upkeep({ gapless: () => 1000 })).runOnce();
  assert.equal((await recordOf(stage.store, id)).state, 1, "nobody judges before a lease without a gap");
  await new Recoverer(stage.upkeep()).runOnce();
  const task = await recordOf(stage.store, id);
  assert.deepEqual([task.state, task.attempts, task.deaths], [0, 0, 0]);
});

/** A task that nobody has been told of, and whose row is locked. */
async function holdUnpushed(stage: Stage) {
  const id = await stage.queue.publish("rel", "run", {}, { channel: "nobodys" });
  await stage.record.run(`update :schema.tasks set channel = '${CHANNEL}' where id = ${id}`);
  return Object.assign(await stage.holdTask(id), { id });
}
