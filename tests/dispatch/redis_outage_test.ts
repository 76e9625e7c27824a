import assert from "node:assert/strict";
import { SettingsError, UnreachableError } from "../../src/errors.ts";
import { captureLog } from "../support/capture_log.ts";
import { eventually, tcpProxy, TestClock } from "../support/fixtures.ts";
import { freePort } from "../support/free_port.ts";
import { needTest } from "../support/need.ts";
import { FakeRedis } from "./fake_redis.ts";
import { hint, ids, NEVER, redisDispatch, RedisPlace } from "./parts.ts";

needTest(
  ["redis-binaries"],
  "a Redis that is killed under a pop sends the engine to the record, and is found when back",
  async () => {
    await using log = await captureLog();
    await using place = await RedisPlace.private();
    const dispatch = place.dispatch();
    const popping = dispatch.pop(["a"], 10, 0, NEVER);
    await eventually(async () => /cmd=bzmpop/.test(await place.client.client("LIST") as string), {
      what: "the pop",
    });
    assert.equal(dispatch.isUp, true);
    await place.server.kill();
    assert.deepEqual(await popping, []);
    assert.equal(dispatch.isUp, false);

    const before = performance.now();
    for (let i = 0; i < 6; i++) assert.deepEqual(await dispatch.pop(["a"], 10, 0, NEVER), []);
    const took = performance.now() - before;
    // 40, 80, 160, 200, 200, 200 ms, each less by up to a quarter.
    assert.ok(took > 500, `6 looks into the record within ${took} ms: they are not paced`);
    assert.deepEqual(await dispatch.pop(["a"], 10, 5, NEVER), [], "while the record has tasks nothing waits");
    await assert.rejects(dispatch.push([hint(1)]), UnreachableError);

    await place.server.start();
    await eventually(() => dispatch.push([hint(7)]).then(() => true), { what: "a push", within: 10_000 });
    const popped = await eventually(
      async () => (await dispatch.pop(["a"], 10, 0, NEVER)).find(() => true),
      { what: "a pop", within: 10_000 },
    );
    assert.deepEqual(popped, hint(7));
    assert.equal(dispatch.isUp, true);
    assert.deepEqual(log.lines.map((line) => line.replace(/ error=.*/, "")), [
      "WARNING dispatch: Redis is away; engines claim from Postgres",
      "INFO    dispatch: Redis is back",
    ]);
  },
);

needTest(["redis-binaries"], "killed connections are replaced, and the next pop works", async () => {
  await using place = await RedisPlace.private();
  const dispatch = place.dispatch();
  for (let round = 0; round < 3; round++) {
    await eventually(() => dispatch.push([hint(round + 1)]).then(() => true), { what: "a push" });
    const popped = await eventually(
      async () => (await dispatch.pop(["a"], 10, 1, NEVER)).find(() => true),
      { what: "a pop" },
    );
    assert.equal(popped.id, round + 1);
    const popping = dispatch.pop(["a"], 10, 0, NEVER);
    await eventually(async () => /cmd=bzmpop/.test(await place.client.client("LIST") as string), {
      what: "the pop",
    });
    await place.client.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
    assert.deepEqual(await popping, []);
  }
});

needTest(
  ["redis"],
  "a connection that went silent under a pop is noticed within the pop's bound, and replaced",
  async () => {
    await using place = await RedisPlace.shared();
    await using proxy = tcpProxy(place.url);
    const clock = new TestClock();
    const dispatch = place.dispatch({ url: proxy.url, clock });
    await dispatch.pop(["a"], 10, 1, NEVER);
    proxy.goSilent();
    const popping = dispatch.pop(["a"], 10, 0, NEVER);
    await eventually(() => clock.waiting > 0, { what: "the pop to be sent" });
    assert.ok(clock.untilNext! <= 7000, `noticed after ${clock.untilNext} ms only`);
    await clock.advance(clock.untilNext!);
    assert.equal(dispatch.isUp, false);
    await clock.advance(100); // The pause before the record is looked into.
    assert.deepEqual(await popping, []);

    await proxy.resume();
    await place.dispatch().push([hint(5)]);
    await clock.advance(2000); // The pause before it is connected to again.
    assert.deepEqual(ids(await dispatch.pop(["a"], 10, 0, NEVER)), [5]);
    assert.equal(dispatch.isUp, true);
  },
);

needTest(["redis"], "a push into silence fails within two seconds", async () => {
  await using place = await RedisPlace.shared();
  await using proxy = tcpProxy(place.url);
  const clock = new TestClock();
  const dispatch = place.dispatch({ url: proxy.url, clock });
  await dispatch.push([hint(1)]);
  proxy.goSilent();
  const pushes = [2, 3, 4].map((id) => assert.rejects(dispatch.push([hint(id)]), UnreachableError));
  await eventually(() => clock.waiting === 3, { what: "the pushes to be sent" });
  await clock.advance(2000);
  await Promise.all(pushes);
  await assert.rejects(dispatch.push([hint(5)]), UnreachableError, "at once, until the pause is over");
  await proxy.resume();
  // One connection failed, whoever used it: the pause is that of a first failure.
  await clock.advance(50);
  await dispatch.push([hint(6)]);
});

