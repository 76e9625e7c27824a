import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import type { Task } from "../../src/handler/context.ts";
import { eventually } from "../support/fixtures.ts";
import { Bench, rowOf } from "./parts.ts";

/** Writes a handler into the bench's handlers folder. */
function write(bench: Bench, name: string, text: string): void {
  const path = join(bench.varFolder, "handlers", name);
  Deno.mkdirSync(dirname(path), { recursive: true });
  Deno.writeTextFileSync(path, text);
}

Deno.test("an unknown handler is tried again later, and fails when its attempts are used up", async () => {
  await using bench = await Bench.make(2);
  await bench.take(
    rowOf(1, { model: "nothere.Model" }),
    rowOf(2, { model: "nothere.Model", attempts: 4, max_attempts: 5 }),
  );
  await eventually(() => bench.ended.length === 2, { what: "both ends" });
  const [first, last] = [bench.outcome(1), bench.outcome(2)];
  assert.equal(first.state, 2);
  assert.match(first.reason!, /^no handler for nothere\.Model: there is no .*handlers\/nothere/);
  assert.ok(first.delay! > 0.8 && first.delay! < 1.2, `about a second, not ${first.delay}`);
  assert.equal(last.state, -1);
  assert.equal(last.reason, first.reason);
  assert.equal(bench.executor.running, 0);
});

Deno.test("a handler that arrived on disk since is imported and run", async () => {
  await using bench = await Bench.make(1);
  write(
    bench,
    "late/Report.js",
    `export default class { static run(task) { task.completed({ got: task.data }); } }`,
  );
  await bench.take(rowOf(1, { model: "late.Report", data: '{"a":1}' }));
  await eventually(() => bench.ended.length === 1, { what: "its end" });
  assert.deepEqual(bench.outcome(1), { state: 10, reason: null, result: '{"got":{"a":1}}', delay: null });
});

Deno.test("a row with a hostile name fails at once, and nothing is imported", async () => {
  await using bench = await Bench.make(20);
  const marker = join(bench.varFolder, "marker");
  const mark = `Deno.writeTextFileSync(${JSON.stringify(marker)}, "");`;
  Deno.writeTextFileSync(join(bench.varFolder, "outside.js"), `${mark} export function run() {}`);
  write(bench, "inside.js", `${mark} export function run() {}`);
  const hostile: [string, string][] = [
    ["../outside", "run"],
    ["../../etc/passwd", "run"],
    ["a.b.c", "run"],
    ["inside.__proto__", "run"],
    ["inside/../../outside", "run"],
    ["", "run"],
    ["file:///etc/passwd", "run"],
    ["inside", "__proto__"],
    ["inside", "../run"],
    ["inside", ""],
    ["inside\0", "run"],
    ["inside\n", "run"],
  ];
  await bench.take(...hostile.map(([model, fname], i) => rowOf(i + 1, { model, fname })));
  await eventually(() => bench.ended.length === hostile.length, { what: "all ends" });
  for (const [i, names] of hostile.entries()) {
    const { state, reason } = bench.outcome(i + 1);
    assert.equal(state, -1, `${names}`);
    assert.match(reason!, /is not a name that a handler can have$/);
  }
  assert.equal(bench.executor.running, 0);
  assert.deepEqual(bench.journaled, []);
  await assert.rejects(Deno.stat(marker), Deno.errors.NotFound, "something was imported");
});

Deno.test("names that JavaScript gives to every class are no handlers", async () => {
  await using bench = await Bench.make(20);
  write(bench, "plain.js", `export class Model { static run() {} }`);
  const names: [string, string][] = [
    ["plain.Model", "toString"],
    ["plain.Model", "constructor"],
    ["plain.Model", "call"],
    ["constructor", "constructor"],
    ["plain.constructor", "run"],
    ["plain", "hasOwnProperty"],
  ];
  await bench.take(...names.map(([model, fname], i) => rowOf(i + 1, { model, fname, max_attempts: 1 })));
  await eventually(() => bench.ended.length === names.length, { what: "all ends" });
  for (const [i] of names.entries()) assert.equal(bench.outcome(i + 1).state, -1);
});

Deno.test("a result that cannot be stored fails its task for good", async () => {
  const results: Record<string, unknown> = { big: "x".repeat(2000), nul: "a\0b", fn: () => {}, n: 1n };
  const names = Object.keys(results);
  await using bench = await Bench.make(20, (task) => task.completed(results[names[task.id - 1]!]));
  await bench.take(...names.map((_, i) => rowOf(i + 1)));
  for (const [i, name] of names.entries()) {
    assert.equal(bench.outcome(i + 1).state, -1, name);
    assert.match(bench.outcome(i + 1).reason!, /^result/, name);
  }
});

Deno.test("a handler gets the data, the names and the number of its attempt, and its notes come out", async () => {
  await using bench = await Bench.make(1, (task) => {
    task.log("hello");
    task.log("careful", "warning");
    task.progress(0.5, "half");
    assert.throws(() => task.progress(2), /progress is 2/);
    const { id, model, fname, channel, attempts, data } = task;
    task.completed({ id, model, fname, channel, attempts, data });
  });
  await bench.take(rowOf(7, { attempts: 2, fname: "other", data: '{"deep":[1,{"a":null}]}' }));
  assert.deepEqual(JSON.parse(bench.outcome(7).result!), {
    id: 7,
    model: "test",
    fname: "other",
    channel: "c",
    attempts: 3,
    data: { deep: [1, { a: null }] },
  });
  assert.deepEqual(bench.notes, [
    { id: 7, kind: "log", text: "hello" },
    { id: 7, kind: "warning", text: "careful" },
    { id: 7, kind: "progress", text: "half", progress: 0.5 },
  ]);
});

