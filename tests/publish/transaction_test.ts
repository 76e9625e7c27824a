import assert from "node:assert/strict";
import { InputError, UnreachableError } from "../../src/errors.ts";
import { State } from "../../src/task.ts";
import { Outlook } from "../../src/upkeep/outlook.ts";
import { Redispatcher } from "../../src/upkeep/redispatcher.ts";
import { createDispatch } from "../../src/dispatch/mod.ts";
import { needTest } from "../support/need.ts";
import { TestRecord } from "../support/test_record.ts";

needTest(
  ["postgres"],
  "publish({ tx }) is part of the caller's own transaction: seen after its commit",
  async () => {
    await using record = await TestRecord.make();
    const queue = record.queue();
    await record.run("create table :schema.orders (id integer)");
    const id = await record.sql.begin(async (tx) => {
      await tx`insert into ${tx(record.schema)}.orders values (1)`;
      const id = await queue.publish("app.Orders", "ship", { order: 1 }, { tx, priority: 5, maxAttempts: 2 });
      assert.equal(await queue.get(id), undefined);
      assert.equal((await tx`select from ${tx(record.schema)}.tasks where id = ${id}`).count, 1);
      return id;
    });
    const task = await queue.get(id);
    assert.deepEqual([task?.state, task?.data, task?.priority, task?.maxAttempts], [0, { order: 1 }, 5, 2]);
  },
);

needTest(["postgres"], "publish({ tx }) is gone when the caller's transaction is rolled back", async () => {
  await using record = await TestRecord.make();
  const queue = record.queue();
  const rollback = new Error("no");
  let id = 0;
  await assert.rejects(
    record.sql.begin(async (tx) => {
      id = await queue.publish("app", "run", {}, { tx });
      throw rollback;
    }),
    rollback,
  );
  assert.ok(id > 0);
  assert.equal(await queue.get(id), undefined);
  assert.equal(await record.count(), 0);
});

needTest(
  ["postgres", "redis"],
  "the push of a task in the caller's transaction follows from upkeep's sweep",
  async () => {
    await using record = await TestRecord.make({ redis: "shared" });
    const queue = record.queue();
    const id = await record.sql.begin((tx) => queue.publish("app", "run", {}, { tx, channel: "c" }));
    await queue.idle();
    assert.deepEqual(await record.hints("c"), []);
    await using store = record.store();
    await using dispatch = createDispatch(record.settings(), record.install, store.wakeup);
    await dispatch.wasEmptied(); // Else the sweep would refill a Redis that it takes for emptied.
    await record.run("update :schema.tasks set modified = now() - interval '6 seconds'");
    const sweep = new Redispatcher({
      store,
      dispatch,
      settings: record.settings(),
      leader: { isLeader: true },
      outlook: new Outlook(store),
      gapless: () => Infinity,
      gaplessUntil: () => Infinity,
    });
    await sweep.runOnce();
    assert.deepEqual(await record.hints("c"), [id]);
  },
);

needTest(
  ["postgres"],
  "publish({ tx }) refuses keys and bad input before it touches the transaction",
  async () => {
    await using record = await TestRecord.make();
    const queue = record.queue();
    await record.sql.begin(async (tx) => {
      await assert.rejects(queue.publish("app", "run", {}, { tx, key: "k" }), InputError);
      await assert.rejects(queue.publish("app", "run", {}, { tx, unique: "u" }), InputError);
      await assert.rejects(queue.publish("app", "a b", {}, { tx }), InputError);
      await assert.rejects(queue.publish("app", "run", { a: NaN }, { tx }), InputError);
      await queue.publish("app", "run", {}, { tx });
    });
    assert.equal(await record.count(), 1);
  },
);

needTest(
  ["postgres", "redis"],
  "transaction() commits its tasks together, and pushes what is ready",
  async () => {
    await using record = await TestRecord.make({ redis: "shared" });
    const queue = record.queue();
    await record.run("create table :schema.orders (id integer)");
    const ids = await queue.transaction(async (tx, publish) => {
      await tx.unsafe(`insert into ${record.schema}.orders values (7)`);
      const ready = await publish("app", "run", { n: 1 }, { channel: "c" });
      const first = await publish("app", "run", { n: 2 }, { channel: "c", priority: 1 });
      const delayed = await publish("app", "run", { n: 3 }, { channel: "c", delay: 60 });
      await queue.idle();
      assert.equal(await record.count(), 0);
      assert.deepEqual(await record.hints("c"), []);
      return { ready, first, delayed };
    });
    await queue.idle();
    assert.equal(await record.count(), 3);
    assert.equal((await record.run("select from :schema.orders where id = 7")).length, 1);
    assert.deepEqual(await record.hints("c"), [ids.first, ids.ready]);
    assert.equal((await queue.get(ids.delayed))?.state, State.retry);
  },
);

needTest(["postgres", "redis"], "transaction() that throws leaves nothing: no row, no hint", async () => {
  await using record = await TestRecord.make({ redis: "shared" });
  const queue = record.queue();
  const rollback = new Error("no");
  const failing = queue.transaction(async (_tx, publish) => {
    await publish("app", "run", {}, { channel: "c" });
    throw rollback;
  });
  await assert.rejects(failing, rollback);
  await assert.rejects(
    queue.transaction(async (_tx, publish) => {
      await publish("app", "run", {}, { channel: "c" });
      await publish("app", "run", {}, { key: "k" });
    }),
    InputError,
  );
  await assert.rejects(
    queue.transaction(async (_tx, publish) => {
      await publish("app", "run", {}, { channel: "c" });
      await publish("app", "run", { a: undefined } as never);
    }),
    InputError,
  );
  await queue.idle();
  assert.equal(await record.count(), 0);
  assert.deepEqual(await record.hints("c"), []);
});

needTest(["postgres"], "transaction() is given up after its time, and rolled back", async () => {
  await using record = await TestRecord.make();
  const queue = record.queue();
  const { promise, resolve } = Promise.withResolvers<void>();
  const slow = queue.transaction(async (_tx, publish) => {
    await publish("app", "run");
    await promise;
  }, { timeout: 0.3 });
  await assert.rejects(slow, UnreachableError);
  resolve();
  await queue.publish("app", "after");
  assert.deepEqual((await record.run("select fname from :schema.tasks")).map((row) => row.fname), ["after"]);
});
