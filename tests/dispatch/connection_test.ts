import assert from "node:assert/strict";
import type { Redis } from "npm:ioredis@6.0.0";
import { Connection } from "../../src/dispatch/connection.ts";
import { UnreachableError } from "../../src/errors.ts";
import { eventually, tcpProxy, TestClock } from "../support/fixtures.ts";
import { freePort } from "../support/free_port.ts";
import { needTest } from "../support/need.ts";
import { redisUrl } from "../support/servers.ts";

/** A connection through a proxy that counts, closed at the end of the test. */
function connectionTo(url: string) {
  const proxy = tcpProxy(url);
  const clock = new TestClock();
  const connection = new Connection(proxy.url, "tq-test", clock);
  return {
    proxy,
    clock,
    connection,
    ping: () => connection.run(2000, (client) => client.ping()),
    async [Symbol.asyncDispose]() {
      await connection.close();
      await proxy[Symbol.asyncDispose]();
    },
  };
}

needTest(["redis"], "a connection is made when it is first used, once for all who wait for it", async () => {
  await using to = connectionTo((await redisUrl())!);
  assert.equal(to.proxy.accepted, 0);
  assert.deepEqual(await Promise.all([to.ping(), to.ping(), to.ping()]), ["PONG", "PONG", "PONG"]);
  assert.equal(to.proxy.accepted, 1);
  assert.equal(to.connection.isUp, true);
  assert.equal(to.clock.waiting, 0, "a timer is left");
});

needTest(["redis"], "a connection that broke while idle is replaced at its next use", async () => {
  await using to = connectionTo((await redisUrl())!);
  await to.ping();
  to.proxy.cut();
  await eventually(async () => {
    await to.clock.advance(100); // Whoever is too early to see it closed waits for the pause.
    return await to.ping();
  }, { what: "a new connection" });
  assert.equal(to.proxy.accepted, 2);
});

needTest(["redis"], "what Redis says of a command is its user's business: the connection stays", async () => {
  await using to = connectionTo((await redisUrl())!);
  const bad = () => to.connection.run(2000, (client) => client.call("NO_SUCH_COMMAND"));
  await assert.rejects(bad(), (error) => error instanceof Error && !(error instanceof UnreachableError));
  await to.ping();
  assert.equal(to.proxy.accepted, 1);
  assert.equal(to.connection.isUp, true);
});

needTest(["redis"], "a command that misses its deadline takes its connection with it", async () => {
  await using to = connectionTo((await redisUrl())!);
  await to.ping();
  to.proxy.goSilent();
  const late = assert.rejects(
    to.connection.run(500, (client) => client.ping()),
    (error) => error instanceof UnreachableError && /no answer within 500 ms/.test(error.message),
  );
  await eventually(() => to.clock.waiting === 1, { what: "the command to be sent" });
  await to.clock.advance(500);
  await late;
  assert.equal(to.connection.isUp, false);
  await to.proxy.resume();
  await to.clock.advance(to.connection.pause);
  assert.equal(await to.ping(), "PONG");
  assert.equal(to.connection.isUp, true);
  assert.equal(to.proxy.accepted, 2);
});

Deno.test("tries to connect are paced: each failure doubles the pause, up to two seconds", async () => {
  // The proxy takes connections and finds nobody behind it.
  await using to = connectionTo(`redis://127.0.0.1:${freePort()}`);
  for (const [tries, longest] of [50, 100, 200, 400, 800, 1600, 2000, 2000].entries()) {
    await assert.rejects(to.ping(), UnreachableError);
    assert.equal(to.proxy.accepted, tries + 1);
    assert.ok(
      to.connection.pause >= longest / 2 && to.connection.pause <= longest,
      `${to.connection.pause} ms`,
    );
    for (let i = 0; i < 3; i++) await assert.rejects(to.ping(), /^UnreachableError: Redis is unreachable/);
    assert.equal(to.proxy.accepted, tries + 1, "tried again within the pause");
    await to.clock.advance(to.connection.pause);
  }
});

needTest(["redis"], "close() ends what is under way and everything after it", async () => {
  await using to = connectionTo((await redisUrl())!);
  await to.ping();
  const blocked = assert.rejects(
    to.connection.run(60_000, (client) => client.blpop(`tq_test_${crypto.randomUUID()}`, "30")),
    UnreachableError,
  );
  await eventually(() => to.clock.waiting === 1, { what: "the command to be sent" });
  await to.connection.close();
  await blocked;
  await assert.rejects(to.ping(), /closed/);
  await eventually(() => to.proxy.connections === 0, { what: "the connection to be closed" });
});

needTest(["redis"], "close() while it connects leaves no connection behind", async () => {
  await using to = connectionTo((await redisUrl())!);
  to.proxy.goSilent();
  const pinging = assert.rejects(to.ping(), UnreachableError);
  await eventually(() => to.proxy.accepted === 1, { what: "the connection to be begun" });
  await to.connection.close();
  await pinging;
  await to.proxy.resume();
  await eventually(() => to.proxy.connections === 0, { what: "the connection to be closed" });
});

needTest(
  ["redis"],
  "close() waits for no goodbye of a Redis that is silent, and leaves nothing",
  async () => {
    await using to = connectionTo((await redisUrl())!);
    let used: Redis | undefined;
    await to.connection.run(2000, (client) => (used = client).ping());
    to.proxy.goSilent();
    const begun = performance.now();
    await to.connection.close();
    assert.equal(used?.status, "end");
    assert.ok(performance.now() - begun < 1000, "it waited");
  },
);
