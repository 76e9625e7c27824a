import assert from "node:assert/strict";
import { systemClock } from "../../src/clock.ts";
import { Due } from "../../src/upkeep/due.ts";
import { eventually } from "../support/fixtures.ts";
import { needTest } from "../support/need.ts";
import { claimOne, recordOf } from "../support/tasks.ts";
import { Bench } from "../engine/parts.ts";
import { CHANNEL, NEEDS, Stage } from "./stage.ts";

needTest(
  NEEDS,
  "a task that is canceled while it waits is canceled at once, and never becomes due",
  async () => {
    await using stage = await Stage.make();
    const id = await stage.queue.publish("rel", "run", {}, { delay: 3600 });
    assert.deepEqual(await stage.queue.cancel(id, "not needed"), [{ id, state: -2 }]);
    await stage.record.run(`update :schema.tasks set scheduled_for = now() where id = ${id}`);
    await new Due(stage.upkeep()).runOnce();
    const task = await recordOf(stage.store, id);
    assert.deepEqual([task.state, task.reason, task.attempts], [-2, "not needed", 0]);
    assert.ok(task.completedAt !== null);
  },
);

needTest(
  NEEDS,
  "a task that is canceled while it is ready is canceled at once; its hint does no harm",
  async () => {
    await using stage = await Stage.make();
    const id = await stage.queue.publish("rel", "run");
    await stage.queue.idle();
    assert.deepEqual(await stage.queue.cancel(id), [{ id, state: -2 }]);
    assert.deepEqual(await stage.record.hints(CHANNEL), [], "the hint is taken back");
    // As when Redis was away in that moment.
    await stage.dispatch.push([{ id, channel: CHANNEL, priority: 0 }]);
    assert.deepEqual(await stage.record.hints(CHANNEL), [id], "the hint is still there");
    await stage.engine();
    const next = await stage.queue.publish("rel", "run");
    await stage.run(next);
    assert.deepEqual(await stage.record.hints(CHANNEL), []);
    assert.deepEqual(stage.runsOf(id), []);
    assert.equal((await recordOf(stage.store, id)).claims, 0);
  },
);

needTest(NEEDS, "a task that is canceled between pop and claim is not claimed", async () => {
  await using stage = await Stage.make();
  await stage.engine();
  const id = await stage.queue.publish("rel", "run", {}, { channel: "nobodys" });
  await stage.record.run(`update :schema.tasks set channel = '${CHANNEL}' where id = ${id}`);
  const hold = await stage.holdTask(id);
  // The cancel stands before the claim in the line for the row.
  const canceled = stage.queue.cancel(id);
  await hold.waiters(1);
  await stage.dispatch.push([{ id, channel: CHANNEL, priority: 0 }]);
  await eventually(async () => (await stage.record.hints(CHANNEL)).length === 0, { what: "the pop" });
  await eventually(async () => (await claimsThatWait(stage)) === 1, { what: "the claim" });
  await hold.release();
  assert.deepEqual(await canceled, [{ id, state: -2 }]);
  const next = await stage.queue.publish("rel", "run");
  await stage.run(next);
  assert.deepEqual(stage.runsOf(id), []);
  assert.deepEqual([(await recordOf(stage.store, id)).claims], [0]);
});

needTest(NEEDS, "a task that is canceled after its claim and before its start does not start", async () => {
  await using stage = await Stage.make();
  await using bench = await Bench.make(1);
  const busy = await claimOne(stage.store, bench.engineId, { model: "test", fname: "run" });
  const waiting = await claimOne(stage.store, bench.engineId, { model: "test", fname: "run" });
  await bench.take(busy, waiting);
  assert.deepEqual(bench.started, [busy.id]);
  assert.deepEqual(await stage.queue.cancel(waiting.id), [{ id: waiting.id, state: 1 }]);
  bench.executor.abort(waiting.id, "canceled");
  assert.deepEqual(bench.expired, [waiting.id], "it goes back");
  assert.deepEqual(await stage.store.release([waiting], bench.engineId, null), []);
  const task = await recordOf(stage.store, waiting.id);
  assert.deepEqual([task.state, task.attempts], [-2, 0]);
  bench.run(busy.id).resolve();
  await bench.settle();
  assert.deepEqual(bench.started, [busy.id]);
});

