import assert from "node:assert/strict";
import { systemClock, within } from "../src/clock.ts";
import { TestClock } from "./support/fixtures.ts";

/** Whether a promise has settled, once everything that is ready has run. */
async function settled(promise: Promise<unknown>): Promise<boolean> {
  const pending = Symbol();
  await new Promise((resolve) => setTimeout(resolve, 0));
  return await Promise.race([promise.then(() => true, () => true), Promise.resolve(pending)]) !== pending;
}

Deno.test("sleep() lasts as long as it is told, and not much longer", async () => {
  const before = systemClock.monotonic();
  await systemClock.sleep(30);
  const took = systemClock.monotonic() - before;
  assert.ok(took >= 29 && took < 2000, `${took} ms`);
});

Deno.test("sleep() ends at once when its signal aborts, and never starts when it has", async () => {
  const stop = new AbortController();
  const asleep = systemClock.sleep(60_000, stop.signal);
  assert.equal(await settled(asleep), false);
  stop.abort();
  await asleep;
  await systemClock.sleep(60_000, stop.signal);
  // The sanitizer would complain of a timer that is left.
});

Deno.test("sleep() leaves no listener behind on a signal that lives long", async () => {
  const stop = new AbortController();
  let listeners = 0;
  const { addEventListener, removeEventListener } = stop.signal;
  stop.signal.addEventListener = (...args: unknown[]) => {
    listeners++;
    return Reflect.apply(addEventListener, stop.signal, args);
  };
  stop.signal.removeEventListener = (...args: unknown[]) => {
    listeners--;
    return Reflect.apply(removeEventListener, stop.signal, args);
  };
  await Promise.all([1, 2, 3].map((ms) => systemClock.sleep(ms, stop.signal)));
  assert.equal(listeners, 0);
});

Deno.test("a delay longer than setTimeout's own limit is not taken for none", async () => {
  for (const ms of [2 ** 31, 2 ** 40, Infinity]) {
    const stop = new AbortController();
    const asleep = systemClock.sleep(ms, stop.signal);
    let fired = false;
    const cancel = systemClock.after(ms, () => fired = true);
    assert.equal(await settled(asleep), false, `sleep(${ms})`);
    assert.equal(fired, false, `after(${ms})`);
    stop.abort();
    cancel();
    await asleep;
  }
});

Deno.test("after() calls once, unless it is called off", async () => {
  const calls: string[] = [];
  const cancel = systemClock.after(1, () => calls.push("called off"));
  const { promise, resolve } = Promise.withResolvers<void>();
  systemClock.after(5, () => {
    calls.push("called");
    resolve();
  });
  cancel();
  cancel();
  await promise;
  assert.deepEqual(calls, ["called"]);
});

Deno.test("now() tells the wall clock, monotonic() only goes forward", () => {
  assert.ok(Math.abs(systemClock.now() - Date.now()) < 1000);
  let last = systemClock.monotonic();
  for (let i = 0; i < 1000; i++) {
    const next = systemClock.monotonic();
    assert.ok(next >= last);
    last = next;
  }
});

Deno.test("within() gives what the promise gives, and nothing once the time is up", async () => {
  const clock = new TestClock();
  assert.equal(await within(clock, 100, Promise.resolve("in time")), "in time");
  await assert.rejects(within(clock, 100, Promise.reject(new Error("in time"))), /in time/);
  assert.equal(clock.waiting, 0, "a timer is left");

  const never = new Promise<string>(() => {});
  const late = within(clock, 100, never);
  await clock.advance(99);
  assert.equal(await settled(late), false);
  await clock.advance(1);
  assert.equal(await late, undefined);
  assert.equal(clock.waiting, 0);
});

Deno.test("sleepers with slack wake together, when the first of them would have", async () => {
  const slack = 1000;
  const asleep = async (ms: number) => {
    const asked = systemClock.monotonic();
    await systemClock.sleep(ms, undefined, slack);
    const now = systemClock.monotonic();
    return { slept: now - asked, multiple: Math.floor(now / slack) };
  };
  // This one ends at a multiple of the slack, so that the others have all of it before them.
  await asleep(slack);
  const [a, b, c] = await Promise.all([asleep(slack), asleep(slack * 1.4), asleep(slack * 1.8)]);
  assert.deepEqual([b.multiple, c.multiple], [a.multiple, a.multiple]);
  assert.ok(b.slept < slack * 1.4, `${b.slept} ms`);
});
