import assert from "node:assert/strict";
import { Redis } from "npm:ioredis@6.0.0";
import { disconnect } from "../../src/dispatch/connection.ts";
import { Redispatcher } from "../../src/upkeep/redispatcher.ts";
import { captureLog } from "../support/capture_log.ts";
import { eventually } from "../support/fixtures.ts";
import { needTest } from "../support/need.ts";
import { PrivateRedis } from "../support/servers.ts";
import { CHANNEL, publish, publishOne } from "../support/tasks.ts";
import { Keep } from "./parts.ts";

const NEEDS = ["postgres", "redis"] as const;
const OLD = "modified = now() - interval '6 seconds'";

needTest(
  NEEDS,
  "ready tasks that nothing has touched for 5 s are pushed again; younger ones are not",
  async () => {
    await using keep = await Keep.make({ redis: "shared" });
    const redispatcher = new Redispatcher(keep);
    await redispatcher.runOnce(); // Marks Redis as filled.
    const lost = await publish(keep.store, 3);
    await publish(keep.store, 2);
    const other = await publish(keep.store, 2, { channel: "other", priority: -5 });
    const waiting = await publishOne(keep.store, { delay: 60 });
    const running = await publishOne(keep.store);
    const suspect = await publishOne(keep.store);
    await keep.store.claim([running], crypto.randomUUID());
    await keep.set([...lost, ...other, waiting, running], OLD);
    await keep.set([suspect], `${OLD}, deaths = 1`);
    await redispatcher.runOnce();
    assert.deepEqual(await keep.popped(CHANNEL), lost, "and no suspect: those run alone");
    assert.deepEqual(await keep.popped("other"), other);
  },
);

needTest(NEEDS, "pushing again what is there doubles nothing", async () => {
  await using keep = await Keep.make({ redis: "shared" });
  const redispatcher = new Redispatcher(keep);
  const ids = await publish(keep.store, 10);
  await keep.set(ids, OLD);
  for (let i = 0; i < 3; i++) await redispatcher.runOnce();
  assert.deepEqual(await keep.popped(CHANNEL), ids);
});

needTest(
  ["postgres", "redis-binaries"],
  "a Redis that was emptied is filled again at once, all of it, by priority and age",
  async () => {
    await using redis = await PrivateRedis.started();
    await using keep = await Keep.make({ redis: redis.url() });
    await using log = await captureLog();
    const redispatcher = new Redispatcher(keep);
    const ids = await publish(keep.store, 2_300);
    const urgent = await publish(keep.store, 200, { priority: 50 });
    const other = await publish(keep.store, 1_000, { channel: "other" });
    await redispatcher.runOnce();
    assert.equal((await keep.popped(CHANNEL)).length, 2_500, "the first time it is empty, too");
    await redispatcher.runOnce();
    assert.deepEqual(await keep.popped(CHANNEL), [], "young tasks are not pushed again while it is sound");
    const client = new Redis(redis.url());
    await client.flushall();
    await disconnect(client);
    await redispatcher.runOnce();
    assert.deepEqual(await keep.popped(CHANNEL), [...urgent, ...ids]);
    assert.deepEqual(await keep.popped("other"), other);
    assert.equal(log.count(/Redis was empty; .* channel=tests count=2500$/), 2);
    assert.equal(log.count(/Redis was empty; .* channel=other count=1000$/), 2);
  },
);

needTest(["postgres", "redis-binaries"], "a Redis that is away is waited for, without a word", async () => {
  await using redis = await PrivateRedis.started();
  await using keep = await Keep.make({ redis: redis.url() });
  await using log = await captureLog("debug");
  const redispatcher = new Redispatcher(keep);
  const ids = await publish(keep.store, 5);
  await redispatcher.runOnce();
  await redis.kill();
  assert.equal(await redispatcher.runOnce(), 5_000);
  assert.equal(log.count(/upkeep/), 1, "the first filling alone");
  await redis.start();
  const popped = await eventually(async () => {
    await redispatcher.runOnce();
    const found = await keep.popped(CHANNEL);
    return found.length > 0 && found;
  }, { what: "the second filling" });
  assert.deepEqual(popped, ids);
});

needTest(["postgres"], "without Redis there is nothing to push", async () => {
  await using keep = await Keep.make();
  await publish(keep.store, 5);
  assert.equal(await new Redispatcher(keep).runOnce(), 5_000);
});
