import assert from "node:assert/strict";
import { createDispatch } from "../../src/dispatch/mod.ts";
import { Poller, PostgresDispatch, type Wakeup } from "../../src/dispatch/postgres.ts";
import { notifyChannel } from "../../src/store/notify.ts";
import { pushed } from "../../src/upkeep/due.ts";
import { captureLog } from "../support/capture_log.ts";
import { eventually, TestClock, TestSignal } from "../support/fixtures.ts";
import { needTest } from "../support/need.ts";
import { publishOne } from "../support/tasks.ts";
import { TestRecord } from "../support/test_record.ts";
import { DEAF, hint, NEVER } from "./parts.ts";

const PAUSES = { first: 100, longest: 1000 };

/** Starts a wait; tells whether it is over. */
function waitOn(poller: Poller, found: number, signal = NEVER): { over: boolean } {
  const wait = { over: false };
  poller.wait(found, signal).then(() => wait.over = true);
  return wait;
}

/** Milliseconds of the wait that the poller begins now. */
async function lengthOf(poller: Poller, clock: TestClock, found = 0): Promise<number> {
  const wait = waitOn(poller, found);
  await clock.advance(0);
  const length = clock.untilNext ?? 0;
  await clock.advance(length);
  assert.equal(wait.over, true);
  return length;
}

Deno.test("a poller that finds nothing waits longer and longer, up to its limit, each a little less by chance", async () => {
  const clock = new TestClock();
  const poller = new Poller(PAUSES, clock);
  for (const most of [100, 200, 400, 800, 1000, 1000]) {
    const length = await lengthOf(poller, clock);
    assert.ok(length >= most * 0.75 && length <= most, `${length} ms, not 75 to 100 % of ${most}`);
  }
  const lengths = new Set<number>();
  for (let i = 0; i < 20; i++) lengths.add(await lengthOf(poller, clock));
  assert.ok(lengths.size > 10, "no jitter: all engines would look at once");
});

Deno.test("a poller that found something looks again at once, and starts over with the shortest pause", async () => {
  const clock = new TestClock();
  const poller = new Poller(PAUSES, clock);
  for (let i = 0; i < 5; i++) await lengthOf(poller, clock);
  for (let i = 0; i < 5; i++) assert.equal(await lengthOf(poller, clock, 3), 0);
  assert.ok(await lengthOf(poller, clock) <= 100);
});

Deno.test("poke() ends a wait, or the next one, once", async () => {
  const clock = new TestClock();
  const poller = new Poller(PAUSES, clock);
  for (let i = 0; i < 5; i++) await lengthOf(poller, clock);
  const wait = waitOn(poller, 0);
  await clock.advance(0);
  assert.equal(wait.over, false);
  poller.poke();
  await clock.advance(0);
  assert.equal(wait.over, true);
  assert.equal(clock.waiting, 0);
  assert.ok(await lengthOf(poller, clock) <= 100, "after a poke the pauses start over");
  poller.poke();
  poller.poke();
  assert.equal(await lengthOf(poller, clock), 0);
  assert.ok(await lengthOf(poller, clock) > 0);
});

Deno.test("an abort ends a wait at once", async () => {
  const clock = new TestClock();
  const poller = new Poller(PAUSES, clock);
  const stop = new AbortController();
  const wait = waitOn(poller, 0, stop.signal);
  await clock.advance(0);
  stop.abort();
  await clock.advance(0);
  assert.equal(wait.over, true);
  assert.equal(clock.waiting, 0);
  const late = waitOn(poller, 0, stop.signal);
  await clock.advance(0);
  assert.equal(late.over, true);
});

Deno.test("a wait leaves nothing on a signal that lives on", async () => {
  const clock = new TestClock();
  const poller = new Poller(PAUSES, clock);
  const { signal } = new AbortController();
  const listeners = new Set<unknown>();
  signal.addEventListener = (_: string, listener: unknown) => void listeners.add(listener);
  signal.removeEventListener = (_: string, listener: unknown) => void listeners.delete(listener);
  for (let i = 0; i < 3; i++) {
    const wait = waitOn(poller, 0, signal);
    await clock.advance(0);
    assert.equal(listeners.size, 1);
    await clock.advance(1000);
    assert.equal(wait.over, true);
    assert.equal(listeners.size, 0);
  }
});

