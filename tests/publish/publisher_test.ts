import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createDispatch } from "../../src/dispatch/mod.ts";
import { BadValueError } from "../../src/errors.ts";
import { checkKind, type PublishOptions, type TaskKind } from "../../src/publish/options.ts";
import { Publisher } from "../../src/publish/publisher.ts";
import type { TaskQueue } from "../../src/publish/queue.ts";
import { type InsertBatch, type Patience, Store } from "../../src/store/mod.ts";
import { testSchema, TestSignal } from "../support/fixtures.ts";
import { freePort } from "../support/free_port.ts";
import { needTest } from "../support/need.ts";
import { TestRecord } from "../support/test_record.ts";
import { WatchedStore } from "./watched_store.ts";

/** A record, a store that counts, and a queue on it that has connected. */
async function watched() {
  const record = await TestRecord.make();
  const store = record.storeOf(WatchedStore);
  const queue = record.queueOn(store);
  await queue.publish("app", "warm_up");
  await queue.idle();
  store.inserts.length = 0;
  store.most = 0;
  return { record, store, queue, [Symbol.asyncDispose]: () => record[Symbol.asyncDispose]() };
}

/** Everything that can happen without the outside world has happened. */
function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

function publishAll(queue: TaskQueue, count: number, options: (i: number) => PublishOptions = () => ({})) {
  return Promise.all(Array.from({ length: count }, (_, i) => queue.publish("app", "run", { i }, options(i))));
}

const rowsOf = (store: WatchedStore) => store.inserts.map((batch) => batch.rows.length);

needTest(
  ["postgres"],
  "1,000 concurrent publishes travel in a few statements, each with its own id",
  async () => {
    await using all = await watched();
    const { record, store, queue } = all;
    const ids = await publishAll(queue, 1000);
    assert.ok(store.inserts.length <= 3, `${store.inserts.length} inserts`);
    assert.equal(rowsOf(store).reduce((a, b) => a + b), 1000);
    assert.equal(new Set(ids).size, 1000);
    const rows = await record.run(
      "select id, (data->>'i')::integer as i from :schema.tasks where fname = 'run'",
    );
    assert.equal(rows.length, 1000);
    for (const { id, i } of rows) assert.equal(ids[i], id);
  },
);

needTest(["postgres"], "under load at most two statements are under way, of at most 1,000 rows", async () => {
  await using all = await watched();
  const { store, queue } = all;
  await Promise.all(Array.from({ length: 50 }, async (_, caller) => {
    for (let i = 0; i < 10; i++) await publishAll(queue, 20, () => ({ priority: (caller + i) % 5 }));
  }));
  await publishAll(queue, 5000);
  assert.equal(rowsOf(store).reduce((a, b) => a + b), 15_000);
  assert.equal(store.most, 2);
  assert.ok(Math.max(...rowsOf(store)) <= 1000);
  assert.ok(store.inserts.length <= 100, `${store.inserts.length} inserts for 15,000 tasks`);
  assert.ok(store.inserts.every((batch) => batch.kinds.length <= 5), "what tasks share travels once a batch");
  assert.ok(store.draws <= store.inserts.length + 20, `${store.draws} draws`);
});

needTest(["postgres"], "a statement carries at most 8 MiB, counted in bytes", async () => {
  await using all = await watched();
  const { store, queue } = all;
  for (const letter of ["a", "€"]) {
    store.inserts.length = 0;
    const text = letter.repeat(Math.floor(1_000_000 / Buffer.byteLength(letter)));
    await Promise.all(Array.from({ length: 20 }, () => queue.publish("app", "run", { text })));
    const sizes = store.inserts.map(({ rows }) =>
      rows.reduce((sum, row) => sum + Buffer.byteLength(row.data), 0)
    );
    assert.ok(Math.max(...sizes) <= 8 * 1024 * 1024, `${sizes} bytes of ${letter}`);
    assert.ok(sizes.length <= 4, `${sizes.length} inserts`);
  }
});

needTest(
  ["postgres"],
  "a try has a deadline within the patience, so that a dead connection is not all there was",
  async () => {
    await using record = await TestRecord.make();
    const store = record.storeOf(WatchedStore);
    const queues = [record.queueOn(store), record.queueOn(store, {}, { patience: 60 })];
    for (const queue of queues) {
      await queue.publish("app", "run");
      await queue.publish("app", "run", {}, { key: "k" });
    }
    assert.deepEqual(store.patience.map((how) => how?.patience), [15_000, 15_000, 60_000, 60_000]);
    for (const how of store.patience) assert.ok(how?.deadline! < how?.patience!);
  },
);

