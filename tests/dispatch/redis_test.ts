import assert from "node:assert/strict";
import { ID_LIMIT } from "../../src/task.ts";
import { captureLog } from "../support/capture_log.ts";
import { eventually } from "../support/fixtures.ts";
import { freePort } from "../support/free_port.ts";
import { needTest } from "../support/need.ts";
import { tcpProxy } from "../support/tcp_proxy.ts";
import { DEAF, hint, ids, NEVER, redisDispatch, RedisPlace } from "./parts.ts";

/** Milliseconds that `promise` took. */
async function took(promise: Promise<unknown>): Promise<number> {
  const before = performance.now();
  await promise;
  return performance.now() - before;
}

/** How many pops wait now: `cmd` alone is the last command, which may be over. */
async function blockedPops(place: RedisPlace): Promise<number> {
  const list = await place.client.client("LIST") as string;
  return list.split("\n").filter((line) => / name=tq-pop .* flags=\w*b\w* .* cmd=bzmpop/.test(line)).length;
}

needTest(
  ["redis"],
  "pop() gives what was pushed: id, channel and priority, exactly, to the extremes",
  async () => {
    await using place = await RedisPlace.shared();
    const dispatch = place.dispatch();
    const hints = [-100, -99, -1, 0, 1, 99, 100].flatMap((priority) => [
      hint(1 + priority + 100, "a", priority),
      hint(ID_LIMIT - (priority + 100), "a", priority),
    ]);
    await dispatch.push(hints);
    const popped = await dispatch.pop(["a"], 100, 0, NEVER);
    assert.deepEqual(popped, hints.toSorted((a, b) => b.priority - a.priority || a.id - b.id));
  },
);

needTest(
  ["redis"],
  "pop() takes at most what was asked, the highest priority first, then the oldest",
  async () => {
    await using place = await RedisPlace.shared();
    const dispatch = place.dispatch();
    await dispatch.push([hint(5), hint(3, "a", -1), hint(4), hint(9, "a", 10), hint(2)]);
    assert.deepEqual(ids(await dispatch.pop(["a"], 2, 0, NEVER)), [9, 2]);
    assert.deepEqual(ids(await dispatch.pop(["a"], 2, 0, NEVER)), [4, 5]);
    assert.deepEqual(ids(await dispatch.pop(["a"], 2, 0, NEVER)), [3]);
    assert.deepEqual(ids(await dispatch.pop(["a"], 2, 1, NEVER)), []);
  },
);

// 113 with Redis 7.0, and 104 where there are 100,000: the hash table's size is a power of two (2026-11-28).
needTest(["redis"], "a ready task takes at most 120 bytes of Redis", async () => {
  await using place = await RedisPlace.shared();
  const key = place.keys.queue("a");
  await place.dispatch().push(Array.from({ length: 10_000 }, (_, i) => hint(ID_LIMIT - i, "a", i % 3 - 1)));
  assert.equal(await place.client.zcard(key), 10_000);
  const bytes = await place.client.memory("USAGE", key, "SAMPLES", 0) ?? NaN;
  assert.ok(bytes <= 120 * 10_000, `${bytes / 10_000} bytes`);
});

needTest(["redis"], "pushing again changes nothing: an id is there once, with its place", async () => {
  await using place = await RedisPlace.shared();
  const [one, other] = [place.dispatch(), place.dispatch()];
  for (let i = 0; i < 3; i++) {
    await Promise.all([one, other].map((dispatch) => dispatch.push([hint(7), hint(8)])));
  }
  assert.equal(await place.client.zcard(place.keys.queue("a")), 2);
  assert.deepEqual(ids(await one.pop(["a"], 10, 0, NEVER)), [7, 8]);
});

needTest(["redis"], "pop() looks into several channels in the order it is given", async () => {
  await using place = await RedisPlace.shared();
  const dispatch = place.dispatch();
  await dispatch.push([hint(1, "a"), hint(2, "b", 100), hint(3, "c"), hint(4, "b")]);
  assert.deepEqual(await dispatch.pop(["b", "a"], 10, 0, NEVER), [hint(2, "b", 100), hint(4, "b")]);
  assert.deepEqual(await dispatch.pop(["b", "a"], 10, 0, NEVER), [hint(1, "a")]);
  assert.deepEqual(ids(await dispatch.pop(["b", "a"], 10, 1, NEVER)), [], "channel c was not asked for");
  assert.deepEqual(ids(await dispatch.pop(["c"], 10, 0, NEVER)), [3]);
});

needTest(["redis"], "push() takes any number of hints, over many channels", async () => {
  await using place = await RedisPlace.shared();
  const dispatch = place.dispatch();
  await dispatch.push([]);
  await dispatch.push(Array.from({ length: 25_000 }, (_, i) => hint(i + 1, `c${i % 3}`)));
  const sizes = await Promise.all([0, 1, 2].map((i) => place.client.zcard(place.keys.queue(`c${i}`))));
  assert.equal(sizes.reduce((a, b) => a + b), 25_000);
  assert.equal((await dispatch.pop(["c1"], 1000, 0, NEVER)).length, 1000);
});

