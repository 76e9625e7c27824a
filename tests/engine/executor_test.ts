import assert from "node:assert/strict";
import { CLAIM_VALIDITY } from "../../src/engine/executor.ts";
import { captureLog } from "../support/capture_log.ts";
import { TestClock } from "../support/fixtures.ts";
import { Bench, rowOf, rowsOf } from "./parts.ts";

Deno.test("as many tasks as there are places run at once; the others wait in the order of their claim", async () => {
  await using bench = await Bench.make(3);
  await bench.take(...rowsOf(1, 5));
  assert.deepEqual(bench.started, [1, 2, 3]);
  assert.deepEqual([bench.executor.running, bench.executor.waiting], [3, 2]);
  bench.run(2).resolve();
  await bench.settle();
  assert.deepEqual(bench.started, [1, 2, 3, 4]);
  bench.run(4).resolve();
  bench.run(1).resolve();
  await bench.settle();
  assert.deepEqual(bench.started, [1, 2, 3, 4, 5]);
  bench.run(3).resolve();
  bench.run(5).resolve();
  await bench.settle();
  assert.deepEqual(bench.ended.map((end) => end.id), [2, 4, 1, 3, 5]);
  assert.deepEqual([bench.executor.running, bench.executor.waiting], [0, 0]);
});

Deno.test("a claim that was not started within a second is given back and never started", async () => {
  await using bench = await Bench.make(1);
  await bench.take(rowOf(1), rowOf(2));
  await bench.clock.advance(CLAIM_VALIDITY - 100);
  await bench.take(rowOf(3));
  await bench.clock.advance(400);
  assert.deepEqual(bench.expired, [2], "although no place got free");
  bench.run(1).resolve();
  await bench.settle();
  assert.deepEqual(bench.started, [1, 3], "a younger claim still stands");
});

Deno.test("a claim whose answer came after its second is given back at once, with places free", async () => {
  await using bench = await Bench.make(5);
  const sentAt = bench.clock.monotonic();
  await bench.clock.advance(CLAIM_VALIDITY + 1);
  bench.executor.take(rowsOf(1, 3), sentAt);
  await bench.settle();
  assert.deepEqual(bench.expired, [1, 2, 3]);
  assert.deepEqual(bench.started, []);
  bench.executor.take([rowOf(4)], bench.clock.monotonic() - CLAIM_VALIDITY);
  await bench.settle();
  assert.deepEqual(bench.started, [4], "within the second to the millisecond");
});

Deno.test("a task that is claimed again while it runs is not started twice; its end has the new lease", async () => {
  await using bench = await Bench.make(2);
  await bench.take(rowOf(1, { claims: 1 }));
  await bench.take(rowOf(1, { claims: 2 }), rowOf(2));
  assert.deepEqual(bench.started, [1, 2]);
  assert.deepEqual(bench.executor.leaseOf(1), { id: 1, claims: 2 });
  bench.run(1).resolve();
  await bench.settle();
  assert.deepEqual(bench.ended.map(({ id, claims }) => [id, claims]), [[1, 2]]);
});

Deno.test("heldOf() counts a channel's tasks until they are forgotten, waiting for their record too", async () => {
  await using bench = await Bench.make(1);
  await bench.take(rowOf(1, { channel: "a" }), rowOf(2, { channel: "a" }), rowOf(3, { channel: "b" }));
  assert.deepEqual(["a", "b", "x"].map((one) => bench.executor.heldOf(one)), [2, 1, 0]);
  bench.run(1).resolve();
  await bench.settle();
  assert.equal(bench.executor.heldOf("a"), 2, "ended, not recorded");
  bench.executor.forget(bench.held[0]!);
  bench.executor.forget(bench.held[0]!);
  assert.equal(bench.executor.heldOf("a"), 1, "forgotten once, however often it is said");
  assert.equal(bench.executor.leaseOf(1), undefined);
});

Deno.test("wants() asks for the free places alone when nothing ended lately, however long the tasks take", async () => {
  await using bench = await Bench.make(4);
  assert.equal(bench.executor.wants(), 4);
  await bench.take(...rowsOf(1, 3));
  assert.equal(bench.executor.wants(), 1);
  await bench.take(rowOf(4));
  assert.equal(bench.executor.wants(), 0);
  await bench.clock.advance(20_000);
  assert.equal(bench.executor.wants(), 0);
});