Deno.test("while 256 MiB wait for Postgres, publishing is refused at once, until they have gone", async () => {
  const url = `postgres://postgres@127.0.0.1:${freePort()}/nobody`;
  const traits = { schema: "tq", connections: 1, prepare: true, applicationName: "tq test", notifies: true };
  await using store = new Store({
    ...traits,
    url: () => Promise.resolve(url),
    poll: { first: 50, longest: 50 },
  });
  const publisher = new Publisher({
    store,
    defaults: { maxAttempts: 5, timeoutSeconds: 60 },
    createDispatch: () => assert.fail("it never gets there"),
    patience: { patience: 100 },
  });
  const kind = checkKind("app", "run");
  const data = JSON.stringify({ text: "x".repeat(50_000_000) });
  const publish = () => assert.rejects(publisher.publish(kind, data), /Postgres is unreachable/);
  const underWay = [publish(), publish()];
  await turn();
  const waiting = Array.from({ length: 6 }, publish);
  await assert.rejects(publisher.publish(kind, data), /^UnreachableError: 6 tasks wait for Postgres already/);
  await Promise.all([...underWay, ...waiting]);
  await publish();
  await publisher.close();
});

/** A store to which rows are sent without their data, when it is let: so large ones cost no time. */
class GatedStore extends Store {
  readonly gate = Promise.withResolvers<void>();

  override async insert({ kinds, rows }: InsertBatch, notify: boolean, how?: Patience): Promise<void> {
    await this.gate.promise;
    await super.insert({ kinds, rows: rows.map((row) => ({ ...row, data: "{}" })) }, notify, how);
  }
}

/** A record, such a store, and a publisher on it. */
async function gated() {
  const record = await TestRecord.make();
  const store = record.storeOf(GatedStore);
  const publisher = new Publisher({
    store,
    defaults: { maxAttempts: 5, timeoutSeconds: 60 },
    createDispatch: (install) => createDispatch(record.settings(), install, store.wakeup),
    patience: { patience: 15_000 },
  });
  const dispose = async () => {
    await publisher.close();
    await record[Symbol.asyncDispose]();
  };
  return { record, store, publisher, [Symbol.asyncDispose]: dispose };
}

/** As many tasks of so many MB. */
function large(fname: string, count: number, size = 15): (readonly [TaskKind, string])[] {
  const data = JSON.stringify({ text: "x".repeat(size * 1_000_000) });
  return Array.from({ length: count }, () => [checkKind("app", fname), data]);
}

needTest(["postgres"], "publishMany() publishes more than may wait for Postgres at once", async () => {
  await using all = await gated();
  const { record, store, publisher } = all;
  store.gate.resolve();
  const publishing = publisher.publishMany(large("run", 20), (kind) => kind);
  await publisher.close();
  const rows = await record.run("select id from :schema.tasks order by id");
  assert.equal(rows.length, 20, "close() waits for all of it");
  assert.deepEqual(await publishing, rows.map(({ id }) => id));
});

needTest(
  ["postgres"],
  "while 256 MiB wait, publishMany() is refused whole; one that has begun goes on",
  async () => {
    await using all = await gated();
    const { record, store, publisher } = all;
    const begun = publisher.publishMany(large("begun", 4), (kind) => kind);
    // The last one fills what there is, and more: it is full as well when the first part of `begun` has gone.
    const fill = [...large("other", 14), ...large("other", 1, 100)];
    const others = Promise.all(fill.map((task) => publisher.publish(...task)));
    const late = publisher.publishMany(large("late", 4), (kind) => kind);
    await assert.rejects(late, /^UnreachableError: \d+ tasks wait for Postgres already/);
    store.gate.resolve();
    assert.equal((await begun).length, 4);
    await others;
    const rows = await record.run("select fname, count(*)::integer as n from :schema.tasks group by fname");
    assert.deepEqual(Object.fromEntries(rows.map(({ fname, n }) => [fname, n])), { begun: 4, other: 15 });
  },
);

needTest(["postgres"], "a lone publish is sent at once: no timer delays it", async () => {
  await using all = await watched();
  const { store, queue } = all;
  // Ids are drawn ahead of use: the first few calls may still wait for them.
  await publishAll(queue, 100);
  await queue.idle();
  for (let i = 0; i < 5; i++) {
    store.inserts.length = 0;
    let turned = false;
    const timer = setTimeout(() => turned = true, 0);
    const publishing = queue.publish("app", "run");
    for (let tick = 0; tick < 100 && store.inserts.length === 0; tick++) await Promise.resolve();
    assert.equal(turned, false);
    assert.deepEqual(rowsOf(store), [1]);
    clearTimeout(timer);
    await publishing;
    await queue.idle();
  }
});

