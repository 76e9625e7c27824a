import assert from "node:assert/strict";
import postgres from "npm:postgres@3.4.9";
import { RefusedError, UnreachableError } from "../../src/errors.ts";
import { type Parameter, Pool, type PoolOptions } from "../../src/store/pool.ts";
import { eventually, testSchema, TestSignal } from "../support/fixtures.ts";
import { needTest } from "../support/need.ts";
import { postgresUrl, PREPARES } from "../support/servers.ts";

/** A test with a pool of `size` connections on the shared Postgres, and with the sanitizers on. */
function poolTest(name: string, size: number, fn: (pool: Pool) => Promise<void>): void {
  needTest(["postgres"], name, async () => {
    const applicationName = `tq pool ${crypto.randomUUID().slice(0, 8)}`;
    await using admin = await poolOf({ size: 1 });
    {
      await using pool = await poolOf({ size, applicationName });
      await fn(pool);
      assert.ok(pool.size <= size);
    }
    await eventually(async () => await connectionsOf(admin, applicationName) === 0, {
      what: "the end of the pool's connections",
    });
  }, { sanitizeOps: true, sanitizeResources: true });
}

async function poolOf(options: Partial<PoolOptions> = {}): Promise<Pool> {
  const url = await postgresUrl() ?? "";
  return new Pool({
    url: () => Promise.resolve(url),
    size: 2,
    prepare: PREPARES,
    applicationName: "tq pool",
    ...options,
  });
}

async function connectionsOf(pool: Pool, applicationName: string): Promise<number> {
  const text = "select count(*) as n from pg_stat_activity where application_name = $1";
  return (await pool.run<{ n: number }>(text, [applicationName]))[0]!.n;
}

async function pidOf(pool: Pool): Promise<number> {
  return (await pool.run<{ pid: number }>("select pg_backend_pid() as pid"))[0]!.pid;
}

/** How long `promise` took to reject with an UnreachableError, in milliseconds. */
async function unreachableAfter(promise: Promise<unknown>): Promise<number> {
  const started = performance.now();
  await assert.rejects(promise, UnreachableError);
  return performance.now() - started;
}

poolTest("run() gives rows, how many there were, and bigints as numbers", 1, async (pool) => {
  const rows = await pool.run<Record<string, unknown>>(
    `select $1::text::bigint as big, $2::text::integer + 1 as small, $3 as words, $4::text as nothing, $5::text::boolean as yes,
       '2026-01-02T03:04:05.678Z'::timestamptz as moment, '{"a": [1]}'::jsonb as json
     from generate_series(1, 2)`,
    ["9007199254740991", 41, `it's "{quoted}", \\`, null, true] satisfies Parameter[],
  );
  assert.equal(rows.count, 2);
  assert.deepEqual({ ...rows[1] }, {
    big: 9007199254740991,
    small: 42,
    words: `it's "{quoted}", \\`,
    nothing: null,
    yes: true,
    moment: new Date("2026-01-02T03:04:05.678Z"),
    json: { a: [1] },
  });
  assert.equal((await pool.run("select where false")).count, 0);
});

poolTest("connections are made when needed, at most `size`, and used again", 3, async (pool) => {
  assert.equal(pool.size, 0);
  const first = await pidOf(pool);
  for (let i = 0; i < 3; i++) assert.equal(await pidOf(pool), first);
  assert.equal(pool.size, 1);
  const all = await Promise.all(
    Array.from(
      { length: 12 },
      () => pool.run<{ pid: number }>("select pg_backend_pid() as pid from pg_sleep(0.02)"),
    ),
  );
  assert.equal(new Set(all.map((rows) => rows[0]!.pid)).size, 3);
  assert.equal(pool.size, 3);
});

poolTest("a statement that misses its deadline is given up with its connection", 1, async (pool) => {
  const before = await pidOf(pool);
  assert.ok(await unreachableAfter(pool.run("select pg_sleep(1)", [], 100)) < 900);
  assert.notEqual(await pidOf(pool), before);
  assert.equal(pool.size, 1);
});

