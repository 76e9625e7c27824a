import assert from "node:assert/strict";
import { createDispatch } from "../../src/dispatch/mod.ts";
import { Due } from "../../src/upkeep/due.ts";
import { Redispatcher } from "../../src/upkeep/redispatcher.ts";
import { eventually, tcpProxy } from "../support/fixtures.ts";
import { needTest } from "../support/need.ts";
import { redisUrl } from "../support/servers.ts";
import { publish, recordOf } from "../support/tasks.ts";
import { CHANNEL, CUT, NEEDS, Stage } from "./stage.ts";

/** A task that was delayed, and whose moment has come. */
async function publishDue(stage: Stage): Promise<number> {
  const id = await stage.queue.publish("rel", "run", {}, { delay: 3600 });
  assert.equal((await recordOf(stage.store, id)).state, 2);
  await stage.record.run(`update :schema.tasks set scheduled_for = now() where id = ${id}`);
  return id;
}

needTest(NEEDS, "a leader that dies between due and push: the next one pushes", async () => {
  await using stage = await Stage.make();
  await stage.dispatch.wasEmptied();
  const id = await publishDue(stage);
  // The dead leader: it made the task ready, and that was all.
  assert.deepEqual((await stage.store.promoteDue(10)).ready.map((row) => row.id), [id]);
  assert.deepEqual(await stage.record.hints(CHANNEL), []);
  await new Due(stage.upkeep()).runOnce();
  assert.deepEqual(await stage.record.hints(CHANNEL), [], "it is not due a second time");
  await stage.age(id, 6);
  await new Redispatcher(stage.upkeep()).runOnce();
  assert.deepEqual(await stage.record.hints(CHANNEL), [id]);
});

needTest(
  NEEDS,
  "a due task whose push fails is ready all the same, and is pushed again",
  async () => {
    await using stage = await Stage.make();
    await using away = tcpProxy((await redisUrl())!);
    await away.refuse();
    const settings = stage.record.settings({ TQ_REDIS_URL: away.url });
    await using dispatch = createDispatch(settings, stage.record.install, stage.store.wakeup);
    const id = await publishDue(stage);
    await new Due(stage.upkeep({ dispatch })).runOnce();
    assert.equal((await recordOf(stage.store, id)).state, 0);
    await stage.age(id, 6);
    await new Redispatcher(stage.upkeep()).runOnce();
    await stage.engine();
    (await stage.run(id)).resolve();
    assert.equal((await stage.until(id, 10)).claims, 1);
  },
);

// With a statement that is not prepared the silence would come before it is run.
needTest(
  [...NEEDS, "session"],
  "a promotion whose answer was lost: the row is ready once, and is pushed again",
  async () => {
    await using stage = await Stage.make();
    await stage.dispatch.wasEmptied();
    const store = stage.record.store({ TQ_DATABASE_URL: stage.network.url });
    const due = new Due(stage.upkeep({ store }));
    await due.runOnce(); // So that the statement is prepared.
    const id = await publishDue(stage);
    const hold = await stage.holdTasks();
    const failed = due.runOnce().then(() => false, () => true);
    await hold.waiters();
    stage.network.goSilent();
    await hold.release();
    await stage.until(id, 0);
    stage.network.cut();
    await stage.network.resume();
    assert.equal(await failed, true);
    const next = await due.runOnce();
    assert.ok(next <= 1000);
    assert.deepEqual(await stage.record.hints(CHANNEL), []);
    await stage.age(id, 6);
    await new Redispatcher(stage.upkeep()).runOnce();
    assert.deepEqual(await eventually(() => stage.record.hints(CHANNEL), { what: "the push" }), [id]);
  },
  CUT,
);

needTest(NEEDS, "a wave that is due at once does not hold up what is due after it", async () => {
  await using stage = await Stage.make();
  await publish(stage.store, 4000, { channel: CHANNEL, delay: 3600 });
  await stage.record.run("update :schema.tasks set scheduled_for = now() - interval '1 minute'");
  const id = await publishDue(stage);
  const due = new Due(stage.upkeep());
  assert.equal(await due.runOnce(), 0, "there is more");
  await due.runOnce();
  assert.equal((await recordOf(stage.store, id)).state, 0);
  assert.equal((await stage.record.hints(CHANNEL)).length, 2000);
  while (await due.runOnce() === 0);
  assert.equal((await stage.record.hints(CHANNEL)).length, 4001);
});
