import assert from "node:assert/strict";
import { Pruner } from "../../src/upkeep/pruner.ts";
import { captureLog } from "../support/capture_log.ts";
import { eventually, TestClock } from "../support/fixtures.ts";
import { needTest } from "../support/need.ts";
import { publish, publishOne } from "../support/tasks.ts";
import { Keep } from "./parts.ts";

const NEEDS = ["postgres"] as const;

needTest(
  NEEDS,
  "completed tasks go after their days, failed and canceled ones after theirs, with their logs",
  async () => {
    await using keep = await Keep.make({ settings: { TQ_DELETE_AFTER: 20, TQ_DELETE_COMPLETED_AFTER: 5 } });
    await using log = await captureLog();
    const engine = crypto.randomUUID();
    const make = async (state: number, days: number) => {
      const id = await publishOne(keep.store);
      await keep.store.writeNotes([{ task_id: id, kind: "log", text: "hello", progress: null }], engine);
      await keep.set([id], `state = ${state}, modified = now() - interval '${days} days'`);
      return id;
    };
    const old = [await make(10, 6), await make(-1, 21), await make(-2, 21)];
    const kept = [
      await make(10, 4),
      await make(-1, 6),
      await make(-2, 19),
      await make(0, 99),
      await make(2, 99),
    ];
    await new Pruner(keep).runOnce();
    const left = (await keep.store.get([...old, ...kept])).map((task) => task.id).sort((a, b) => a - b);
    assert.deepEqual(left, kept);
    assert.deepEqual(await keep.store.readLog(old[0]!), []);
    assert.equal((await keep.store.readLog(kept[0]!)).length, 1);
    assert.equal(log.count(/Old tasks were deleted count=3$/), 1);
  },
);

needTest(NEEDS, "thousands go in rounds that follow at once, and are told of when all are gone", async () => {
  await using keep = await Keep.make();
  await using log = await captureLog();
  const ids = await publish(keep.store, 2_500);
  await keep.set(ids, "state = 10, modified = now() - interval '30 days'");
  const pruner = new Pruner(keep);
  const rounds: unknown[] = [];
  for (let round = 1; round <= 4; round++) {
    rounds.push([await pruner.runOnce(), (await keep.store.get(ids)).length, log.lines.length]);
  }
  assert.deepEqual(rounds, [[0, 1500, 0], [0, 500, 0], [60_000, 0, 1], [60_000, 0, 1]]);
  assert.deepEqual(log.lines, ["INFO    upkeep: Old tasks were deleted count=2500"]);
});

needTest(NEEDS, "what grows old later goes within a minute", async () => {
  const clock = new TestClock();
  await using keep = await Keep.make();
  await using pruner = new Pruner(Object.assign(keep, { clock }));
  const [late] = await publish(keep.store, 1);
  pruner.start();
  await eventually(() => clock.waiting === 1, { what: "the first round to end" });
  await keep.set([late!], "state = 10, modified = now() - interval '30 days'");
  await clock.advance(60_000);
  await eventually(async () => (await keep.store.get([late!])).length === 0, { what: "its end" });
});

needTest(NEEDS, "who does not lead deletes nothing", async () => {
  await using keep = await Keep.make();
  const id = await publishOne(keep.store);
  await keep.set([id], "state = 10, modified = now() - interval '30 days'");
  keep.leader.isLeader = false;
  await new Pruner(keep).runOnce();
  assert.equal((await keep.store.get([id])).length, 1);
});