poolTest("a caller that gave up waiting takes no connection with it", 1, async (pool) => {
  const running = pool.run("select pg_sleep(0.4)");
  const waits = Promise.all([1, 2, 3].map(() => unreachableAfter(pool.run("select 1", [], 50))));
  const patient = pool.run("select 1");
  for (const ms of await waits) assert.ok(ms < 350);
  await running;
  await patient;
  assert.equal((await pool.run("select 1", [], 2000)).count, 1);
});

poolTest("an error of the statement leaves its connection in use", 1, async (pool) => {
  const before = await pidOf(pool);
  await assert.rejects(pool.run("select 1 / $1::text::integer", [0]), { name: "BadValueError" });
  assert.equal(await pidOf(pool), before);
});

poolTest("close() lets statements end", 1, async (pool) => {
  const running = pool.run("select pg_sleep(0.2)");
  await pool.close();
  assert.equal((await running).count, 1);
});

poolTest("close() cuts off what still runs after its grace, and rejects who waits", 1, async (pool) => {
  await pidOf(pool);
  const running = unreachableAfter(pool.run("select pg_sleep(1)"));
  const waiting = unreachableAfter(pool.run("select 1"));
  await pool.close(50);
  assert.ok(await running < 900);
  assert.ok(await waiting < 900);
  await unreachableAfter(pool.run("select 1"));
  await unreachableAfter(pool.transaction(() => Promise.resolve(), 1000));
  await unreachableAfter(pool.listen("tq_pool_test", () => {}));
  await pool.close();
});

poolTest("close() cuts off a transaction", 1, async (pool) => {
  const inside = new TestSignal("the transaction's begin");
  const running = unreachableAfter(pool.transaction(async (tx) => {
    await tx.unsafe("select 1");
    inside.fire();
    await tx.unsafe("select pg_sleep(1)");
  }, 30_000));
  await inside.next();
  await pool.close(50);
  assert.ok(await running < 900);
});

needTest(["postgres"], "the address is asked for at every new connection", async () => {
  const url = await postgresUrl() ?? "";
  let asked = 0;
  await using pool = await poolOf({
    url: () => ++asked === 1 ? Promise.reject(new RefusedError("no address yet")) : Promise.resolve(url),
  });
  await assert.rejects(pool.run("select 1"), { name: "RefusedError", message: "no address yet" });
  assert.equal(pool.size, 0);
  await pool.run("select 1");
  await pool.run("select 1");
  assert.equal(asked, 2);
});

needTest(["postgres"], "an address that comes after close() is not connected to", async () => {
  const url = Promise.withResolvers<string>();
  const pool = await poolOf({ url: () => url.promise });
  const running = assert.rejects(pool.run("select 1"), UnreachableError);
  await pool.close(50);
  url.resolve(await postgresUrl() ?? "");
  await running;
  assert.equal(pool.size, 0);
});

poolTest("runScript() does all of its statements or none", 1, async (pool) => {
  const schema = testSchema();
  await assert.rejects(pool.runScript(`create schema ${schema}; select 1 / 0`, 5000));
  const there = () =>
    pool.run<{ there: boolean }>(`select to_regnamespace('${schema}') is not null as there`);
  assert.equal((await there())[0]!.there, false);
  await pool.runScript(`create schema ${schema}; drop schema ${schema}`, 5000);
});

poolTest("transaction() commits what its function did, or none of it", 2, async (pool) => {
  const schema = testSchema();
  const make = async (tx: { unsafe(text: string): PromiseLike<unknown> }) => {
    await tx.unsafe(`create schema ${schema}`);
    return schema;
  };
  const there = async () =>
    (await pool.run<{ there: boolean }>(`select to_regnamespace('${schema}') is not null as there`))[0]!
      .there;
  await assert.rejects(
    pool.transaction(async (tx) => {
      await make(tx);
      throw new Error("of the function");
    }, 5000),
    { message: "of the function" },
  );
  assert.equal(await there(), false);
  await assert.rejects(
    pool.transaction(async (tx) => {
      await make(tx);
      await tx.unsafe("select pg_sleep(1)");
    }, 100),
    UnreachableError,
  );
  assert.equal(await there(), false);
  assert.equal(await pool.transaction(make, 5000), schema);
  assert.equal(await there(), true);
  await pool.run(`drop schema ${schema}`);
});