/** Dispatch on a clock that stands still, woken by hand. */
function byHand(listen: Wakeup["listen"] = DEAF.listen) {
  const clock = new TestClock();
  return { clock, dispatch: new PostgresDispatch({ ...PAUSES, ...DEAF, listen }, clock) };
}

Deno.test("without Redis every pop sends the engine to the record, paced, and needs no server", async () => {
  const { clock, dispatch } = byHand();
  assert.deepEqual([dispatch.kind, dispatch.isUp], ["postgres", true]);
  await dispatch.check();
  assert.equal(await dispatch.wasEmptied(), false);
  await dispatch.send({ kind: "restart" });
  const unlisten = await dispatch.listen(() => assert.fail("nobody can tell"));
  unlisten();
  assert.deepEqual(await dispatch.pop(["a"], 10, 1, NEVER), []);
  const popping = dispatch.pop(["a"], 10, 0, NEVER);
  await eventually(() => clock.waiting === 1, { what: "the pop to wait" });
  assert.ok(clock.untilNext! >= 75 && clock.untilNext! <= 100);
  await clock.advance(100);
  assert.deepEqual(await popping, []);
  await dispatch.close();
});

Deno.test("a pop waits no longer when it is told that it is enough", async () => {
  const { clock, dispatch } = byHand();
  const enough = new AbortController();
  const popping = dispatch.pop(["a"], 10, 0, NEVER, enough.signal);
  await eventually(() => clock.waiting === 1, { what: "the pop to wait" });
  enough.abort();
  assert.deepEqual(await popping, []);
  assert.equal(clock.waiting, 0);
  assert.deepEqual(await dispatch.pop(["a"], 10, 0, NEVER, enough.signal), [], "not even begun");
  await dispatch.close();
});

Deno.test("a push of the same process wakes its own pop", async () => {
  const { clock, dispatch } = byHand();
  const popping = dispatch.pop(["a"], 10, 0, NEVER);
  await eventually(() => clock.waiting === 1, { what: "the pop to wait" });
  await dispatch.push([hint(1)]);
  assert.deepEqual(await popping, []);
  await dispatch.close();
});

Deno.test("what is heard wakes a pop; it is listened for once, until close()", async () => {
  let heard = () => {};
  const events: string[] = [];
  const { clock, dispatch } = byHand((callback) => {
    events.push("listen");
    heard = callback;
    return Promise.resolve(() => events.push("unlisten"));
  });
  for (let i = 0; i < 3; i++) {
    const popping = dispatch.pop(["a"], 10, 0, NEVER);
    await eventually(() => clock.waiting === 1, { what: "the pop to wait" });
    heard();
    assert.deepEqual(await popping, []);
  }
  assert.deepEqual(events, ["listen"]);
  await dispatch.close();
  assert.deepEqual(events, ["listen", "unlisten"]);
});

Deno.test("an engine that cannot listen says so and polls", async () => {
  await using log = await captureLog();
  const { clock, dispatch } = byHand(() => Promise.reject(new Error("no LISTEN through PgBouncer")));
  const popping = dispatch.pop(["a"], 10, 0, NEVER);
  await eventually(() => clock.waiting === 1, { what: "the pop to wait" });
  await clock.advance(100);
  assert.deepEqual(await popping, []);
  assert.deepEqual(log.lines, [
    'WARNING dispatch: Cannot listen; engines poll error="no LISTEN through PgBouncer"',
  ]);
  await dispatch.close();
});