needTest(
  ["postgres"],
  "a value that Postgres refuses fails alone; every other task is there once",
  async () => {
    await using all = await watched();
    const { record, store, queue } = all;
    await record.run(
      "alter table :schema.tasks add check (data->>'i' is null or data->>'i' not in ('7', '50', '99'))",
    );
    const results = await Promise.allSettled(
      Array.from({ length: 100 }, (_, i) => queue.publish("app", "run", { i })),
    );
    for (const [i, result] of results.entries()) {
      if (![7, 50, 99].includes(i)) assert.equal(result.status, "fulfilled", `task ${i}`);
      else assert.ok(result.status === "rejected" && result.reason instanceof BadValueError, `task ${i}`);
    }
    const rows = await record.run("select id, data->>'i' as i from :schema.tasks where fname = 'run'");
    assert.equal(rows.length, 97);
    assert.equal(new Set(rows.map((row) => row.i)).size, 97);
    for (const { id, i } of rows) {
      const result = results[Number(i)];
      assert.equal(result?.status === "fulfilled" && result.value, id);
    }
    assert.ok(store.inserts.length < 60, `${store.inserts.length} inserts`);
  },
);

needTest(
  ["postgres"],
  "a refused value among tasks with keys does not publish the others twice",
  async () => {
    await using all = await watched();
    const { record, queue } = all;
    await record.run("alter table :schema.tasks add check (data->>'i' <> '9')");
    const results = await Promise.allSettled(Array.from({ length: 40 }, (_, i) => {
      const options = i % 3 === 0 ? { key: `k${i}` } : i % 3 === 1 ? { unique: `u${i}` } : {};
      return queue.publish("app", "run", { i }, options);
    }));
    assert.deepEqual(results.flatMap((result, i) => result.status === "rejected" ? [i] : []), [9]);
    const rows = await record.run("select id, data->>'i' as i from :schema.tasks where fname = 'run'");
    assert.deepEqual(
      rows.map((row) => Number(row.i)).sort((a, b) => a - b),
      [...Array(40).keys()].filter((i) => i !== 9),
    );
  },
);

needTest(
  ["session"],
  "without Redis every publish wakes who listens: plain, keyed, and in a transaction",
  async () => {
    // The longest name that a schema may have: NOTIFY's own limit is shorter.
    await using record = await TestRecord.make({ schema: testSchema().padEnd(63, "x") });
    const woken = new TestSignal("a notification");
    const listener = record.store();
    const unlisten = await listener.listen(() => woken.fire());
    const queue = record.queue();
    await queue.publish("app", "run");
    await woken.next();
    await queue.publish("app", "run", {}, { key: "k" });
    await woken.next();
    const { promise, resolve } = Promise.withResolvers<void>();
    const transaction = queue.transaction(async (_tx, publish) => {
      await publish("app", "run");
      await promise;
    });
    assert.equal(woken.pending, 0, "told before the commit");
    resolve();
    await transaction;
    await woken.next();
    unlisten?.();
  },
);

needTest(
  ["postgres", "redis"],
  "what is ready is pushed with its channel and priority; what is delayed is not",
  async () => {
    await using record = await TestRecord.make({ redis: "shared" });
    const queue = record.queue();
    const [low, high, other] = await queue.publishMany([
      { model: "app", fname: "run", options: { channel: "a", priority: -1 } },
      { model: "app", fname: "run", options: { channel: "a", priority: 7 } },
      { model: "app", fname: "run", options: { channel: "b" } },
      { model: "app", fname: "run", options: { channel: "a", delay: 60 } },
      { model: "app", fname: "run", options: { channel: "b", at: new Date(Date.now() + 60_000) } },
    ]);
    await queue.idle();
    assert.deepEqual(await record.hints("a"), [high, low]);
    assert.deepEqual(await record.hints("b"), [other]);
  },
);

needTest(["postgres", "redis"], "a delayed task is told by its seconds, the nearest of a batch", async () => {
  await using record = await TestRecord.make({ redis: "shared" });
  const queue = record.queue();
  const heard = new TestSignal<string>("a message");
  const subscriber = record.redis.duplicate();
  try {
    subscriber.on("message", (_channel, text) => heard.fire(text));
    await subscriber.subscribe(record.keys.control);
    await queue.publishMany(
      [100, 5, 60].map((delay) => ({ model: "app", fname: "run", options: { delay } })),
    );
    assert.deepEqual(JSON.parse(await heard.next()), { kind: "due", seconds: 5 });
    const id = await queue.publish("app", "run");
    await record.run(`update :schema.tasks set state = 1 where id = ${id}`);
    await queue.cancel(id);
    assert.deepEqual(JSON.parse(await heard.next()), { kind: "cancel", ids: [id] });
  } finally {
    subscriber.disconnect();
  }
});
