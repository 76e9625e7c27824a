import assert from "node:assert/strict";
import { InputError, NotFoundError, WaitTimeoutError } from "../../src/errors.ts";
import { Task, type TaskHost } from "../../src/handler/context.ts";
import type { TaskQueue } from "../../src/publish/queue.ts";
import { State } from "../../src/task.ts";
import { eventually, tcpProxy } from "../support/fixtures.ts";
import { needTest } from "../support/need.ts";
import { TestRecord } from "../support/test_record.ts";

/** Whether the promise has settled. */
function watch(promise: Promise<unknown>): { settled: boolean } {
  const seen = { settled: false };
  const settle = () => void (seen.settled = true);
  promise.then(settle, settle);
  return seen;
}

needTest(["postgres"], "publish() resolves after the commit", async () => {
  await using record = await TestRecord.make();
  const key = Math.floor(Math.random() * 2 ** 31);
  // Runs at the commit, after the INSERT has been answered: what waits here has inserted and not committed.
  await record.run(`
    create function :schema.hold() returns trigger language plpgsql as
      $$ begin perform pg_advisory_xact_lock(${key}); return null; end $$;
    create constraint trigger hold after insert on :schema.tasks deferrable initially deferred
      for each row execute function :schema.hold()`);
  const queue = record.queue();
  const holder = await record.sql.reserve();
  await holder`select pg_advisory_lock(${key}::bigint)`;
  const publishing = queue.publish("app.Model", "run");
  const seen = watch(publishing);
  await eventually(
    async () =>
      (await record.sql`select from pg_locks where objid = ${key}::oid and not granted`).count === 1,
    { what: "the insert to wait at its commit" },
  );
  assert.equal(seen.settled, false);
  assert.equal(await record.count(), 0);
  await holder`select pg_advisory_unlock(${key}::bigint)`;
  holder.release();
  const id = await publishing;
  const rows = await record.run(`select id from :schema.tasks`);
  assert.deepEqual(rows.map((row) => row.id), [id]);
});

needTest(["postgres"], "publish() does not resolve while somebody holds the table", async () => {
  await using record = await TestRecord.make();
  const queue = record.queue();
  await queue.publish("app.Model", "first");
  const release = Promise.withResolvers<void>();
  const locked = Promise.withResolvers<void>();
  const holding = record.sql.begin(async (tx) => {
    await tx`lock table ${tx(record.schema)}.tasks in access exclusive mode`;
    locked.resolve();
    await release.promise;
  });
  await locked.promise;
  const publishing = queue.publish("app.Model", "second");
  const seen = watch(publishing);
  await eventually(
    async () =>
      (await record
        .sql`select from pg_locks where relation = ${`${record.schema}.tasks`}::regclass and not granted`)
        .count === 1,
    { what: "the insert to wait for the table" },
  );
  assert.equal(seen.settled, false);
  release.resolve();
  await holding;
  await publishing;
  assert.equal(await record.count(), 2);
});

needTest(["postgres"], "what is published at once can be read at once, by anybody", async () => {
  await using record = await TestRecord.make();
  const [mine, theirs] = [record.queue(), record.queue()];
  await theirs.get(1);
  for (let i = 0; i < 50; i++) {
    const id = await mine.publish("app.Model", "run", { i });
    assert.deepEqual((await theirs.get(id))?.data, { i });
  }
});

needTest(["postgres"], "the record has what was published, by the database's clock", async () => {
  await using record = await TestRecord.make();
  const queue = record.queue({ TQ_RETRY_ATTEMPTS: 7, TQ_TASK_TIMEOUT: "90.2s" });
  const plain = await queue.get(await queue.publish("app", "run"));
  assert.ok(plain);
  assert.equal(plain.state, State.scheduled);
  assert.deepEqual(
    [
      plain.channel,
      plain.model,
      plain.fname,
      plain.data,
      plain.priority,
      plain.maxAttempts,
      plain.timeoutSeconds,
    ],
    ["tq_app_handler", "app", "run", {}, 0, 7, 91],
  );
  assert.deepEqual([plain.attempts, plain.claims, plain.deaths, plain.cancelRequested], [0, 0, 0, false]);
  for (
    const field of ["scheduledFor", "staleAfter", "startedAt", "completedAt", "reason", "result"] as const
  ) {
    assert.equal(plain[field], null, field);
  }
  const traceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  const full = await queue.get(
    await queue.publish("app.Model", "run", { deep: { list: [1, null, "é"] } }, {
      channel: "mine",
      delay: 3600,
      priority: -5,
      maxAttempts: 2,
      timeout: 30,
      staleAfter: 7200,
      key: "k",
      unique: "u",
      traceParent,
    }),
  );
  assert.ok(full?.scheduledFor && full.staleAfter);
  assert.equal(full.state, State.retry);
  assert.equal(full.scheduledFor.getTime() - full.created.getTime(), 3_600_000);
  assert.equal(full.staleAfter.getTime() - full.created.getTime(), 7_200_000);
  assert.deepEqual(
    [full.channel, full.data, full.priority, full.maxAttempts, full.timeoutSeconds],
    ["mine", { deep: { list: [1, null, "é"] } }, -5, 2, 30],
  );
  assert.deepEqual([full.publishKey, full.uniqueKey, full.traceParent], ["k", "u", traceParent]);
});