poolTest("listen() hears until it is ended", 1, async (pool) => {
  const heard = new TestSignal<string>("a notification");
  const end = await pool.listen("tq_pool_test", heard.fire);
  await pool.run("select pg_notify('tq_pool_test', 'one')");
  assert.equal(await heard.next(), "one");
  end();
  const stillHeard = new TestSignal<string>("a notification");
  await pool.listen("tq_pool_test_2", stillHeard.fire);
  await pool.run("select pg_notify('tq_pool_test', 'two')");
  await pool.run("select pg_notify('tq_pool_test_2', 'three')");
  assert.equal(await stillHeard.next(), "three");
  assert.equal(heard.pending, 0);
});

/** As when `reason` was thrown where nobody catches it. */
function thrownAstray(reason: unknown): boolean {
  const promise = Promise.resolve();
  const event = new PromiseRejectionEvent("unhandledrejection", { promise, reason, cancelable: true });
  globalThis.dispatchEvent(event);
  return event.defaultPrevented;
}

poolTest("stray errors of postgres.js end no process, but its connections", 2, async (pool) => {
  const before = await pidOf(pool);
  const stray = new TypeError("Cannot read properties of null (reading 'write')");
  assert.equal(thrownAstray(stray), false); // From nowhere in particular: whoever threw it must hear of it.
  assert.equal(await pidOf(pool), before);
  stray.stack =
    `${stray}\n    at write (file:///deno/npm/registry.npmjs.org/postgres/3.4.9/src/connection.js:250:22)`;
  assert.equal(thrownAstray(stray), true);
  await pool.run("select 1");
  assert.notEqual(await pidOf(pool), before);
  assert.equal(pool.size, 1);
});

poolTest("errors of a program's own client of postgres.js are left to the program", 1, async (pool) => {
  const before = await pidOf(pool);
  const sql = postgres(await postgresUrl() ?? "", { max: 1, prepare: PREPARES });
  const forgotten: Record<string, () => unknown> = {
    "a query that Postgres refuses": () => sql`select 1 / 0`.execute(),
    "the same as text": () => sql.unsafe("select 1 / 0").execute(),
    "a query that the driver refuses": () => sql`select ${undefined as never}`.execute(),
    "an error inside a transaction": () => sql.begin(() => Promise.reject(new Error("of the program"))),
    "an error while it reads": () => sql`select 1`.forEach(() => assert.fail("of the program")),
  };
  for (const [what, forget] of Object.entries(forgotten)) {
    const isTaken = new TestSignal<boolean>("the unhandled rejection");
    globalThis.addEventListener("unhandledrejection", (event) => {
      isTaken.fire(event.defaultPrevented);
      event.preventDefault();
    }, { once: true });
    forget();
    assert.equal(await isTaken.next(), false, what);
  }
  await sql.end();
  assert.equal(await pidOf(pool), before);
});

Deno.test("a server that takes connections and drops them is unreachable once the connect timeout is over", async () => {
  const dropped: Deno.Conn[] = [];
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const dropping = (async () => {
    for await (const connection of listener) {
      dropped.push(connection);
      connection.close();
    }
  })();
  const url = `postgres://postgres@127.0.0.1:${listener.addr.port}/test`;
  {
    await using pool = await poolOf({ url: () => Promise.resolve(url), connectTimeout: 300 });
    assert.ok(await unreachableAfter(pool.run("select 1")) < 5000);
    assert.ok(dropped.length > 0);
  }
  listener.close();
  await dropping;
});
