import assert from "node:assert/strict";
import { Service } from "../src/service.ts";
import { captureLog } from "./support/capture_log.ts";
import { eventually, TestClock, TestSignal } from "./support/fixtures.ts";

/** A loop whose every call is told, and does what the test says. */
class Loop extends Service {
  readonly calls = new TestSignal<AbortSignal>("a call of runOnce");
  count = 0;
  body: (signal: AbortSignal) => Promise<number> = () => Promise.resolve(100);

  constructor(clock: TestClock) {
    super("loop", clock);
  }

  async runOnce(signal: AbortSignal): Promise<number> {
    this.count++;
    this.calls.fire(signal);
    return await this.body(signal);
  }
}

Deno.test("start() calls at once, then after each pause that the body asks for", async () => {
  const clock = new TestClock();
  await using loop = new Loop(clock);
  const pauses = [100, 0, 2500];
  loop.body = () => Promise.resolve(pauses.shift() ?? 1_000_000);
  assert.equal(loop.count, 0);
  loop.start();
  loop.start();
  await clock.advance(0);
  assert.equal(loop.count, 1, "a second start() began a second loop, or the first none");
  await clock.advance(99);
  assert.equal(loop.count, 1);
  await clock.advance(1);
  assert.equal(loop.count, 3, "a pause of 0 means at once");
  await clock.advance(2499);
  assert.equal(loop.count, 3);
  await clock.advance(1);
  assert.equal(loop.count, 4);
});

Deno.test("a call that takes its time is never doubled", async () => {
  const clock = new TestClock();
  await using loop = new Loop(clock);
  const { promise, resolve } = Promise.withResolvers<number>();
  loop.body = () => promise;
  loop.start();
  await clock.advance(60_000);
  loop.wake();
  await clock.advance(60_000);
  assert.equal(loop.count, 1);
  resolve(10);
});

Deno.test("wake() ends the pause; during a call it makes the next one follow at once", async () => {
  const clock = new TestClock();
  await using loop = new Loop(clock);
  loop.body = () => Promise.resolve(1_000_000);
  loop.start();
  await eventually(() => clock.waiting === 1, { what: "the loop to sleep" });
  loop.wake();
  await eventually(() => loop.count === 2 && clock.waiting === 1, { what: "a call after wake()" });

  const { promise, resolve } = Promise.withResolvers<number>();
  loop.body = () => loop.count === 3 ? promise : Promise.resolve(1_000_000);
  loop.wake();
  await eventually(() => loop.count === 3, { what: "the slow call" });
  loop.wake();
  resolve(1_000_000);
  await eventually(() => loop.count === 4, { what: "the call after it" });
});

Deno.test("an error is logged once, the loop goes on, and its recovery is logged once", async () => {
  await using log = await captureLog();
  const clock = new TestClock();
  await using loop = new Loop(clock);
  loop.body = () => loop.count <= 3 ? Promise.reject(new Error("out of order")) : Promise.resolve(100);
  loop.start();
  await clock.advance(0);
  assert.equal(loop.count, 1);
  await clock.advance(999);
  assert.equal(loop.count, 1, "a failing loop must not spin");
  await clock.advance(1);
  assert.equal(loop.count, 2);
  await clock.advance(2000);
  assert.equal(loop.count, 4);
  await clock.advance(500);
  assert.equal(loop.count, 9);
  assert.deepEqual(log.lines, [
    'WARNING loop: cannot work for now loop=Loop error="out of order"',
    "INFO    loop: works again loop=Loop",
  ]);
});

Deno.test("stop() aborts the signal, waits for the call under way, and calls no more", async () => {
  const clock = new TestClock();
  const loop = new Loop(clock);
  const { promise, resolve } = Promise.withResolvers<number>();
  loop.body = () => promise;
  loop.start();
  const signal = await loop.calls.next();
  assert.equal(signal.aborted, false);
  let stopped = false;
  const stopping = loop.stop().then(() => stopped = true);
  assert.equal(signal.aborted, true);
  await clock.advance(10_000);
  assert.equal(stopped, false, "stop() did not wait for the call");
  resolve(0);
  await stopping;
  await clock.advance(10_000);
  assert.equal(loop.count, 1);
  assert.equal(clock.waiting, 0);
});

Deno.test("stop() ends a pause at once, and does nothing before start() or twice", async () => {
  const clock = new TestClock();
  const loop = new Loop(clock);
  await loop.stop();
  const other = new Loop(clock);
  other.body = () => Promise.resolve(1_000_000);
  other.start();
  await eventually(() => clock.waiting === 1, { what: "the loop to sleep" });
  await other.stop();
  await other.stop();
  assert.equal(other.count, 1);
  assert.equal(clock.waiting, 0);
});