Deno.test("a progress that is like a number is noted as one", async () => {
  await using bench = await Bench.make(1, (task) => {
    for (const fraction of [1n, "0.5", true]) task.progress(fraction as never);
    assert.throws(() => task.progress("half" as never), /progress is half/);
  });
  await bench.take(rowOf(1));
  assert.deepEqual(bench.notes.map(({ progress }) => progress), [1, 0.5, 1]);
});

Deno.test("an object with a then is waited for as a promise is, and heard once", async () => {
  let settle = () => {};
  await using bench = await Bench.make(1, () => ({ then: (resolve: () => void) => void (settle = resolve) }));
  await bench.take(rowOf(1), rowOf(2));
  assert.equal(bench.executor.running, 1);
  const first = settle;
  first();
  first();
  await bench.settle();
  assert.equal(bench.outcome(1).state, 10);
  assert.deepEqual(bench.journaled, [2]);
  first();
  await bench.settle();
  assert.deepEqual(bench.journaled, [2]);
});

Deno.test("a handler that throws or returns what cannot be looked at takes nobody's place", async () => {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  const acts: (() => unknown)[] = [
    () => {
      throw Object.create(null);
    },
    () => Promise.reject({ toString: () => ({}) }),
    () => {
      throw Object.assign(new Error(), { message: 5, stack: ["frames"] });
    },
    () => ({
      get then() {
        throw new Error("no then");
      },
    }),
    () => proxy,
    () => {
      throw proxy;
    },
    () => Promise.reject(proxy),
    () => Promise.reject(Symbol("s")),
    () =>
      Object.assign(Promise.resolve(), {
        then() {
          throw new Error("no then");
        },
      }),
    () => "sound",
  ];
  await using bench = await Bench.make(2, (task) => acts[task.id - 1]!());
  await bench.take(...acts.map((_, i) => rowOf(i + 1)));
  await bench.settle();
  assert.equal(bench.executor.running, 0);
  assert.equal(bench.ended.length, acts.length);
  assert.deepEqual(acts.map((_, i) => bench.outcome(i + 1).state), [2, 2, 2, 2, 2, 2, 2, 2, 2, 10]);
  for (const { text } of bench.notes) assert.equal(typeof text, "string");
});

Deno.test("a reason that is no text is made one, and its task takes nobody's place", async () => {
  const says: ((task: Task) => void)[] = [
    (task) => task.retryLater({ reason: new Error("busy") as never }),
    (task) => task.retryLater({ reason: 503 as never }),
    (task) => task.retryLater({ reason: null as never }),
    (task) => task.retryLater({ reason: Object.create(null) }),
    (task) => task.failed(new Error("gone") as never),
    (task) => task.failed(Symbol("s") as never),
    (task) => task.failed(Object.create(null)),
  ];
  const runs = says.flatMap((say) => [say, (task: Task) => Promise.resolve().then(() => say(task))]);
  await using bench = await Bench.make(1, (task) => runs[task.id - 1]!(task));
  await bench.take(...runs.map((_, i) => rowOf(i + 1)));
  assert.deepEqual([bench.executor.running, bench.executor.waiting], [0, 0]);
  const noText = "something without a text was thrown";
  const retries = ["busy", "503", "retry later", noText].map((reason) => [2, reason]);
  const failures = ["gone", "Symbol(s)", noText].map((reason) => [-1, reason]);
  assert.deepEqual(
    runs.map((_, i) => [bench.outcome(i + 1).state, bench.outcome(i + 1).reason]),
    [...retries, ...failures].flatMap((end) => [end, end]),
  );
});

Deno.test("a task that is canceled while its module is imported does not start", async () => {
  await using bench = await Bench.make(1);
  write(
    bench,
    "slow.js",
    `await new Promise((resolve) => globalThis.letSlowImport = resolve);
     export function run() { globalThis.slowRan = true; }`,
  );
  const shared = globalThis as { letSlowImport?: () => void; slowRan?: boolean };
  await bench.take(rowOf(1, { model: "slow" }));
  await eventually(() => shared.letSlowImport !== undefined, { what: "the import" });
  bench.executor.abort(1, "canceled");
  shared.letSlowImport!();
  await eventually(() => bench.ended.length === 1, { what: "its end" });
  assert.equal(bench.outcome(1).reason, "canceled by request");
  assert.equal(shared.slowRan, undefined);
});

Deno.test("a task whose module does not import is put off", async () => {
  await using bench = await Bench.make(1);
  write(bench, "broken.js", `throw new Error("no ledger");`);
  await bench.take(rowOf(1, { model: "broken", max_attempts: 1 }));
  await eventually(() => bench.ended.length === 1, { what: "its end" });
  const { state, reason, delay, uncharged } = bench.outcome(1);
  assert.deepEqual([state, delay, uncharged], [2, 30, true]);
  assert.match(reason!, /handlers\/broken\.js does not import: no ledger/);
});
