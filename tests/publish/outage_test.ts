import assert from "node:assert/strict";
import { UnreachableError } from "../../src/errors.ts";
import { Store } from "../../src/store/mod.ts";
import { captureLog } from "../support/capture_log.ts";
import { eventually, tcpProxy, TestClock } from "../support/fixtures.ts";
import { freePort } from "../support/free_port.ts";
import { needTest } from "../support/need.ts";
import { PrivatePostgres, PrivateRedis } from "../support/servers.ts";
import { TestRecord } from "../support/test_record.ts";

needTest(
  ["postgres-binaries"],
  "with Postgres away, publish() tries for its patience and then says so",
  async () => {
    await using postgres = await PrivatePostgres.started();
    await using record = await TestRecord.make({ url: postgres.url() });
    const [warm, cold] = [record.queue({}, { patience: 0.5 }), record.queue({}, { patience: 0.5 })];
    await warm.publish("app", "run");
    await postgres.stop();
    for (const queue of [warm, cold]) {
      const before = performance.now();
      await assert.rejects(queue.publish("app", "run"), (error) => {
        assert.ok(error instanceof UnreachableError);
        assert.match(error.message, /^Postgres is unreachable \(/);
        assert.ok(error.remedy);
        return true;
      });
      const took = performance.now() - before;
      assert.ok(took >= 450 && took < 10_000, `${took} ms`);
    }
    await postgres.start();
    await warm.publish("app", "run");
    await cold.publish("app", "run");
    assert.equal(await record.count(), 3, "what was refused is not there");
  },
);

needTest(
  ["postgres-binaries"],
  "with Postgres back within the patience, every publish succeeds once",
  async () => {
    await using postgres = await PrivatePostgres.started();
    await using record = await TestRecord.make({ url: postgres.url() });
    const queue = record.queue({}, { patience: 60 });
    const published: Promise<number>[] = [];
    const publish = (i: number) =>
      published.push(queue.publish("app", "run", { i }, i % 10 === 0 ? { key: `k${i}` } : {}));
    for (let i = 0; i < 50; i++) publish(i);
    await published[0];
    const stopping = postgres.stop("immediate");
    for (let i = 50; i < 100; i++) publish(i);
    await stopping;
    for (let i = 100; i < 150; i++) publish(i);
    await postgres.start();
    for (let i = 150; i < 200; i++) publish(i);
    const ids = await Promise.all(published);
    const rows = await eventually(
      () => record.run("select id, (data->>'i')::integer as i from :schema.tasks order by i"),
      { what: "the connection of the test itself", within: 10_000 },
    );
    assert.deepEqual(rows.map((row) => row.i), [...Array(200).keys()]);
    for (const { id, i } of rows) assert.equal(ids[i], id);
  },
);

needTest(["postgres"], "an insert whose answer was lost is sent again, and not doubled", async () => {
  await using record = await TestRecord.make();
  await using proxy = tcpProxy(record.url);
  const queue = record.queue({ TQ_DATABASE_URL: proxy.url }, { patience: 60 });
  await queue.publishMany(Array.from({ length: 20 }, () => ({ model: "app", fname: "warm_up" })));
  const release = Promise.withResolvers<void>();
  const locked = Promise.withResolvers<void>();
  const holding = record.sql.begin(async (tx) => {
    await tx`lock table ${tx(record.schema)}.tasks in share row exclusive mode`;
    locked.resolve();
    await release.promise;
  });
  await locked.promise;
  const waiters = async () =>
    (await record
      .sql`select from pg_locks where relation = ${`${record.schema}.tasks`}::regclass and not granted`)
      .count;
  const publishing = Promise.all([
    queue.publish("app", "run", { n: 1 }),
    queue.publish("app", "run", { n: 2 }, { key: "k" }),
  ]);
  await eventually(async () => await waiters() > 0, { what: "the insert to wait for the lock" });
  // The server goes on with what it has begun, and cannot tell anybody.
  proxy.cut();
  await eventually(async () => await waiters() > 1, { what: "the insert that is sent again" });
  release.resolve();
  await holding;
  const ids = await publishing;
  const rows = await record.run("select id from :schema.tasks where fname = 'run' order by data");
  assert.deepEqual(rows.map((row) => row.id), ids);
});

needTest(
  ["postgres"],
  "a connection that went silent is given up, and the batch goes through another",
  async () => {
    await using record = await TestRecord.make();
    await using proxy = tcpProxy(record.url);
    const clock = new TestClock();
    const store = record.storeOf(Store, { url: () => Promise.resolve(proxy.url), clock });
    const queue = record.queueOn(store);
    await queue.publishMany(Array.from({ length: 20 }, () => ({ model: "app", fname: "warm_up" })));
    await queue.idle();
    proxy.goSilent();
    const publishing = queue.publish("app", "run");
    await eventually(() => clock.waiting > 0, { what: "the statement to be sent" });
    await clock.advance(10_000); // The deadline of a try.
    await proxy.resume();
    await eventually(() => clock.waiting > 0, { what: "the pause before the next try" });
    await clock.advance(1000);
    assert.ok(await publishing > 0);
    await queue.idle();
    assert.equal((await record.run("select from :schema.tasks where fname = 'run'")).length, 1);
  },
);

needTest(
  ["postgres"],
  "however short its patience, a publish tries a second connection when the first one is dead",
  async () => {
    await using record = await TestRecord.make();
    await using proxy = tcpProxy(record.url);
    const clock = new TestClock();
    const store = record.storeOf(Store, { url: () => Promise.resolve(proxy.url), connections: 1, clock });
    // That of the commands and of REST.
    const queue = record.queueOn(store, {}, { patience: 4 });
    await queue.publishMany(Array.from({ length: 20 }, () => ({ model: "app", fname: "warm_up" })));
    await queue.idle();
    const before = proxy.accepted;
    proxy.goSilent();
    const publishing = queue.publish("app", "run");
    await eventually(() => clock.waiting > 0, { what: "the statement to be sent" });
    await clock.advance(2000);
    await eventually(() => clock.waiting > 0, { what: "the pause before the next try" });
    await clock.advance(1000);
    await eventually(() => proxy.accepted > before, { what: "another connection" });
    await proxy.resume();
    assert.ok(await publishing > 0);
    await queue.idle();
    assert.equal((await record.run("select from :schema.tasks where fname = 'run'")).length, 1);
  },
);

needTest(["postgres"], "a Redis that nobody listens on is logged once, and publishing goes on", async () => {
  await using log = await captureLog();
  await using record = await TestRecord.make({ redis: `redis://127.0.0.1:${freePort()}` });
  const queue = record.queue();
  for (let i = 0; i < 5; i++) {
    await queue.publish("app", "run");
    await queue.idle();
  }
  await queue.close();
  assert.equal(await record.count(), 5);
  assert.equal(log.count(/^WARNING publish: Cannot push; engines will find the tasks error=/), 1);
  assert.equal(log.lines.length, 1, log.lines.join("\n"));
});

needTest(
  ["postgres", "redis-binaries"],
  "a Redis that is killed under a publisher costs hints alone, and is used again when it is back",
  async () => {
    await using log = await captureLog();
    await using redis = await PrivateRedis.started();
    await using record = await TestRecord.make({ redis: redis.url() });
    const queue = record.queue();
    const options = { channel: "c" };
    await queue.publish("app", "run", {}, options);
    await queue.idle();
    await redis.kill();
    for (let i = 0; i < 3; i++) {
      await queue.publish("app", "run", {}, options);
      await queue.idle();
    }
    assert.equal(log.count(/Cannot push/), 1);
    await redis.start();
    const held = async () => Number(await record.redis.zcard(record.keys.queue("c")).catch(() => 0));
    await eventually(async () => {
      await queue.publish("app", "run", {}, options);
      await queue.idle();
      return await held() > 0;
    }, { what: "hints in the new Redis", within: 10_000 });
    await redis.kill();
    await queue.publish("app", "run", {}, options);
    await queue.idle();
    assert.equal(log.count(/Cannot push/), 2, "a second outage is said again");
  },
);

needTest(["postgres", "redis"], "publish() does not wait for a Redis that went silent", async () => {
  await using log = await captureLog();
  await using record = await TestRecord.make({ redis: "shared" });
  await using proxy = tcpProxy(record.settings().TQ_REDIS_URL!);
  const queue = record.queue({ TQ_REDIS_URL: proxy.url });
  await queue.publish("app", "run");
  await queue.idle();
  proxy.goSilent();
  const before = performance.now();
  for (let i = 0; i < 10; i++) await queue.publish("app", "run");
  assert.ok(performance.now() - before < 1500, "publishing waited for Redis");
  await queue.close();
  assert.equal(log.count(/Cannot push.*no answer within 2000 ms/), 1);
});
