import assert from "node:assert/strict";
import { type ControlMessage, isControlMessage } from "../../src/dispatch/dispatch.ts";
import { captureLog } from "../support/capture_log.ts";
import { eventually, tcpProxy, TestClock, TestSignal } from "../support/fixtures.ts";
import { needTest } from "../support/need.ts";
import { RedisPlace } from "./parts.ts";

/** Resolves when exactly `count` connections listen. */
async function listeners(place: RedisPlace, count: number): Promise<void> {
  await eventually(async () => {
    const [, number] = await place.client.pubsub("NUMSUB", place.keys.control) as [string, number];
    return number === count;
  }, { what: `${count} listening connections` });
}

needTest(["redis"], "every listener hears every message, as it was sent", async () => {
  await using place = await RedisPlace.shared();
  const dispatches = [place.dispatch(), place.dispatch()];
  const heard = dispatches.map(() => new TestSignal<ControlMessage>("a message"));
  const stops = await Promise.all(dispatches.map((dispatch, i) => dispatch.listen(heard[i]!.fire)));
  await listeners(place, 2);
  const messages: ControlMessage[] = [
    { kind: "due", seconds: 0.25 },
    { kind: "cancel", ids: [1, 2 ** 44 - 1] },
    { kind: "cancel", ids: [] },
    { kind: "restart" },
  ];
  for (const [i, message] of messages.entries()) await dispatches[i % 2]!.send(message);
  for (const signal of heard) {
    for (const message of messages) assert.deepEqual(await signal.next(), message);
  }
  stops[0]!();
  await listeners(place, 1);
  await dispatches[0]!.send({ kind: "restart" });
  assert.deepEqual(await heard[1]!.next(), { kind: "restart" });
  assert.equal(heard[0]!.pending, 0);
  stops[1]!();
  await listeners(place, 0);
});

needTest(["redis"], "what is no message is ignored, and said in the log", async () => {
  await using log = await captureLog();
  await using place = await RedisPlace.shared();
  const dispatch = place.dispatch();
  const heard = new TestSignal<ControlMessage>("a message");
  const stop = await dispatch.listen(heard.fire);
  await listeners(place, 1);
  const garbage = [
    "",
    "garbage",
    "{",
    "null",
    "42",
    '"restart"',
    "[]",
    "{}",
    '{"kind":"explode"}',
    '{"kind":"cancel"}',
    '{"kind":"cancel","ids":"123"}',
    '{"kind":"cancel","ids":[1,"2"]}',
    '{"kind":"due"}',
    '{"kind":"due","seconds":"5"}',
    "\0\ufffd",
  ];
  for (const text of garbage) await place.client.publish(place.keys.control, text);
  await dispatch.send({ kind: "restart" });
  assert.deepEqual(await heard.next(), { kind: "restart" });
  assert.equal(heard.pending, 0);
  assert.equal(log.count(/^WARNING dispatch: Heard something that is not a hint/), garbage.length);
  stop();
});

needTest(["redis"], "a listener that throws is logged and hears the next message", async () => {
  await using log = await captureLog();
  await using place = await RedisPlace.shared();
  const dispatch = place.dispatch();
  const heard = new TestSignal<ControlMessage>("a message");
  const stop = await dispatch.listen((message) => {
    heard.fire(message);
    if (message.kind === "restart") throw new Error("cannot");
  });
  await listeners(place, 1);
  await dispatch.send({ kind: "restart" });
  await dispatch.send({ kind: "due", seconds: 1 });
  assert.deepEqual([await heard.next(), await heard.next()], [{ kind: "restart" }, {
    kind: "due",
    seconds: 1,
  }]);
  assert.equal(log.count(/error=cannot/), 1);
  stop();
});

needTest(
  ["redis-binaries"],
  "a listener is subscribed again after Redis was restarted, within five seconds",
  async () => {
    await using place = await RedisPlace.private();
    const clock = new TestClock();
    const dispatch = place.dispatch({ clock });
    const heard = new TestSignal<ControlMessage>("a message");
    const stop = await dispatch.listen(heard.fire);
    await listeners(place, 1);
    for (const ending of ["fast", "kill"] as const) {
      await place.server.restart(ending);
      await eventually(() => clock.waiting === 1, { what: "the pause between two looks" });
      assert.ok(clock.untilNext! <= 5000);
      await clock.advance(clock.untilNext!);
      await listeners(place, 1);
      const sender = place.dispatch();
      await sender.send({ kind: "restart" });
      assert.deepEqual(await heard.next(), { kind: "restart" });
      assert.equal(heard.pending, 0, "a message was heard twice");
    }
    stop();
  },
);

needTest(["redis"], "a subscription that went silent is noticed and replaced", async () => {
  await using place = await RedisPlace.shared();
  await using proxy = tcpProxy(place.url);
  const clock = new TestClock();
  const dispatch = place.dispatch({ url: proxy.url, clock });
  const heard = new TestSignal<ControlMessage>("a message");
  const stop = await dispatch.listen(heard.fire);
  await listeners(place, 1);
  await eventually(() => clock.waiting === 1 && clock.untilNext! > 2000, {
    what: "the pause after subscribing",
  });
  proxy.goSilent();
  await clock.advance(5000);
  await eventually(() => clock.untilNext! <= 2000, { what: "the next look" });
  await clock.advance(2000); // It is not answered: the connection is given up.
  await eventually(() => clock.waiting === 1, { what: "the pause before the next connection" });
  await proxy.resume();
  await listeners(place, 0);
  await clock.advance(clock.untilNext!);
  await listeners(place, 1);
  await place.dispatch().send({ kind: "restart" });
  assert.deepEqual(await heard.next(), { kind: "restart" });
  stop();
});

Deno.test("isControlMessage() knows its three forms", () => {
  const good = [{ kind: "restart" }, { kind: "due", seconds: 0 }, { kind: "cancel", ids: [1] }, {
    kind: "restart",
    x: 1,
  }];
  const bad = [undefined, null, 1, "restart", [], { kind: "due", seconds: null }, {
    kind: "cancel",
    ids: [1.5],
  }];
  assert.deepEqual(good.map(isControlMessage), good.map(() => true));
  assert.deepEqual(bad.map(isControlMessage), bad.map(() => false));
});