Deno.test("an engine that could not listen tries again when it waits, and says once that it could not", async () => {
  await using log = await captureLog();
  const tries: (() => void)[] = [];
  const { clock, dispatch } = byHand((heard) => {
    tries.push(heard);
    return tries.length < 3 ? Promise.reject(new Error("too many connections")) : Promise.resolve(() => {});
  });
  const pop = async (found: number, end = () => clock.advance(1000)) => {
    const popping = dispatch.pop(["a"], 10, found, NEVER);
    if (found === 0) {
      await eventually(() => clock.waiting === 1, { what: "the pop to wait" });
      await end();
    }
    await popping;
  };
  await pop(0);
  // Who finds tasks need not be woken.
  for (let i = 0; i < 10; i++) await pop(1);
  assert.equal(tries.length, 1);
  for (let i = 0; i < 3; i++) await pop(0);
  assert.equal(tries.length, 3);
  await pop(0, () => Promise.resolve(tries[2]!()));
  assert.deepEqual(log.lines, [
    'WARNING dispatch: Cannot listen; engines poll error="too many connections"',
    "INFO    dispatch: Can listen again",
  ]);
  await dispatch.close();
});

/** Dispatch on a record, on a clock that stands still: nothing but what is heard ends its pops. */
function hearing(record: TestRecord) {
  const { wakeup } = record.store();
  const listening = new TestSignal("the listening connection");
  const clock = new TestClock();
  const dispatch = new PostgresDispatch({
    ...wakeup,
    async listen(heard) {
      const unlisten = await wakeup.listen(heard);
      listening.fire();
      return unlisten;
    },
  }, clock);
  let isListening = false;
  return {
    /** Whether a pop that waits is woken by what `act` does elsewhere; that nothing else ends it is what the clock says. */
    async wokenBy(act: () => Promise<unknown>): Promise<void> {
      const popping = dispatch.pop(["a"], 10, 0, NEVER);
      if (!isListening) await listening.next();
      isListening = true;
      await eventually(() => clock.waiting === 1, { what: "the pop to wait" });
      await act();
      assert.deepEqual(await popping, []);
      assert.equal(clock.now(), new TestClock().now());
    },
    [Symbol.asyncDispose]: () => dispatch.close(),
  };
}

needTest(["session"], "a publish anywhere wakes a pop that waits, through NOTIFY", async () => {
  await using record = await TestRecord.make();
  await using pops = hearing(record);
  const queue = record.queue();
  for (const option of [{}, { key: "k" }, { delay: 60 }]) {
    await pops.wokenBy(() => queue.publish("app", "run", {}, option));
  }
});

needTest(["session"], "whatever makes tasks ready elsewhere wakes a pop that waits", async () => {
  await using record = await TestRecord.make();
  await using pops = hearing(record);
  const [store, queue, engine] = [record.store(), record.queue(), crypto.randomUUID()];
  await using elsewhere = createDispatch(record.settings(), record.install, store.wakeup);
  const [due, held, ended] = [
    await publishOne(store, { delay: 60 }),
    await publishOne(store),
    await publishOne(store),
  ];
  await record.run("update :schema.tasks set scheduled_for = now() where state = 2");
  await pops.wokenBy(async () => await pushed(elsewhere, (await store.promoteDue(10)).ready));
  for (
    const back of [
      async () => await store.release(await store.claim([held], engine), engine, null),
      async () => (await store.claim([held], engine), (await store.rescue(engine, { reason: "lost" })).ready),
    ]
  ) {
    await pops.wokenBy(async () => await pushed(elsewhere, await back()));
  }
  await store.cancel([ended], null);
  await pops.wokenBy(() => queue.retryNow(ended));
  assert.deepEqual((await store.get([due, held, ended])).map(({ state }) => state), [0, 0, 0]);
});

needTest(["session"], "a publish tells once, with its commit", async () => {
  await using record = await TestRecord.make();
  const queue = record.queue();
  const heard: string[] = [];
  const channel = notifyChannel(record.schema);
  await record.sql.listen(channel, (payload) => heard.push(payload));
  await queue.publish("app", "run");
  await queue.publish("app", "run", {}, { key: "k" });
  await queue.transaction((_tx, publish) => publish("app", "run"));
  await queue.idle();
  // Notifications come in the order of their commits.
  await record.sql.notify(channel, "the last");
  await eventually(() => heard.at(-1) === "the last", { what: "the notifications" });
  assert.deepEqual(heard, ["", "", "", "the last"]);
});
