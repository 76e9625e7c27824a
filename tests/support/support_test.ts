import assert from "node:assert/strict";
import { join } from "node:path";
import { cronText } from "./cron.ts";
import { eventually, type TcpProxy, tcpProxy, tempFolder, TestClock, TestSignal } from "./fixtures.ts";
import { needTest } from "./need.ts";
import { childrenOf, livingOf, processTable } from "./processes.ts";
import { parseSummary, testArguments } from "./run.ts";
import { PrivatePostgres, PrivateRedis } from "./servers.ts";

const RUNNER = join(import.meta.dirname ?? ".", "run.ts");

Deno.test("TestClock fires due timers in order, each at its own moment", async () => {
  const clock = new TestClock(1000);
  const fired: string[] = [];
  const note = (name: string) => () => fired.push(`${name} at ${clock.monotonic()}`);
  clock.after(30, note("c"));
  clock.after(10, note("a"));
  clock.after(10, note("b"));
  const cancel = clock.after(20, note("never"));
  clock.after(41, note("too late"));
  cancel();
  await clock.advance(40);
  assert.deepEqual(fired, ["a at 10", "b at 10", "c at 30"]);
  assert.deepEqual([clock.now(), clock.monotonic(), clock.waiting, clock.untilNext], [1040, 40, 1, 1]);
  clock.jump(-500);
  assert.deepEqual([clock.now(), clock.monotonic()], [540, 40]);
});

Deno.test("TestClock wakes a loop that sleeps again and again", async () => {
  const clock = new TestClock();
  const stop = new AbortController();
  const woken: number[] = [];
  const loop = (async () => {
    while (!stop.signal.aborted) {
      await clock.sleep(100, stop.signal);
      woken.push(clock.monotonic());
    }
  })();
  await clock.advance(350);
  assert.deepEqual(woken, [100, 200, 300]);
  stop.abort();
  await loop;
  assert.equal(clock.waiting, 0);
});

Deno.test("TestClock ends advance() when a loop never sleeps", async () => {
  const clock = new TestClock();
  const again = () => void clock.after(0, again);
  again();
  await assert.rejects(clock.advance(1), /sleeps for no time/);
});

Deno.test("eventually() returns the first truthy answer, and takes an error for not yet", async () => {
  let asked = 0;
  const answer = await eventually(() => {
    asked++;
    if (asked === 1) throw new Error("not there");
    return asked === 2 ? undefined : "here";
  }, { what: "an answer" });
  assert.equal(answer, "here");
  assert.equal(asked, 3);
});

Deno.test("eventually() names what it waited for, and the last error", async () => {
  const cause = new Error("refused");
  await assert.rejects(
    eventually(() => Promise.reject(cause), { within: 30, what: "the port to open" }),
    { message: "waited in vain for the port to open (30 ms)", cause },
  );
  await assert.rejects(
    eventually(() => new Promise<boolean>(() => {}), { within: 30, what: "an end" }),
    /an end/,
  );
});

Deno.test("TestSignal keeps what was told before somebody asked", async () => {
  const signal = new TestSignal<number>("a number");
  signal.fire(1);
  signal.fire(2);
  assert.equal(await signal.next(), 1);
  assert.equal(await signal.next(), 2);
  await assert.rejects(signal.next(20), /in vain for a number/);
  const third = signal.next();
  signal.fire(3);
  assert.equal(await third, 3);
  assert.equal(signal.pending, 0);
});

Deno.test("tempFolder() removes the folder with all in it", async () => {
  let path: string;
  {
    await using folder = await tempFolder();
    path = folder.path;
    await Deno.writeTextFile(join(path, "file"), "text");
  }
  await assert.rejects(Deno.stat(path), Deno.errors.NotFound);
});

/** A server that sends back what it gets. */
function echoServer(): AsyncDisposable & { port: number } {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const work: Promise<void>[] = [];
  const accepting = (async () => {
    for await (const conn of listener) work.push(conn.readable.pipeTo(conn.writable).catch(() => {}));
  })();
  return {
    port: listener.addr.port,
    async [Symbol.asyncDispose]() {
      listener.close();
      await accepting;
      await Promise.all(work);
    },
  };
}

