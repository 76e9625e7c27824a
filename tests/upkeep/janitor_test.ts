import assert from "node:assert/strict";
import { Janitor } from "../../src/upkeep/janitor.ts";
import { captureLog } from "../support/capture_log.ts";
import { TestClock } from "../support/fixtures.ts";
import { needTest } from "../support/need.ts";
import { publish, publishOne, recordOf } from "../support/tasks.ts";
import { Keep } from "./parts.ts";

const NEEDS = ["postgres"] as const;

needTest(NEEDS, "ready and waiting tasks that are stale fail; running ones and others do not", async () => {
  await using keep = await Keep.make();
  const ready = await publishOne(keep.store, { stale_in: 60 });
  const waiting = await publishOne(keep.store, { stale_in: 60, delay: 30 });
  const running = await publishOne(keep.store, { stale_in: 60 });
  const fresh = await publishOne(keep.store, { stale_in: 60 });
  const never = await publishOne(keep.store);
  await keep.store.claim([running], crypto.randomUUID());
  await keep.set([ready, waiting, running], "stale_after = now() - interval '1 second'");
  assert.equal(await new Janitor(keep).runOnce(), 10_000);
  const states = await Promise.all(
    [ready, waiting, running, fresh, never].map(async (id) => (await recordOf(keep.store, id)).state),
  );
  assert.deepEqual(states, [-1, -1, 1, 0, 0]);
  const task = await recordOf(keep.store, ready);
  assert.match(task.reason!, /stale/);
  assert.equal(task.attempts, 0);
});

needTest(NEEDS, "thousands of stale tasks fail in one round", async () => {
  await using keep = await Keep.make();
  const ids = await publish(keep.store, 2_500, { stale_in: 60 });
  await keep.set(ids, "stale_after = now() - interval '1 second'");
  await new Janitor(keep).runOnce();
  assert.equal((await keep.store.list({ states: [-1], size: 3_000 })).length, 2_500);
});

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
    await new Janitor(keep).runOnce();
    const left = (await keep.store.get([...old, ...kept])).map((task) => task.id).sort((a, b) => a - b);
    assert.deepEqual(left, kept);
    assert.deepEqual(await keep.store.readLog(old[0]!), []);
    assert.equal((await keep.store.readLog(kept[0]!)).length, 1);
    assert.equal(log.count(/Old tasks were deleted count=3$/), 1);
  },
);

needTest(
  NEEDS,
  "pruning comes with every sixth round, and with the next while there was something",
  async () => {
    await using keep = await Keep.make();
    const janitor = new Janitor(keep);
    await janitor.runOnce();
    const makeOld = async () => {
      const id = await publishOne(keep.store);
      await keep.set([id], "state = 10, modified = now() - interval '30 days'");
      return id;
    };
    const isKept = async (id: number) => (await keep.store.get([id])).length === 1;
    const first = await makeOld();
    for (let round = 2; round <= 6; round++) await janitor.runOnce();
    assert.equal(await isKept(first), true);
    await janitor.runOnce();
    assert.equal(await isKept(first), false);
    for (let round = 8; round <= 9; round++) {
      const next = await makeOld();
      await janitor.runOnce();
      assert.equal(await isKept(next), false, `round ${round}`);
    }
    await janitor.runOnce();
    const late = await makeOld();
    await janitor.runOnce();
    assert.equal(await isKept(late), true, "nothing was old in the round before");
  },
);

needTest(
  NEEDS,
  "pruning gives way to the rest of a round after five seconds, and goes on with the next",
  async () => {
    const clock = new TestClock();
    await using keep = await Keep.make();
    const ids = await publish(keep.store, 2_500);
    await keep.set(ids, "state = 10, modified = now() - interval '30 days'");
    const janitor = new Janitor(Object.assign(keep, { clock }));
    const prune = keep.store.prune.bind(keep.store);
    keep.store.prune = async (...how) => {
      const deleted = await prune(...how);
      await clock.advance(3000);
      return deleted;
    };
    const left = async () => (await keep.store.get(ids)).length;
    await janitor.runOnce();
    assert.equal(await left(), 500);
    await janitor.runOnce();
    assert.equal(await left(), 0);
  },
);

needTest(NEEDS, "a backlog is said once when it comes and once when it goes, for each channel", async () => {
  await using keep = await Keep.make({ settings: { TQ_REPORT_BACKLOG: 10 } });
  await using log = await captureLog();
  const janitor = new Janitor(keep);
  const few = await publish(keep.store, 10, { channel: "few" });
  await janitor.runOnce();
  assert.deepEqual(log.lines, [], "ten are not more than ten");
  const many = await publish(keep.store, 12, { channel: "many" });
  await publish(keep.store, 1, { channel: "few" });
  for (let i = 0; i < 3; i++) await janitor.runOnce();
  assert.deepEqual(log.lines.toSorted(), [
    "WARNING upkeep: Backlog channel=few ready=11",
    "WARNING upkeep: Backlog channel=many ready=12",
  ]);
  await keep.store.cancel(many, null);
  await keep.store.cancel(few.slice(0, 1), null);
  for (let i = 0; i < 3; i++) await janitor.runOnce();
  assert.deepEqual(log.lines.slice(2).toSorted(), [
    "INFO    upkeep: Backlog is gone channel=few",
    "INFO    upkeep: Backlog is gone channel=many",
  ]);
  await publish(keep.store, 1, { channel: "few" });
  await janitor.runOnce();
  assert.equal(log.lines.length, 5, "it came again");
});
