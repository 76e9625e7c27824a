import assert from "node:assert/strict";
import { HandlerError } from "../../src/errors.ts";
import { Bench, rowOf, rowsOf } from "./parts.ts";

Deno.test("a run past its time limit is aborted; what its handler then says still counts", async () => {
  await using bench = await Bench.make(3);
  await bench.take(rowOf(1, { timeout_seconds: 5 }), rowOf(2, { timeout_seconds: 5 }), rowOf(3));
  const signals = [1, 2, 3].map((id) => bench.run(id).task.signal);
  await bench.clock.advance(4_999);
  assert.deepEqual(signals.map((signal) => signal.aborted), [false, false, false]);
  await bench.clock.advance(251);
  assert.deepEqual(signals.map((signal) => signal.aborted), [true, true, false]);
  assert.equal(signals[0]!.reason.name, "TimeoutError");
  assert.throws(() => signals[0]!.throwIfAborted(), { message: "timed out" });
  bench.run(1).reject(signals[0]!.reason);
  bench.run(2).task.failed("my own reason");
  bench.run(2).resolve();
  await bench.settle();
  assert.deepEqual(bench.outcome(1), { state: -1, reason: "timed out", result: null, delay: null });
  assert.equal(bench.outcome(2).reason, "my own reason");
  assert.equal(bench.executor.running, 1);
});

Deno.test("a handler that minds no signal has timed out 10 s after its limit, and keeps its place", async () => {
  await using bench = await Bench.make(1);
  await bench.take(rowOf(1, { timeout_seconds: 5 }));
  await bench.clock.advance(5_000 + 9_700);
  assert.deepEqual(bench.ended, []);
  await bench.clock.advance(600);
  assert.deepEqual(bench.outcome(1), { state: -1, reason: "timed out", result: null, delay: null });
  assert.equal(bench.executor.running, 1, "its place is taken");
  assert.equal(bench.executor.wants(), 0);
  assert.deepEqual(bench.journaled, [1], "it may still end its engine");
  bench.run(1).task.completed("too late");
  bench.run(1).resolve();
  await bench.settle();
  assert.equal(bench.ended.length, 1, "what it says in the end counts no more");
  assert.equal(bench.executor.running, 0);
  assert.deepEqual(bench.journaled, []);
});

Deno.test("a signal that is asked for after the abort is aborted already", async () => {
  await using bench = await Bench.make(1);
  await bench.take(rowOf(1, { timeout_seconds: 1 }));
  await bench.clock.advance(1_500);
  assert.equal(bench.run(1).task.signal.aborted, true);
});

Deno.test("a cancel aborts what runs; a handler that throws is canceled, one that completes has completed", async () => {
  await using bench = await Bench.make(3);
  await bench.take(...rowsOf(1, 3), rowOf(4));
  for (const id of [1, 2, 3, 4, 99]) bench.executor.abort(id, "canceled");
  const { signal } = bench.run(1).task;
  assert.equal(signal.aborted, true);
  assert.equal(signal.reason.name, "AbortError");
  bench.run(1).reject(signal.reason);
  bench.run(2).task.completed({ all: "done" });
  bench.run(2).resolve();
  await bench.settle();
  assert.deepEqual(bench.outcome(1), { state: 2, reason: "canceled by request", result: null, delay: 0 });
  assert.deepEqual(bench.outcome(2), { state: 10, reason: null, result: '{"all":"done"}', delay: null });
  await bench.clock.advance(10_250);
  assert.equal(bench.outcome(3).reason, "canceled by request", "one that minds no signal, 10 s later");
  assert.deepEqual(bench.expired, [4], "what had not started goes back");
  assert.ok(!bench.started.includes(4));
});

Deno.test("the first abort stands", async () => {
  await using bench = await Bench.make(1);
  await bench.take(rowOf(1, { timeout_seconds: 1 }));
  bench.executor.abort(1, "canceled");
  await bench.clock.advance(2_000);
  bench.executor.abort(1, "timed out");
  bench.run(1).reject(new Error("stopped"));
  await bench.settle();
  assert.equal(bench.outcome(1).reason, "canceled by request");
});

Deno.test("a drain's abort leaves those undecided that throw without a verdict; the others count", async () => {
  await using bench = await Bench.make(4);
  await bench.take(...rowsOf(1, 4));
  bench.executor.abortAll("restarting");
  assert.equal(bench.run(1).task.signal.reason.message, "worker engine restarting");
  bench.run(1).reject(bench.run(1).task.signal.reason);
  bench.run(2).resolve();
  bench.run(3).task.failed("no such report");
  bench.run(3).reject(new Error("stopped"));
  await bench.clock.advance(60_000);
  assert.deepEqual(bench.ended.map(({ id, outcome }) => [id, outcome.state]), [[2, 10], [3, -1]]);
  assert.deepEqual(bench.notes, [], "the errors of a drain are nobody's news");
  const undecided = bench.executor.undecided();
  assert.deepEqual(undecided.map((held) => held.row.id), [1, 4]);
  bench.executor.abandon(undecided);
  bench.run(4).resolve();
  await bench.settle();
  assert.equal(bench.ended.length, 2, "what was abandoned has no end");
});