async function say(conn: Deno.Conn, text: string): Promise<void> {
  await conn.write(new TextEncoder().encode(text));
}

async function hear(conn: Deno.Conn): Promise<string | null> {
  const buffer = new Uint8Array(100);
  const size = await conn.read(buffer);
  return size === null ? null : new TextDecoder().decode(buffer.subarray(0, size));
}

function connect(proxy: TcpProxy): Promise<Deno.TcpConn> {
  return Deno.connect({ hostname: proxy.hostname, port: proxy.port });
}

Deno.test("tcpProxy() forwards, and holds back while silent", async () => {
  await using server = echoServer();
  await using proxy = tcpProxy({ hostname: "127.0.0.1", port: server.port });
  using early = await connect(proxy);
  await say(early, "one");
  assert.equal(await hear(early), "one");

  proxy.goSilent();
  using late = await connect(proxy);
  await say(early, "two");
  await say(late, "three");
  let heard = 0;
  const answers = Promise.all([early, late].map(async (conn) => {
    const text = await hear(conn);
    heard++;
    return text;
  }));
  await assert.rejects(eventually(() => heard, { within: 50, what: "an answer" }));
  assert.equal(proxy.connections, 2);
  await proxy.resume();
  assert.deepEqual(await answers, ["two", "three"]);
});

Deno.test("tcpProxy() cuts, refuses, and comes back on its port", async () => {
  await using server = echoServer();
  await using proxy = tcpProxy(`redis://user@127.0.0.1:${server.port}/1`);
  assert.equal(proxy.url, `redis://user@127.0.0.1:${proxy.port}/1`);
  using first = await connect(proxy);
  await say(first, "one");
  await hear(first);

  await proxy.refuse();
  await assert.rejects(connect(proxy), Deno.errors.ConnectionRefused);
  await say(first, "two");
  assert.equal(await hear(first), "two");
  proxy.cut();
  assert.equal(await hear(first).catch(() => null), null);

  await proxy.resume();
  using second = await connect(proxy);
  await say(second, "three");
  assert.equal(await hear(second), "three");
  assert.equal(proxy.accepted, 2);
});

Deno.test("tcpProxy() is disposed of while it is silent and clients wait", async () => {
  await using server = echoServer();
  const proxy = tcpProxy({ hostname: "127.0.0.1", port: server.port });
  proxy.goSilent();
  using conn = await connect(proxy);
  await say(conn, "never heard");
  await eventually(() => proxy.connections, { what: "the connection" });
  await proxy[Symbol.asyncDispose]();
  assert.equal(await hear(conn).catch(() => null), null);
});

Deno.test("parseSummary() reads deno test's last summary line", () => {
  const cases: [string, [number, number, number] | undefined][] = [
    ["ok | 12 passed (3 steps) | 0 failed | 1 ignored (2s)\n", [12, 0, 1]],
    ["\x1b[0m\x1b[32mok\x1b[0m | 2 passed | 0 failed \x1b[0m\x1b[38;5;245m(22ms)\x1b[0m\n", [2, 0, 0]],
    ["FAILED | 3 passed (1 step) | 2 failed (1 step) | 4 ignored (1 step) | 5 filtered out (1m2s)\n", [
      3,
      2,
      4,
    ]],
    ["ok | 9 passed | 0 failed (1s)\nFAILED | 1 passed | 1 failed (1s)\n\nerror: Test failed\n", [1, 1, 0]],
    ["note: ok | 9 passed | 0 failed (1s)\n", undefined],
    ["", undefined],
  ];
  for (const [output, expected] of cases) {
    const summary = parseSummary(output);
    assert.deepEqual(summary && [summary.passed, summary.failed, summary.skipped], expected, output);
  }
});