needTest(["postgres"], "at and staleAfter may be moments; one that has passed is ready now", async () => {
  await using record = await TestRecord.make();
  const queue = record.queue();
  const later = new Date(Date.now() + 86_400_123);
  const future = await queue.get(await queue.publish("app", "run", {}, { at: later, staleAfter: later }));
  assert.equal(future?.state, State.retry);
  assert.equal(future?.scheduledFor?.getTime(), later.getTime());
  assert.equal(future?.staleAfter?.getTime(), later.getTime());
  const past = await queue.get(
    await queue.publish("app", "run", {}, { at: new Date(Date.now() - 86_400_000) }),
  );
  assert.equal(past?.state, State.scheduled);
});

needTest(["postgres"], "text of every kind comes back as it was", async () => {
  await using record = await TestRecord.make();
  const queue = record.queue();
  const texts = [
    "\\u0000",
    "\\\\u0000",
    "\\ud83d",
    "\u{1f600}",
    "\u0001\u007f\u2028",
    "'\"{},\\",
    "null",
    "$1",
    "ü€",
  ];
  const ids = await queue.publishMany(
    texts.map((text) => ({ model: "app", fname: "run", data: { text, [text]: [text] } })),
  );
  for (const [i, text] of texts.entries()) {
    assert.deepEqual((await queue.get(ids[i]!))?.data, { text, [text]: [text] });
  }
});

needTest(
  ["postgres"],
  "what handlers say of themselves counts where the publisher says nothing",
  async () => {
    await using record = await TestRecord.make();
    await record.store().setHandlerDefaults({
      "app.Model": { timeout: 5, maxAttempts: 3, channel: "own" },
      "app.Other": { timeout: 6 },
    });
    const queue = record.queue();
    const read = async (model: string, options = {}) => {
      const task = await queue.get(await queue.publish(model, "run", {}, options));
      return [task?.timeoutSeconds, task?.maxAttempts, task?.channel];
    };
    assert.deepEqual(await read("app.Model"), [5, 3, "own"]);
    assert.deepEqual(await read("app.Other"), [6, 5, "tq_model_handler"]);
    assert.deepEqual(await read("app.Third"), [1800, 5, "tq_model_handler"]);
    assert.deepEqual(await read("app.Model", { timeout: 9, maxAttempts: 1, channel: "x" }), [9, 1, "x"]);
    const kept = record.queue({}, { defaultsAge: 60 });
    const asking = record.queue({}, { defaultsAge: 0 });
    const timeoutOf = async (by: TaskQueue) =>
      (await queue.get(await by.publish("app.Model", "run")))?.timeoutSeconds;
    assert.deepEqual(await Promise.all([kept, asking].map(timeoutOf)), [5, 5]);
    await record.store().setHandlerDefaults({ "app.Model": { timeout: 7 } });
    assert.deepEqual(await Promise.all([kept, asking].map(timeoutOf)), [5, 7]);
  },
);

needTest(
  ["postgres"],
  "bad input is refused before anything is written, and leaves the queue sound",
  async () => {
    await using record = await TestRecord.make();
    const queue = record.queue({ TQ_MAX_DATA: 1000 });
    const cycle: Record<string, never> = {};
    Object.assign(cycle, { cycle });
    const bad: unknown[] = [
      { a: undefined },
      { a: () => 1 },
      cycle,
      { a: 1n },
      { a: NaN },
      { a: new Map() },
      { a: "\0" },
      { "\ud800": 1 },
      { a: "x".repeat(1000) },
      [1],
      "text",
      null,
    ];
    for (const data of bad) {
      await assert.rejects(queue.publish("app", "run", data as never), InputError, Deno.inspect(data));
    }
    await assert.rejects(queue.publish("../../etc/passwd", "run"), InputError);
    await assert.rejects(queue.publish("constructor", "run"), InputError);
    await assert.rejects(queue.publish("app", "toString"), InputError);
    await assert.rejects(queue.publish("app", "run", {}, { priority: 101 }), InputError);
    await assert.rejects(queue.publish("app", "run", {}, { prioritty: 1 } as never), InputError);
    assert.equal(await record.count(), 0);
    await queue.publish("app", "run");
    assert.equal(await record.count(), 1);
  },
);

/** As a program may write it: what it publishes is not to change under it. */
interface Job {
  readonly id: number;
  readonly tags: readonly string[];
  readonly parent?: Job;
}