needTest(
  ["redis-binaries"],
  "a pop that waits is woken by a push, at once and on any of its channels",
  async () => {
    await using place = await RedisPlace.private();
    const [engine, publisher] = [place.dispatch(), place.dispatch()];
    await publisher.push([hint(1)]);
    await engine.pop(["a"], 1, 0, NEVER);
    const popping = engine.pop(["a", "b"], 10, 0, NEVER);
    await eventually(() => blockedPops(place), { what: "the pop to block" });
    await publisher.push([hint(2, "b")]);
    let popped: readonly unknown[] = [];
    assert.ok(await took(popping.then((hints) => popped = hints)) < 2000);
    assert.deepEqual(popped, [hint(2, "b")]);
  },
);

needTest(["redis"], "an id goes to one of those who wait", async () => {
  await using place = await RedisPlace.shared();
  const engines = Array.from({ length: 4 }, () => place.dispatch());
  await Promise.all(engines.map((engine) => engine.push(Array.from({ length: 500 }, (_, i) => hint(i + 1)))));
  const popped: number[] = [];
  await Promise.all(engines.map(async (engine) => {
    for (;;) {
      const hints = await engine.pop(["a"], 7, 1, NEVER);
      if (hints.length === 0) return;
      popped.push(...ids(hints));
    }
  }));
  assert.deepEqual(popped.toSorted((a, b) => a - b), Array.from({ length: 500 }, (_, i) => i + 1));
});

needTest(["redis"], "after a look that found something a pop only glances", async () => {
  await using place = await RedisPlace.shared();
  const dispatch = place.dispatch();
  await dispatch.pop(["a"], 1, 1, NEVER);
  assert.ok(await took(dispatch.pop(["a"], 1, 1, NEVER)) < 1500);
});

needTest(
  ["redis-binaries"],
  "a pop ends when it is told that it is enough, before, while or after it blocks, and the next one works",
  async () => {
    await using place = await RedisPlace.private();
    const dispatch = place.dispatch();
    await dispatch.pop(["a"], 1, 1, NEVER);
    const isBlocked = async () => / name=tq-pop .* flags=b /.test(String(await place.client.client("LIST")));
    for (const block of [true, false]) {
      const enough = new AbortController();
      const popping = dispatch.pop(["a"], 1, 0, NEVER, enough.signal);
      if (block) await eventually(isBlocked, { what: "the pop to block" });
      enough.abort();
      assert.ok(await took(popping) < 1500);
      assert.deepEqual(await popping, []);
      await dispatch.push([hint(1)]);
      assert.deepEqual(ids(await dispatch.pop(["a"], 1, 0, NEVER, new AbortController().signal)), [1]);
    }
    assert.ok(await took(dispatch.pop(["a"], 1, 0, NEVER, AbortSignal.abort())) < 1500);
    assert.ok(
      await took(place.dispatch().pop(["a"], 1, 0, NEVER, AbortSignal.abort())) < 2000,
      "it connects",
    );
    assert.equal(await isBlocked(), false);
  },
);

needTest(
  ["redis"],
  "a pop waits for a second at most while Redis is away, or until it is enough",
  async () => {
    await using away = redisDispatch({
      url: `redis://127.0.0.1:${freePort()}`,
      wakeup: { first: 60_000, longest: 60_000, ...DEAF },
    });
    // While Redis is away the record is looked into every second at least, whatever else is set.
    assert.ok(await took(away.pop(["a"], 1, 0, NEVER)) < 3000);
    assert.ok(await took(away.pop(["a"], 1, 0, NEVER, AbortSignal.abort())) < 500);
  },
);

needTest(["redis-binaries"], "an abort ends a pop that waits, and its connection", async () => {
  await using place = await RedisPlace.private();
  const dispatch = place.dispatch();
  const before = await blockedPops(place);
  const stop = new AbortController();
  const popping = dispatch.pop(["a"], 10, 0, stop.signal);
  await eventually(async () => await blockedPops(place) > before, { what: "the pop to block" });
  stop.abort();
  assert.ok(await took(popping) < 1000);
  assert.deepEqual(await popping, []);
  await eventually(async () => await blockedPops(place) === before, { what: "the connection to be closed" });
  // Whoever took over gets what is pushed now: no dead client has it.
  const next = place.dispatch();
  await next.push([hint(1)]);
  assert.deepEqual(ids(await next.pop(["a"], 10, 0, NEVER)), [1]);
});