Deno.test("testArguments() adds the default paths only when none is given", () => {
  const defaults = ["--ignore=tests/chaos,tests/bench", "tests/"];
  assert.deepEqual(testArguments([]), ["test", "-A", "--reporter=pretty", ...defaults]);
  assert.deepEqual(testArguments(["--filter", "tests", "--reporter=dot", "--", "x"]), [
    ...["test", "-A", "--filter", "tests", "--reporter=dot", ...defaults, "--", "x"],
  ]);
  assert.deepEqual(testArguments(["tests/support"]), ["test", "-A", "--reporter=pretty", "tests/support"]);
});

/** Runs the runner on one test file with this content. */
async function runnerOn(
  content: string,
  env: Record<string, string> = {},
): Promise<{ code: number; lines: string[] }> {
  await using folder = await tempFolder();
  const file = join(folder.path, "sample_test.ts");
  await Deno.writeTextFile(file, content);
  const { code, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", RUNNER, file],
    env: { TQ_TEST_DATABASE_URL: "none", TQ_TEST_REDIS_URL: "none", CI: "", ...env },
    stderr: "null",
  }).output();
  return { code, lines: new TextDecoder().decode(stdout).trim().split("\n") };
}

const CRON = JSON.stringify(new URL("./cron.ts", import.meta.url).href);
const NEED = JSON.stringify(new URL("./need.ts", import.meta.url).href);
const SAMPLE = `import { needTest } from ${NEED};
Deno.test("passes", () => {});
needTest(["postgres", "redis"], "needs both", () => {});`;

Deno.test("the runner says what it skipped, and ends with the counts", async () => {
  const { code, lines } = await runnerOn(SAMPLE);
  assert.ok(lines.includes("SKIPPED needs both: no Postgres, no Redis on this machine"), lines.join("\n"));
  assert.equal(lines.at(-1), "1 passed, 0 failed, 1 skipped");
  assert.equal(code, 0);
});

Deno.test("the runner takes a skip for a failure in CI", async () => {
  const { code, lines } = await runnerOn(SAMPLE, { CI: "true" });
  assert.deepEqual(lines.slice(-2), [
    "CI=true: 1 skipped, which counts as failure here",
    "1 passed, 0 failed, 1 skipped",
  ]);
  assert.equal(code, 1);
});

Deno.test("the runner fails when a test fails, and when nothing could be run", async () => {
  const failing = await runnerOn(`Deno.test("fails", () => { throw new Error("as it should"); });`);
  assert.deepEqual([failing.code, failing.lines.at(-1)], [1, "0 passed, 1 failed, 0 skipped"]);
  const broken = await runnerOn(`const x: number = "not one"; Deno.test("never", () => { x; });`);
  assert.deepEqual([broken.code, ...broken.lines.slice(-2)], [
    1,
    "deno test printed no summary: the run itself counts as failed",
    "0 passed, 1 failed, 0 skipped",
  ]);
});

Deno.test("the runner fails a test that leaves a timer or a file open", async () => {
  const leaking = await runnerOn(`Deno.test("timer", () => void setTimeout(() => {}, 60_000));
Deno.test("file", () => void Deno.openSync(new URL(import.meta.url)));
Deno.test("neither", () => {});`);
  assert.deepEqual([leaking.code, leaking.lines.at(-1)], [1, "1 passed, 2 failed, 0 skipped"]);
});

Deno.test("the runner ends a run that hangs, with all it started", async () => {
  await using folder = await tempFolder();
  const file = join(folder.path, "pid");
  const sleeper = `Deno.test("hangs", async () => {
    const child = new Deno.Command("sleep", { args: ["600"], detached: true }).spawn();
    await Deno.writeTextFile(${JSON.stringify(file)}, String(child.pid));
    await child.status;
  });`;
  const { code, lines } = await runnerOn(sleeper, { TQ_TEST_MINUTES: "0.08" });
  assert.deepEqual([code, ...lines.slice(-2)], [
    1,
    "the test run took longer than 0.08 minutes: the run itself counts as failed",
    "0 passed, 1 failed, 0 skipped",
  ]);
  const sleeping = (await processTable()).get(Number(await Deno.readTextFile(file)));
  assert.ok(Deno.build.os !== "linux" || sleeping === undefined || sleeping.zombie);
});

