import assert from "node:assert/strict";
import { Due } from "../../src/upkeep/due.ts";
import { tcpProxy } from "../support/fixtures.ts";
import { needTest } from "../support/need.ts";
import { redisUrl } from "../support/servers.ts";
import { CHANNEL, publish, publishOne, recordOf } from "../support/tasks.ts";
import { Keep } from "./parts.ts";

const NEEDS = ["postgres", "redis"] as const;

needTest(NEEDS, "due tasks are made ready and pushed; others wait", async () => {
  await using keep = await Keep.make({ redis: "shared" });
  const due = await publish(keep.store, 3, { delay: 60 });
  const later = await publishOne(keep.store, { delay: 60 });
  await keep.set(due, "scheduled_for = now() - interval '1 second'");
  await new Due(keep).runOnce();
  for (const id of due) assert.equal((await recordOf(keep.store, id)).state, 0);
  assert.equal((await recordOf(keep.store, later)).state, 2);
  assert.deepEqual(await keep.popped(CHANNEL), due);
});

needTest(
  NEEDS,
  "it looks again when the next task is due, by the database's clock, and after a second at last",
  async () => {
    await using keep = await Keep.make({ redis: "shared" });
    const due = new Due(keep);
    assert.equal(await due.runOnce(), 1_000);
    await publishOne(keep.store, { delay: 3_600 });
    assert.equal(await due.runOnce(), 1_000);
    await publishOne(keep.store, { delay: 0.5 });
    const pause = await due.runOnce();
    assert.ok(pause > 0 && pause <= 500, `${pause}`);
  },
);

needTest(NEEDS, "more due tasks than one statement takes are made ready without a pause", async () => {
  await using keep = await Keep.make({ redis: "shared" });
  const ids = await publish(keep.store, 1_500, { delay: 60 });
  await keep.set(ids, "scheduled_for = now() - interval '1 second'");
  const due = new Due(keep);
  assert.equal(await due.runOnce(), 0);
  assert.equal(await due.runOnce(), 1_000);
  assert.equal((await keep.popped(CHANNEL)).length, 1_500);
});

needTest(NEEDS, "a waiting task that was asked to stop is canceled when it is due", async () => {
  await using keep = await Keep.make({ redis: "shared" });
  const id = await publishOne(keep.store, { delay: 60 });
  await keep.set([id], "scheduled_for = now() - interval '1 second', cancel_requested = true");
  await new Due(keep).runOnce();
  assert.equal((await recordOf(keep.store, id)).state, -2);
  assert.deepEqual(await keep.popped(CHANNEL), []);
});

needTest(NEEDS, "a Redis that is away keeps nobody from being made ready", async () => {
  await using proxy = tcpProxy((await redisUrl())!);
  await using keep = await Keep.make({ redis: proxy.url });
  await proxy.refuse();
  const id = await publishOne(keep.store, { delay: 60 });
  await keep.set([id], "scheduled_for = now() - interval '1 second'");
  await new Due(keep).runOnce();
  assert.equal((await recordOf(keep.store, id)).state, 0);
  await proxy.resume();
});

needTest(["postgres"], "who does not lead does nothing, and looks again soon", async () => {
  await using keep = await Keep.make();
  const id = await publishOne(keep.store, { delay: 60 });
  await keep.set([id], "scheduled_for = now() - interval '1 second'");
  keep.leader.isLeader = false;
  assert.equal(await new Due(keep).runOnce(), 500);
  assert.equal((await recordOf(keep.store, id)).state, 2);
});