needTest(["redis"], "an id that Redis gave in the moment of the abort is not lost", async () => {
  await using place = await RedisPlace.shared();
  await using proxy = tcpProxy(place.url);
  const dispatch = place.dispatch({ url: proxy.url });
  await dispatch.pop(["a"], 10, 1, NEVER);
  const stop = new AbortController();
  const popping = dispatch.pop(["a"], 10, 0, stop.signal);
  await eventually(async () => await blockedPops(place) > 0, { what: "the pop to block" });
  proxy.goSilent();
  await place.dispatch().push([hint(1)]);
  assert.equal(await place.client.zcard(place.keys.queue("a")), 0, "it is on its way to the pop");
  stop.abort();
  await proxy.resume();
  assert.deepEqual(ids(await popping), [1]);
});

needTest(
  ["redis"],
  "a pop whose signal has aborted already does not wait, at its start or while it connects",
  async () => {
    await using place = await RedisPlace.shared();
    const stop = new AbortController();
    const connecting = place.dispatch().pop(["a"], 10, 0, stop.signal);
    stop.abort();
    assert.ok(await took(connecting) < 2000);
    assert.ok(await took(place.dispatch().pop(["a"], 10, 0, AbortSignal.abort())) < 2000);
    const warm = place.dispatch();
    await warm.pop(["a"], 10, 1, NEVER);
    assert.ok(await took(warm.pop(["a"], 10, 0, AbortSignal.abort())) < 2000);
  },
);

needTest(["redis"], "two installs on one Redis never see each other's ids, epochs or messages", async () => {
  await using place = await RedisPlace.shared();
  const [mine, theirs] = [place.dispatch({ install: "mine" }), place.dispatch({ install: "theirs" })];
  const [heardMine, heardTheirs]: [unknown[], unknown[]] = [[], []];
  const unlisten = await Promise.all([
    mine.listen((message) => heardMine.push(message)),
    theirs.listen((message) => heardTheirs.push(message)),
  ]);
  await mine.push([hint(1), hint(2)]);
  assert.deepEqual(await theirs.pop(["a"], 10, 1, NEVER), []);
  await theirs.push([hint(1)]);
  assert.deepEqual(ids(await mine.pop(["a"], 10, 0, NEVER)), [1, 2]);
  assert.deepEqual(ids(await theirs.pop(["a"], 10, 0, NEVER)), [1]);
  assert.equal(await mine.wasEmptied(), true);
  assert.equal(await theirs.wasEmptied(), true);
  await eventually(async () => {
    await mine.send({ kind: "cancel", ids: [1] });
    await theirs.send({ kind: "restart" });
    return heardMine.length > 0 && heardTheirs.length > 0;
  }, { what: "both to hear" });
  assert.ok(heardMine.every((message) => (message as { kind: string }).kind === "cancel"));
  assert.ok(heardTheirs.every((message) => (message as { kind: string }).kind === "restart"));
  for (const stop of unlisten) stop();
});

needTest(["redis"], "wasEmptied() tells once that the epoch is gone", async () => {
  await using place = await RedisPlace.shared();
  const [leader, next] = [place.dispatch(), place.dispatch()];
  assert.equal(await leader.wasEmptied(), true);
  assert.equal(await leader.wasEmptied(), false);
  assert.equal(await next.wasEmptied(), false, "the epoch is Redis', not the leader's");
  await place.client.del(place.keys.epoch);
  assert.equal(await next.wasEmptied(), true);
  assert.equal(await leader.wasEmptied(), false);
});

needTest(
  ["redis-binaries"],
  "a Redis that lets nobody end a pop is told of once, and pops with room to come are short then",
  async () => {
    await using place = await RedisPlace.private();
    await using log = await captureLog();
    await place.client.call("ACL", "SETUSER", "tq", "on", ">secret", "~*", "&*", "+@all", "-client|unblock");
    const dispatch = place.dispatch({ url: place.url.replace("//", "//tq:secret@") });
    const refused = () => log.count(/^WARNING dispatch: Redis refuses CLIENT UNBLOCK; .* error="NOPERM /);
    const first = dispatch.pop(["a"], 1, 0, NEVER, AbortSignal.abort());
    await eventually(() => refused() === 1, { what: "the refusal" });
    await dispatch.push([hint(1)]);
    assert.deepEqual(ids(await first), [1]);
    const enough = new AbortController();
    const second = dispatch.pop(["a"], 1, 0, NEVER, enough.signal);
    await eventually(async () => await blockedPops(place) === 1, { what: "the pop to block" });
    enough.abort();
    assert.ok(await took(second) < 1500, "it would be 5 s");
    assert.deepEqual(await second, []);
    const third = dispatch.pop(["a"], 1, 0, NEVER, new AbortController().signal);
    await eventually(async () => await blockedPops(place) === 1, { what: "the pop to block" });
    await dispatch.push([hint(2)]);
    assert.deepEqual(ids(await third), [2]);
    assert.equal(refused(), 1);
  },
);