needTest(
  NEEDS,
  "a running task that is canceled is aborted by the hint, and canceled when it throws",
  async () => {
    await using stage = await Stage.make();
    const engine = await stage.engine();
    // What its supervisor does with the hint.
    const unlisten = await stage.dispatch.listen((message) => {
      if (message.kind === "cancel") engine.cancel(message.ids);
    });
    const id = await stage.queue.publish("rel", "run");
    const run = await stage.run(id);
    await eventually(async () => {
      assert.deepEqual(await stage.queue.cancel(id, "enough"), [{ id, state: 1 }]);
      await systemClock.sleep(50);
      return run.task.signal.aborted;
    }, { what: "the abort; the subscription may not stand at first" });
    assert.equal((await recordOf(stage.store, id)).cancelRequested, true);
    run.reject(run.task.signal.reason);
    const task = await stage.until(id, -2);
    assert.deepEqual([task.reason, task.attempts], ["enough", 1]);
    unlisten();
  },
);

needTest(NEEDS, "a running task whose cancel's hint was lost is aborted by the beat", async () => {
  await using stage = await Stage.make();
  const engine = await stage.engine();
  const id = await stage.queue.publish("rel", "run");
  const run = await stage.run(id);
  await stage.store.cancel([id], "enough");
  assert.equal(run.task.signal.aborted, false);
  await stage.beat(engine);
  assert.equal(run.task.signal.reason.message, "canceled");
  run.reject(run.task.signal.reason);
  assert.equal((await stage.until(id, -2)).reason, "enough");
});

needTest(
  NEEDS,
  "a canceled run that completes all the same has completed; one that fails has failed",
  async () => {
    await using stage = await Stage.make();
    await stage.engine();
    const ids = [await stage.queue.publish("rel", "run"), await stage.queue.publish("rel", "run")] as const;
    const runs = [await stage.run(ids[0]), await stage.run(ids[1])] as const;
    await stage.queue.cancel(ids);
    runs[0].resolve();
    runs[1].task.failed("for a reason of its own");
    runs[1].resolve();
    await stage.until(ids[0], 10);
    assert.equal((await stage.until(ids[1], -1)).reason, "for a reason of its own");
  },
);

needTest(NEEDS, "a canceled run that would be tried again, or whose engine dies, is canceled", async () => {
  await using stage = await Stage.make();
  const engine = await stage.engine();
  const [thrown, lost] = [await stage.queue.publish("rel", "run"), await stage.queue.publish("rel", "run")];
  const run = await stage.run(thrown);
  await stage.run(lost);
  await stage.store.cancel([thrown, lost], "enough");
  run.reject(new Error("of its own"));
  assert.equal((await stage.until(thrown, -2)).reason, "enough");
  await stage.store.rescue(engine.id, { reason: "engine lost" });
  assert.equal((await recordOf(stage.store, lost)).state, -2);
});

needTest(NEEDS, "a task that has ended stays as it is", async () => {
  await using stage = await Stage.make();
  await stage.engine();
  const id = await stage.queue.publish("rel", "run");
  (await stage.run(id)).resolve();
  const before = await stage.until(id, 10);
  assert.deepEqual(await stage.queue.cancel(id), []);
  assert.deepEqual(await recordOf(stage.store, id), before);
});

/** How many statements wait for a row lock behind another that waits. */
async function claimsThatWait(stage: Stage): Promise<number> {
  const [row] = await stage.record.sql`
    select count(*)::integer as count from pg_stat_activity
    where wait_event_type = 'Lock' and query like ${`%update ${stage.record.schema}.tasks t set state = 1%`}`;
  return row!.count;
}