Deno.test("wants() asks for about 100 ms of work ahead while tasks are quick", async () => {
  await using bench = await Bench.make(2, () => {});
  for (let i = 0; i < 3; i++) {
    assert.equal(bench.executor.wants(), i === 0 ? 2 : 32, "2 places, and half of the 60 of the last 100 ms");
    await bench.take(...rowsOf(i * 60 + 1, i * 60 + 60));
    await bench.clock.advance(100);
  }
  assert.equal(bench.ended.length, 180);
  await bench.clock.advance(200);
  assert.equal(bench.executor.wants(), 2, "nothing ended since");
});

Deno.test("wants() asks for work ahead in two halves, and counts what claims under way may bring", async () => {
  await using bench = await Bench.make(10, () => {});
  await bench.take(...rowsOf(1, 60));
  await bench.clock.advance(100);
  const asks = (...asked: number[]) => asked.map((one) => bench.executor.wants(one));
  // 10 places, 60 tasks in the last 100 ms.
  assert.deepEqual(asks(0, 30, 31, 40, 41, 70), [40, 40, 39, 30, 0, 0]);
});

Deno.test("changed() resolves when a place gets free", async () => {
  await using bench = await Bench.make(1);
  await bench.take(rowOf(1));
  let told = false;
  const changed = bench.executor.changed().then(() => told = true);
  await bench.settle();
  assert.equal(told, false);
  bench.run(1).resolve();
  await changed;
  assert.equal(bench.executor.wants(), 2, "the place, and the one that just ended");
});

Deno.test("close() empties the line; what runs goes on", async () => {
  await using bench = await Bench.make(1);
  await bench.take(...rowsOf(1, 3));
  assert.deepEqual(bench.executor.close().map((held) => held.row.id), [2, 3]);
  bench.run(1).resolve();
  await bench.settle();
  assert.deepEqual(bench.started, [1]);
  assert.deepEqual(bench.ended.map((end) => end.id), [1]);
});

Deno.test("ids are in the journal on disk before their handlers are entered, and leave it when they end", async () => {
  const seen: number[][] = [];
  await using bench: Bench = await Bench.make(3, (task) => {
    seen.push(bench.journaled);
    return task.id === 2 ? new Promise(() => {}) : undefined;
  });
  await bench.take(...rowsOf(1, 3));
  assert.deepEqual(seen, [[1, 2, 3], [1, 2, 3], [1, 2, 3]]);
  assert.deepEqual(bench.journaled, [2]);
});

Deno.test("a journal that cannot be written stops no task; it is told once, and written when it can be", async () => {
  await using log = await captureLog("error");
  await using bench = await Bench.make(1);
  const { writeSync } = Deno.FsFile.prototype;
  Deno.FsFile.prototype.writeSync = () => {
    throw new Error("No space left on device (os error 28)");
  };
  try {
    await bench.take(...rowsOf(1, 3));
    bench.run(1).resolve();
    await bench.settle();
    bench.run(2).resolve();
    await bench.settle();
    assert.deepEqual(bench.started, [1, 2, 3]);
    assert.deepEqual(bench.journaled, []);
    assert.equal(log.count(/Cannot write the journal; .*No space left/), 1);
  } finally {
    Deno.FsFile.prototype.writeSync = writeSync;
  }
  // Its time limit is looked at as well.
  await bench.clock.advance(60_250);
  assert.equal(bench.run(3).task.signal.aborted, true);
  assert.deepEqual(bench.journaled, [3]);
});

Deno.test("handlers that never wait let I/O have its turn after some milliseconds", async () => {
  const clock = new class extends TestClock {
    worked = 0;
    override monotonic = () => super.monotonic() + this.worked;
  }();
  await using bench = await Bench.make(2, () => void (clock.worked += 4), clock);
  bench.executor.take(rowsOf(1, 10), 0);
  await Promise.resolve();
  assert.equal(bench.ended.length, 4, "two groups of two, 16 ms");
  await bench.clock.advance(0);
  assert.equal(bench.ended.length, 10);
});