needTest(["redis"], "a Redis that is silent from the start is given up within its bound", async () => {
  await using place = await RedisPlace.shared();
  await using proxy = tcpProxy(place.url);
  proxy.goSilent();
  const clock = new TestClock();
  const dispatch = place.dispatch({ url: proxy.url, clock });
  const popping = dispatch.pop(["a"], 10, 0, NEVER);
  await eventually(() => clock.waiting > 0, { what: "the pop to connect" });
  await clock.advance(3000);
  await clock.advance(100);
  assert.deepEqual(await popping, []);
  assert.equal(dispatch.isUp, false);
});

needTest(["redis-binaries"], "an emptied Redis is noticed: after FLUSHALL and after a restart", async () => {
  await using place = await RedisPlace.private();
  const dispatch = place.dispatch();
  assert.equal(await dispatch.wasEmptied(), true);
  await dispatch.push([hint(1)]);
  await place.client.flushall();
  assert.equal(await dispatch.wasEmptied(), true);
  assert.equal(await dispatch.wasEmptied(), false);
  assert.deepEqual(await dispatch.pop(["a"], 10, 1, NEVER), []);
  await place.server.restart("kill");
  assert.equal(
    await eventually(() => dispatch.wasEmptied(), { what: "an answer of the new Redis", within: 10_000 }),
    true,
  );
});

Deno.test("where nobody listens, pops are paced and pushes fail, without an end to the process", async () => {
  await using dispatch = redisDispatch({ url: `redis://127.0.0.1:${freePort()}` });
  for (let i = 0; i < 3; i++) assert.deepEqual(await dispatch.pop(["a"], 10, 0, NEVER), []);
  await assert.rejects(dispatch.push([hint(1)]), UnreachableError);
  await assert.rejects(dispatch.wasEmptied(), UnreachableError);
  await assert.rejects(dispatch.check(), UnreachableError);
  assert.equal(dispatch.isUp, false);
});

needTest(["redis-binaries"], "a Redis that wants a password is as good as away", async () => {
  await using log = await captureLog();
  await using place = await RedisPlace.private();
  await place.client.config("SET", "requirepass", "secret");
  for (const url of [place.url, place.url.replace("//", "//:wrong@")]) {
    const dispatch = place.dispatch({ url });
    for (let i = 0; i < 3; i++) assert.deepEqual(await dispatch.pop(["a"], 10, 0, NEVER), []);
    assert.equal(dispatch.isUp, false);
  }
  assert.equal(log.lines.length, 2, log.lines.join("\n"));
  assert.equal(log.count(/secret|wrong/), 0, "a password in the log");
  const dispatch = place.dispatch({ url: place.url.replace("//", "//:secret@") });
  await dispatch.push([hint(1)]);
  assert.deepEqual(ids(await dispatch.pop(["a"], 10, 0, NEVER)), [1]);
});

needTest(
  ["redis-binaries"],
  "a Redis that refuses the command is as good as away, and counts again when it no longer does",
  async () => {
    await using log = await captureLog();
    await using place = await RedisPlace.private();
    await place.client.call("ACL", "SETUSER", "tq", "on", "nopass", "~*", "&*", "+@all", "-bzmpop");
    const dispatch = place.dispatch({ url: place.url.replace("//", "//tq:any@") });
    await dispatch.push([hint(1)]);
    for (let i = 0; i < 3; i++) assert.deepEqual(await dispatch.pop(["a"], 10, 0, NEVER), []);
    assert.equal(dispatch.isUp, false);
    assert.equal(log.lines.length, 1, log.lines.join("\n"));
    assert.match(log.lines[0] ?? "", /NOPERM/);
    await place.client.call("ACL", "SETUSER", "tq", "+bzmpop");
    assert.deepEqual(ids(await dispatch.pop(["a"], 10, 0, NEVER)), [1]);
    assert.equal(dispatch.isUp, true);
  },
);

// No Redis below 7 is to be had here: a server that answers INFO as one does.
Deno.test("a Redis below 7.0 is refused by name and version, by check() and by every pop", async () => {
  for (const version of ["6.2.14", "5.0.7", "2.8.0"]) {
    await using server = new FakeRedis(`redis_version:${version}\r\n`);
    await using dispatch = redisDispatch({ url: server.url });
    const refused = (error: unknown) => {
      assert.ok(error instanceof SettingsError);
      assert.equal(error.message, `Redis ${version} is too old`);
      assert.equal(error.remedy, "use Redis 7.0 or later, or Valkey");
      return true;
    };
    await assert.rejects(dispatch.check(), refused);
    await assert.rejects(dispatch.pop(["a"], 10, 0, NEVER), refused);
  }
});

Deno.test("Redis 7 and later are accepted, and Valkey, whatever it says of Redis", async () => {
  for (
    const info of [
      "redis_version:7.0.0",
      "redis_version:8.2.1",
      "redis_version:10.0.0",
      "redis_version:6.2.0\r\nserver_name:valkey\r\nvalkey_version:8.0.1",
    ]
  ) {
    await using server = new FakeRedis(`# Server\r\n${info}\r\nos:Linux\r\n`);
    await using dispatch = redisDispatch({ url: server.url });
    await dispatch.check();
  }
});

needTest(["redis-binaries"], "check() warns of a Redis that may evict keys", async () => {
  await using log = await captureLog();
  await using place = await RedisPlace.private({ "maxmemory-policy": "allkeys-lru" });
  await place.dispatch().check();
  assert.deepEqual(log.lines, [
    "WARNING dispatch: Redis may evict keys; lost ids are found again within seconds policy=allkeys-lru",
  ]);
  await place.client.config("SET", "maxmemory-policy", "noeviction");
  await place.dispatch().check();
  assert.equal(log.lines.length, 1);
});
