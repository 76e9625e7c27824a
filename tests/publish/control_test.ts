import assert from "node:assert/strict";
import { InputError } from "../../src/errors.ts";
import { State } from "../../src/task.ts";
import { needTest } from "../support/need.ts";
import { TestRecord } from "../support/test_record.ts";

/** Puts a task into a state. */
async function put(record: TestRecord, id: number, state: number): Promise<void> {
  await record.run(`update :schema.tasks set state = ${state} where id = ${id}`);
}

needTest(
  ["postgres"],
  "cancel() ends waiting and ready tasks at once, asks for running ones, leaves ended ones",
  async () => {
    await using record = await TestRecord.make();
    const queue = record.queue();
    const ids = await queue.publishMany(
      [0, 60, 0, 0].map((delay) => ({ model: "app", fname: "run", options: { delay } })),
    );
    const [ready, waiting, running, ended] = ids as [number, number, number, number];
    await put(record, running, State.started);
    await put(record, ended, State.completed);
    const canceled = await queue.cancel([...ids, 999_999], "no longer wanted");
    assert.deepEqual([...canceled].sort((a, b) => a.id - b.id), [
      { id: ready, state: State.canceled },
      { id: waiting, state: State.canceled },
      { id: running, state: State.started },
    ]);
    const read = async (id: number) => {
      const task = await queue.get(id);
      return [task?.state, task?.cancelRequested, task?.reason, task?.completedAt !== null];
    };
    assert.deepEqual(await read(ready), [State.canceled, true, "no longer wanted", true]);
    assert.deepEqual(await read(waiting), [State.canceled, true, "no longer wanted", true]);
    assert.deepEqual(await read(running), [State.started, true, "no longer wanted", false]);
    assert.deepEqual(await read(ended), [State.completed, false, null, false]);
    assert.deepEqual(await queue.cancel(ready), []);
  },
);

needTest(
  ["postgres"],
  "a reason may be of any text: it is cut, and cleaned of what Postgres refuses",
  async () => {
    await using record = await TestRecord.make();
    const queue = record.queue();
    const id = await queue.publish("app", "run");
    await queue.cancel(id, `\0\ud800${"x".repeat(2000)}`);
    const { reason } = (await queue.get(id))!;
    assert.equal(reason, `\ufffd\ufffd${"x".repeat(998)}`);
    const other = await queue.publish("app", "run");
    await queue.cancel(other);
    assert.equal((await queue.get(other))?.reason, "canceled by request");
  },
);

needTest(
  ["postgres", "redis"],
  "retryNow() makes ended tasks ready with all their attempts, and pushes them",
  async () => {
    await using record = await TestRecord.make({ redis: "shared" });
    const queue = record.queue();
    const ids = await queue.publishMany(
      [1, 2, 3, 4].map((priority) => ({ model: "app", fname: "run", options: { priority, channel: "c" } })),
    );
    await queue.idle();
    await record.redis.del(record.keys.queue("c"));
    const [failed, canceled, completed, ready] = ids as [number, number, number, number];
    await record.run(`update :schema.tasks set state = -1, attempts = 5, reason = 'no' where id = ${failed}`);
    await put(record, canceled, State.canceled);
    await put(record, completed, State.completed);
    assert.deepEqual((await queue.retryNow(ids)).sort((a, b) => a - b), [failed, canceled, completed]);
    await queue.idle();
    assert.deepEqual(await record.hints("c"), [completed, canceled, failed]);
    const task = await queue.get(failed);
    assert.deepEqual([task?.state, task?.attempts, task?.reason, task?.priority], [
      State.scheduled,
      0,
      null,
      1,
    ]);
    assert.deepEqual(await queue.retryNow(ready), []);
    await assert.rejects(queue.retryNow([1, NaN]), InputError);
    await assert.rejects(queue.cancel(["1" as never]), InputError);
  },
);

needTest(
  ["postgres"],
  "webRequest() publishes what it is to send, on the channel of web requests",
  async () => {
    await using record = await TestRecord.make();
    const queue = record.queue();
    const post = await queue.get(await queue.webRequest("https://example.com/hook", { id: 22 }));
    assert.deepEqual([post?.model, post?.fname, post?.channel, post?.data], [
      "tq_web_request",
      "POST",
      "tq_hook",
      { url: "https://example.com/hook", method: "POST", data: { id: 22 } },
    ]);
    const get = await queue.get(
      await queue.webRequest("http://localhost:1/x", { a: [1, 2] }, {
        method: "get",
        headers: { Authorization: "Bearer x" },
        requestTimeout: 2.5,
        channel: "slow",
        maxAttempts: 1,
        delay: 60,
      }),
    );
    assert.deepEqual([get?.fname, get?.channel, get?.maxAttempts, get?.state], [
      "GET",
      "slow",
      1,
      State.retry,
    ]);
    assert.deepEqual(get?.data, {
      url: "http://localhost:1/x",
      method: "GET",
      data: { a: [1, 2] },
      headers: { Authorization: "Bearer x" },
      timeout: 2.5,
    });
    const bare = await queue.get(
      await queue.webRequest("https://example.com", undefined, { channel: undefined }),
    );
    assert.deepEqual(bare?.data, { url: "https://example.com", method: "POST" });
    assert.equal(bare?.channel, "tq_hook");
  },
);

needTest(["postgres"], "webRequest() refuses what cannot be sent, and writes nothing", async () => {
  await using record = await TestRecord.make();
  const queue = record.queue();
  const bad: [string, unknown?, object?][] = [
    ["ftp://example.com"],
    ["not a url"],
    ["https://example.com", { a: NaN }],
    ["https://example.com", "\0"],
    ["https://example.com", null, { method: "BREW" }],
    ["https://example.com", { a: { b: 1 } }, { method: "GET" }],
    ["https://example.com", null, { headers: { Host: "x" } }],
    ["https://example.com", null, { requestTimeout: 0 }],
    ["https://example.com", null, { priority: 1000 }],
    ["https://example.com", null, { colour: "red" }],
  ];
  for (const [url, data, options] of bad) {
    await assert.rejects(
      queue.webRequest(url, data, options),
      InputError,
      Deno.inspect([url, data, options]),
    );
  }
  assert.equal(await record.count(), 0);
});

needTest(
  ["postgres", "redis"],
  "cancel() takes ready tasks back from Redis, and leaves the others there",
  async () => {
    await using record = await TestRecord.make({ redis: "shared" });
    const queue = record.queue();
    const channels = ["a", "b", "a", "a"];
    const ids = await queue.publishMany(
      channels.map((channel) => ({ model: "app", fname: "run", options: { channel } })),
    );
    await queue.idle();
    await queue.cancel(ids.slice(0, 3));
    assert.deepEqual([await record.hints("a"), await record.hints("b")], [ids.slice(3), []]);
  },
);