needTest(
  ["postgres"],
  "data may be an interface with readonly arrays, from publisher to handler",
  async () => {
    await using record = await TestRecord.make();
    const queue = record.queue();
    const job: Job = { id: 1, tags: ["a", "b"], parent: { id: 2, tags: [] } };
    const ids = [
      await queue.publish("app", "run", job),
      ...await queue.publishMany([{ model: "app", fname: "run", data: job }]),
      await queue.transaction((_tx, publish) => publish("app", "run", job)),
    ];
    const host: TaskHost = {
      queue,
      maxResultBytes: 1000,
      signal: () => new AbortController().signal,
      note() {},
    };
    const handler = async (task: Task<Job>) => await task.publish("app", "run", task.data);
    const seed = { id: 1, model: "app", fname: "run", channel: "c", attempts: 1, data: JSON.stringify(job) };
    ids.push(await handler(new Task<Job>(seed, host)));
    for (const id of ids) assert.deepEqual((await queue.get(id))?.data, job);
    const hook = await queue.get(await queue.webRequest("https://example.com", job));
    assert.deepEqual(hook?.data["data"], job);
  },
);

needTest(["postgres"], "publishMany() checks all before it writes any, and names the bad one", async () => {
  await using record = await TestRecord.make();
  const queue = record.queue();
  const good = { model: "app", fname: "run" };
  await assert.rejects(
    queue.publishMany([good, good, { ...good, data: { a: NaN } as never }, good]),
    (error) =>
      error instanceof InputError && error.message === "task 3: data.a is NaN" && error.remedy !== undefined,
  );
  await assert.rejects(
    queue.publishMany([good, { ...good, fname: "a b" }]),
    /^InputError: task 2: function is "a b"/,
  );
  assert.equal(await record.count(), 0);
  assert.deepEqual(await queue.publishMany([]), []);
  const ids = await queue.publishMany(function* () {
    for (let i = 0; i < 2500; i++) yield { ...good, data: { i }, options: { priority: i % 3 } };
  }());
  assert.equal(new Set(ids).size, 2500);
  assert.deepEqual((await queue.get(ids[2400]!))?.data, { i: 2400 });
});

needTest(
  ["postgres"],
  "wait() resolves with the ended task, gives up in time, and knows what is not there",
  async () => {
    await using record = await TestRecord.make();
    const queue = record.queue();
    const id = await queue.publish("app", "run");
    await assert.rejects(queue.wait(id, { timeout: 0.05 }), WaitTimeoutError);
    await assert.rejects(queue.wait(id, { timeout: 0 }), WaitTimeoutError);
    await assert.rejects(queue.wait(id + 1000), NotFoundError);
    await assert.rejects(queue.wait(0), InputError);
    const waiting = queue.wait(id);
    await record.run(`update :schema.tasks set state = 10, result = '{"lines": 3}' where id = ${id}`);
    const task = await waiting;
    assert.deepEqual([task.id, task.state, task.result], [id, State.completed, { lines: 3 }]);
  },
);

needTest(["postgres"], "seconds that are none are refused at once", async () => {
  await using record = await TestRecord.make();
  const queue = record.queue();
  const id = await queue.publish("app", "run");
  for (const timeout of [NaN, -1, "soon" as never]) {
    await assert.rejects(queue.wait(id, { timeout }), /^InputError: timeout is (NaN|-1|soon)$/);
    await assert.rejects(queue.transaction(() => assert.fail("it ran"), { timeout }), InputError);
    assert.throws(() => record.queue({}, { patience: timeout }), /^InputError: patience is/);
  }
  await record.run(`update :schema.tasks set state = 10 where id = ${id}`);
  assert.equal((await queue.wait(id, { timeout: Infinity })).id, id);
  assert.equal(await queue.transaction(() => Promise.resolve(1), { timeout: Infinity }), 1);
});

needTest(["postgres"], "get() gives a record or nothing, and refuses what is no id", async () => {
  await using record = await TestRecord.make();
  const queue = record.queue();
  assert.equal(await queue.get(999_999), undefined);
  for (const id of [0, -1, 1.5, NaN, "1", 2 ** 60]) await assert.rejects(queue.get(id as number), InputError);
});

needTest(
  ["postgres"],
  "close() closes every connection, may be called twice, and ends the queue",
  async () => {
    await using record = await TestRecord.make();
    await using proxy = tcpProxy(record.url);
    const queue = record.queue({ TQ_DATABASE_URL: proxy.url });
    const publishing = Promise.all(Array.from({ length: 50 }, (_, i) => queue.publish("app", "run", { i })));
    await queue.close();
    assert.equal((await publishing).length, 50, "what was under way is published first");
    await eventually(() => proxy.connections === 0, { what: "the connections to be closed" });
    await queue.close();
    const before = performance.now();
    await assert.rejects(queue.publish("app", "run"), /closed/);
    await assert.rejects(queue.get(1), /closed/);
    assert.ok(performance.now() - before < 2000, "a closed queue must not try for the whole of its patience");
    assert.equal(await record.count(), 50);
  },
);