Deno.test("a run that was abandoned before its time limit is not decided by it", async () => {
  await using bench = await Bench.make(1);
  await bench.take(rowOf(1, { timeout_seconds: 1 }));
  bench.executor.abandon(bench.executor.undecided());
  await bench.clock.advance(30_000);
  assert.deepEqual(bench.ended, []);
});

Deno.test("a lease that was lost aborts the run, and its end is dropped", async () => {
  await using bench = await Bench.make(1);
  await bench.take(rowOf(1));
  const { signal } = bench.run(1).task;
  bench.executor.abort(1, "lost");
  assert.equal(signal.aborted, true);
  bench.run(1).resolve();
  await bench.settle();
  assert.deepEqual(bench.ended, []);
  assert.equal(bench.executor.leaseOf(1), undefined);
  assert.equal(bench.executor.running, 0);
});

Deno.test("the first verdict stands, whatever the handler says or does afterwards", async () => {
  const acts: ((task: Parameters<Parameters<typeof Bench.make>[1] & object>[0]) => unknown)[] = [
    (task) => (task.failed("first"), task.completed(1), task.retryLater()),
    (task) => (task.completed("first"), task.failed("second")),
    (task) => {
      task.completed("first");
      throw new Error("then this");
    },
    (task) => {
      task.retryLater({ reason: "first", delay: 7 });
      return Promise.reject(new Error("then this"));
    },
    (task) => Promise.resolve().then(() => task.failed("in a promise")),
    () => "a return value is no result",
    () => {
      throw new Error("thrown");
    },
    () => Promise.reject(new Error("rejected")),
    () => Promise.reject(undefined),
    () => {
      throw "a string";
    },
  ];
  await using bench: Bench = await Bench.make(20, (task) => acts[task.id - 1]!(task));
  await bench.take(...rowsOf(1, acts.length));
  await bench.settle();
  const ends = bench.ended.toSorted((a, b) => a.id - b.id)
    .map(({ outcome: { state, reason, result } }) => [state, reason ?? result]);
  assert.deepEqual(ends, [
    [-1, "first"],
    [10, '"first"'],
    [10, '"first"'],
    [2, "first"],
    [-1, "in a promise"],
    [10, null],
    [2, "thrown"],
    [2, "rejected"],
    [2, "undefined"],
    [2, "a string"],
  ]);
  assert.equal(bench.outcome(4).delay, 7);
});

Deno.test("what a handler throws is in its task's log with its stack, also when its verdict stood", async () => {
  await using bench = await Bench.make(2);
  await bench.take(rowOf(1), rowOf(2));
  bench.run(1).reject(new TypeError("no such field"));
  bench.run(2).reject(new HandlerError("says all itself", { remedy: "x" }));
  await bench.settle();
  assert.match(bench.notes[0]!.text, /^TypeError: no such field\n\s+at /);
  assert.equal(bench.notes[1]!.text, "says all itself");
  assert.deepEqual(bench.notes.map(({ id, kind }) => [id, kind]), [[1, "error"], [2, "error"]]);
});

Deno.test("a handler that rejects after its task had timed out says no more", async () => {
  await using bench = await Bench.make(1);
  await bench.take(rowOf(1, { timeout_seconds: 1 }));
  await bench.clock.advance(20_000);
  bench.run(1).reject(new Error("far too late"));
  await bench.settle();
  assert.equal(bench.ended.length, 1);
  assert.deepEqual(bench.notes, []);
});

Deno.test("a task whose handler goes on after its end is not started beside it", async () => {
  await using bench = await Bench.make(2);
  const advance = async (seconds: number) => {
    for (let passed = 0; passed < seconds; passed += 0.25) await bench.clock.advance(250);
  };
  await bench.take(rowOf(1, { timeout_seconds: 1 }));
  await advance(12);
  assert.equal(bench.outcome(1).reason, "timed out");
  bench.executor.forget(bench.held[0]!);
  assert.deepEqual([bench.executor.running, bench.executor.stuck, bench.executor.unsettled], [1, 1, 0]);
  // As after `retry_now`.
  await bench.take(rowOf(1, { claims: 2 }));
  assert.deepEqual(bench.started, [1]);
  assert.deepEqual(bench.ended.at(-1), {
    id: 1,
    claims: 2,
    outcome: { state: 2, reason: "its last run goes on", result: null, delay: 2, uncharged: true },
  });
  bench.executor.forget(bench.held[1]!);
  bench.run(1).resolve();
  await bench.settle();
  assert.deepEqual([bench.executor.running, bench.executor.stuck], [0, 0]);
  await bench.take(rowOf(1, { claims: 3 }));
  assert.deepEqual(bench.started, [1, 1]);
  assert.equal(bench.ended.length, 2);
});