needTest(["cron"], "the runner takes back cron lines of a run that is interrupted", async () => {
  await using folder = await tempFolder();
  const given = join(folder.path, "given");
  const { code, lines } = await runnerOn(`import { crontab } from ${CRON};
Deno.test("gives a line, and hangs", async () => {
  await crontab(["0 0 1 1 * true ${given}"]);
  await Deno.writeTextFile("${given}", "");
  Deno.kill(Deno.ppid, "SIGTERM");
  await new Promise((resolve) => setTimeout(resolve, 600_000));
});`);
  assert.deepEqual([code, lines.at(-1)], [1, "0 passed, 1 failed, 0 skipped"]);
  await Deno.stat(given);
  assert.ok(!(await cronText()).includes(given));
});

async function query(url: string, text: string): Promise<unknown[]> {
  const { default: connect } = await import("npm:postgres@3.4.9");
  const sql = connect(url, { max: 1, connect_timeout: 2, fetch_types: false, onnotice() {} });
  try {
    return [...await sql.unsafe(text)];
  } finally {
    await sql.end({ timeout: 1 });
  }
}

needTest(
  ["postgres-binaries"],
  "PrivatePostgres keeps what it committed through every way to end",
  async () => {
    await using server = await PrivatePostgres.started({ max_connections: 12 });
    const { url, folder } = { url: server.url(), folder: server.folder };
    await query(url, "CREATE TABLE t (n int)");
    for (const ending of ["fast", "immediate", "kill"] as const) {
      await query(url, "INSERT INTO t VALUES (1)");
      const pid = server.pid;
      await server.restart(ending);
      assert.notEqual(server.pid, pid);
    }
    assert.deepEqual(
      await query(url, "SELECT count(*)::int AS n, current_setting('max_connections') AS m FROM t"),
      [
        { n: 3, m: "12" },
      ],
    );
    await server.kill();
    await assert.rejects(query(url, "SELECT 1"));
    assert.equal(server.pid, undefined);
    await server[Symbol.asyncDispose]();
    await assert.rejects(Deno.stat(folder), Deno.errors.NotFound);
    await Deno.mkdir(folder); // For the second disposal, at the end of the block.
  },
);

needTest(["postgres-binaries"], "PrivatePostgres.kill() waits for a child that computes", async () => {
  await using server = await PrivatePostgres.started();
  assert.ok(server.pid !== undefined);
  const busy = query(server.url(), "SELECT count(*) FROM generate_series(1, 10000000000)").catch((error) =>
    error
  );
  const children = await eventually(async () => {
    const found = await childrenOf(server.pid ?? 0);
    return found.length > 5 && found;
  }, { what: "the connection's process" });
  await server.kill();
  assert.deepEqual(await livingOf(children), []);
  assert.ok(await busy instanceof Error);
});

needTest(["postgres-binaries"], "a private server that cannot start says what it printed", async () => {
  await assert.rejects(PrivatePostgres.started({ no_such_setting: 1 }), /no_such_setting/);
});

needTest(["redis-binaries"], "PrivateRedis forgets everything at every end, and serves again", async () => {
  const { Redis } = await import("npm:ioredis@6.0.0");
  await using server = await PrivateRedis.started({ maxmemory: "10mb" });
  for (const ending of ["fast", "immediate", "kill"] as const) {
    const client = new Redis(server.url(), { retryStrategy: () => null });
    client.on("error", () => {});
    assert.equal(await client.get("key"), null);
    await client.set("key", "value");
    const closed = Promise.withResolvers<void>();
    client.on("end", () => closed.resolve());
    await server.restart(ending);
    await closed.promise;
  }
  await server.stop();
  assert.deepEqual([...Deno.readDirSync(server.folder)].map((entry) => entry.name), ["log"]);
});
