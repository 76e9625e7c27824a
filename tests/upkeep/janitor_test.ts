import assert from "node:assert/strict";
import { Janitor } from "../../src/upkeep/janitor.ts";
import { captureLog } from "../support/capture_log.ts";
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

needTest(NEEDS, "the planner is told of a backlog before it is counted", async () => {
  await using keep = await Keep.make();
  await publish(keep.store, 1);
  const calls: string[] = [];
  for (const verb of ["tidy", "readyCounts"] as const) {
    const ask = keep.store[verb].bind(keep.store) as (...what: unknown[]) => Promise<unknown>;
    const value = (...what: unknown[]) => {
      calls.push(verb);
      return ask(...what);
    };
    Object.defineProperty(keep.store, verb, { value });
  }
  for (let round = 0; round < 2; round++) await new Janitor(keep).runOnce();
  assert.deepEqual(calls, ["tidy", "readyCounts", "tidy", "readyCounts"]);
});

needTest(
  ["postgres", "redis"],
  "stale tasks do not stay in Redis on a channel that nobody takes",
  async () => {
    await using keep = await Keep.make({ redis: "shared" });
    const ids = await publish(keep.store, 1_500, { channel: "nobody", stale_in: 60 });
    const fresh = await publishOne(keep.store, { channel: "nobody" });
    await keep.dispatch.push([...ids, fresh].map((id) => ({ id, channel: "nobody", priority: 0 })));
    await keep.set(ids, "stale_after = now() - interval '1 second'");
    await new Janitor(keep).runOnce();
    assert.deepEqual(await keep.record.hints("nobody"), [fresh]);
  },
);
