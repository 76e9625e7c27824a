import assert from "node:assert/strict";
import { needTest } from "../support/need.ts";
import { TestRecord } from "../support/test_record.ts";

/** Ends a task, as an engine would. */
async function end(record: TestRecord, id: number): Promise<void> {
  await record.run(`update :schema.tasks set state = 10, completed_at = now() where id = ${id}`);
}

needTest(
  ["postgres"],
  "publishing again with the same key gives the first task's id, whatever else is said",
  async () => {
    await using record = await TestRecord.make();
    const queue = record.queue();
    const first = await queue.publish("app", "run", { n: 1 }, { key: "k" });
    assert.equal(await queue.publish("app", "run", { n: 2 }, { key: "k" }), first);
    assert.equal(await queue.publish("app.Model", "other", {}, { key: "k", channel: "x", delay: 60 }), first);
    await end(record, first);
    assert.equal(
      await queue.publish("app", "run", { n: 3 }, { key: "k" }),
      first,
      "an ended task keeps its key",
    );
    assert.notEqual(await queue.publish("app", "run", { n: 4 }, { key: "K" }), first);
    assert.equal(await record.count(), 2);
    assert.deepEqual((await queue.get(first))?.data, { n: 1 });
  },
);

needTest(["postgres"], "a key published by two queues at once, many times, makes one task", async () => {
  await using record = await TestRecord.make();
  const queues = [record.queue(), record.queue()];
  const ids = await Promise.all(
    Array.from({ length: 100 }, (_, i) => queues[i % 2]!.publish("app", "run", { i }, { key: `k${i % 5}` })),
  );
  assert.equal(new Set(ids).size, 5);
  for (const [i, id] of ids.entries()) assert.equal(id, ids[i % 5]);
  assert.equal(await record.count(), 5);
});

needTest(
  ["postgres"],
  "two queues that publish the same keys in opposite orders end, and agree",
  async () => {
    await using record = await TestRecord.make();
    // Slow enough for each to hold a key that the other waits for: Postgres ends one of them as a deadlock.
    await record.run(`
    create function :schema.slow() returns trigger language plpgsql as
      $$ begin perform pg_sleep(0.01); return new; end $$;
    create trigger slow before insert on :schema.tasks for each row execute function :schema.slow()`);
    const queues = [record.queue(), record.queue()];
    const keys = Array.from({ length: 20 }, (_, i) => `k${i}`);
    const [forward, backward] = await Promise.all(
      [keys, keys.toReversed()].map((order, i) =>
        queues[i]!.publishMany(order.map((key) => ({ model: "app", fname: "run", options: { key } })))
      ),
    );
    assert.deepEqual(forward, backward?.toReversed());
    assert.equal(await record.count(), 20);
  },
);

needTest(
  ["postgres"],
  "while a unique task waits, is ready or runs, publishing gives its id; then a new one",
  async () => {
    await using record = await TestRecord.make();
    const queue = record.queue();
    const publish = (options = {}) => queue.publish("app", "run", {}, { unique: "u", ...options });
    const first = await publish({ delay: 3600 });
    for (const state of [2, 0, 1]) {
      await record.run(`update :schema.tasks set state = ${state} where id = ${first}`);
      assert.equal(await publish(), first, `in state ${state}`);
    }
    for (const state of [10, -1, -2]) {
      const current = await publish();
      await record.run(`update :schema.tasks set state = ${state} where id = ${current}`);
      assert.notEqual(await publish(), current, `in state ${state}`);
    }
    const [row] = await record.run(
      "select count(*)::integer as n from :schema.tasks where state in (0, 1, 2)",
    );
    assert.equal(row?.n, 1);
  },
);

needTest(
  ["postgres"],
  "unique holds among concurrent publishes of two queues while tasks end under them",
  async () => {
    await using record = await TestRecord.make();
    const queues = [record.queue(), record.queue()];
    let ending = true;
    const ender = (async () => {
      while (ending) await record.run("update :schema.tasks set state = 10 where state = 0");
    })();
    try {
      for (let round = 0; round < 20; round++) {
        const ids = await Promise.all(
          Array.from({ length: 10 }, (_, i) => queues[i % 2]!.publish("app", "run", {}, { unique: "u" })),
        );
        assert.ok(ids.every((id) => Number.isInteger(id) && id > 0));
      }
    } finally {
      ending = false;
      await ender;
    }
    const [row] = await record.run(
      "select count(*)::integer as n from :schema.tasks where state in (0, 1, 2)",
    );
    assert.ok(row?.n <= 1);
  },
);

needTest(["postgres"], "a key and a unique key together: the key's task goes first", async () => {
  await using record = await TestRecord.make();
  const queue = record.queue();
  const byKey = await queue.publish("app", "run", {}, { key: "k" });
  const byUnique = await queue.publish("app", "run", {}, { unique: "u" });
  assert.equal(await queue.publish("app", "run", {}, { key: "k", unique: "u" }), byKey);
  assert.equal(await queue.publish("app", "run", {}, { key: "other", unique: "u" }), byUnique);
  await end(record, byUnique);
  const both = await queue.publish("app", "run", {}, { key: "third", unique: "u" });
  assert.notEqual(both, byUnique);
  assert.equal(await queue.publish("app", "run", {}, { key: "third" }), both);
});

needTest(
  ["postgres", "redis"],
  "a task that was there already is not pushed again, least of all on another channel",
  async () => {
    await using record = await TestRecord.make({ redis: "shared" });
    const queue = record.queue();
    const first = await queue.publish("app", "run", {}, { key: "k", unique: "u", channel: "a" });
    await queue.idle();
    assert.deepEqual(await record.hints("a"), [first]);
    assert.equal(await queue.publish("app", "run", {}, { key: "k", channel: "b" }), first);
    assert.equal(await queue.publish("app", "run", {}, { unique: "u", channel: "b" }), first);
    await queue.idle();
    assert.deepEqual(await record.hints("b"), []);
  },
);
