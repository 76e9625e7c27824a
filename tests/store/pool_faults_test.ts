import assert from "node:assert/strict";
import { messageOf, UnreachableError } from "../../src/errors.ts";
import { isConnectionLoss } from "../../src/store/errors.ts";
import { Pool, type PoolOptions } from "../../src/store/pool.ts";
import { eventually, tcpProxy, TestSignal } from "../support/fixtures.ts";
import { needTest } from "../support/need.ts";
import { PrivatePostgres } from "../support/private_postgres.ts";
import { postgresUrl, PREPARES } from "../support/servers.ts";

function poolAt(url: string, options: Partial<PoolOptions> = {}): Pool {
  return new Pool({
    url: () => Promise.resolve(url),
    size: 2,
    prepare: PREPARES,
    applicationName: "tq pool faults",
    ...options,
  });
}

/** Whether `promise` rejects with an UnreachableError within `ms`. */
async function unreachableWithin(ms: number, promise: Promise<unknown>): Promise<void> {
  const started = performance.now();
  await assert.rejects(promise, UnreachableError);
  const took = performance.now() - started;
  assert.ok(took < ms, `it took ${took} ms`);
}

const CALLERS = 20;
const SIZE = 10;
const FAULTS_MS = 5000;
const EVERY_MS = 50;

/** Callers that send one statement after the other, as fast as they are answered. */
class Callers {
  /** Statements that were answered, by caller. */
  readonly answered: number[] = new Array(CALLERS).fill(0);
  failed = 0;
  /** Errors that are no outage. */
  readonly wrong: string[] = [];
  readonly #pool: Pool;
  readonly #loops: Promise<void>[];
  #stopped = false;

  constructor(pool: Pool) {
    this.#pool = pool;
    this.#loops = this.answered.map((_, caller) => this.#loop(caller));
  }

  get total(): number {
    return this.answered.reduce((sum, one) => sum + one);
  }

  /** Statements a second, measured for half a second. */
  async rate(): Promise<number> {
    const [before, started] = [this.total, performance.now()];
    await pause(500);
    return (this.total - before) / (performance.now() - started) * 1000;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#loops);
  }

  async #loop(caller: number): Promise<void> {
    while (!this.#stopped) {
      try {
        const rows = await this.#pool.run<{ n: number }>("select $1::text::integer + 1 as n", [caller], 2000);
        if (rows[0]?.n !== caller + 1) this.wrong.push(`${caller} was answered ${rows[0]?.n}`);
        this.answered[caller]!++;
      } catch (error) {
        this.failed++;
        if (!(error instanceof UnreachableError)) this.wrong.push(messageOf(error));
        await pause(5); // Refused at once: without a rest nobody else would get to run.
      }
    }
  }
}

// The sanitizers are off: a client that was abandoned amid the faults may see its socket's end after the test's.
needTest(
  ["postgres-binaries"],
  "the pool survives terminated connections and restarts under load",
  async () => {
    await using server = await PrivatePostgres.started();
    await using admin = poolAt(server.url(), { size: 1, applicationName: "tq admin" });
    const pool = poolAt(server.url(), { size: SIZE });
    const ours = "from pg_stat_activity where application_name = 'tq pool faults'";
    const callers = new Callers(pool);
    await eventually(() => callers.answered.every((count) => count > 10), { what: "every caller at work" });
    const before = Math.max(await callers.rate(), await callers.rate());

    let terminated = 0;
    const restarts = [FAULTS_MS / 4, FAULTS_MS * 3 / 5];
    for (let at = 0; at < FAULTS_MS; at += EVERY_MS) {
      if (at >= (restarts[0] ?? Infinity)) {
        restarts.shift();
        await server.restart("immediate");
      }
      const rows = await admin.run<{ n: number }>(`select count(pg_terminate_backend(pid)) as n ${ours}`)
        .catch((error) => {
          if (!isConnectionLoss(error)) throw error;
          return []; // The restart ended its connection, too.
        });
      terminated += rows[0]?.n ?? 0;
      await pause(EVERY_MS);
    }
    assert.equal(restarts.length, 0);
    assert.ok(terminated > 100, `only ${terminated} connections were terminated`);
    assert.ok(callers.failed > 50, `only ${callers.failed} statements failed`);

    callers.answered.fill(0);
    await eventually(() => callers.answered.every((count) => count > 0), {
      what: "an answer for every caller",
      within: 10_000,
    });
    let after = 0;
    await eventually(async () => (after = await callers.rate()) >= before * 0.6, {
      what: `at least 60 % of ${Math.round(before)} statements a second`,
      within: 15_000,
    }).catch((error) => assert.fail(`${error.message}; at last there were ${Math.round(after)}`));
    await callers.stop();
    assert.deepEqual(callers.wrong, []);

    // None was lost to the pool: as many as it has room for run at once.
    const pids = await Promise.all(Array.from({ length: SIZE }, async () => {
      const text = "select pg_backend_pid() as pid from pg_sleep(0.3)";
      return (await pool.run<{ pid: number }>(text, [], 10_000))[0]!.pid;
    }));
    assert.equal(new Set(pids).size, SIZE);
    assert.equal(pool.size, SIZE);
    const connections = async () => (await admin.run<{ n: number }>(`select count(*) as n ${ours}`))[0]!.n;
    await eventually(async () => await connections() <= SIZE, { what: "the end of abandoned connections" });
    await pool.close();
    await eventually(async () => await connections() === 0, { what: "the end of the pool's connections" });
  },
);

needTest(["postgres-binaries"], "listen() hears again after the server was restarted", async () => {
  await using server = await PrivatePostgres.started();
  await using pool = poolAt(server.url());
  const heard = new TestSignal<string>("a notification");
  await pool.listen("tq_faults", heard.fire);
  await pool.run("select pg_notify('tq_faults', 'before')");
  assert.equal(await heard.next(), "before");
  await server.restart("immediate");
  await eventually(async () => {
    await pool.run("select pg_notify('tq_faults', 'after')");
    return heard.pending > 0;
  }, { what: "a notification after the restart", within: 10_000 });
});

needTest(
  ["postgres"],
  "a connection gone silent is given up at the deadline, and the pool works again",
  async () => {
    await using proxy = tcpProxy(await postgresUrl() ?? "");
    await using pool = poolAt(proxy.url);
    await Promise.all([pool.run("select pg_sleep(0.05)"), pool.run("select pg_sleep(0.05)")]);
    assert.equal(proxy.connections, 2);
    proxy.goSilent();
    const callers = [1, 2, 3, 4, 5].map(() => unreachableWithin(1500, pool.run("select 1", [], 300)));
    await Promise.all(callers);
    await unreachableWithin(1500, pool.run("select 1", [], 300)); // On a new connection: taken, never answered.
    await proxy.resume();
    const [row] = await eventually(() => pool.run<{ n: number }>("select 1::bigint as n", [], 1000), {
      what: "an answer after the silence",
    });
    assert.equal(row?.n, 1);
    await Promise.all([1, 2, 3, 4].map(() => pool.run("select 1", [], 2000)));
    await eventually(() => proxy.connections <= 2, { what: "the end of the silent connections" });
  },
);

needTest(
  ["postgres"],
  "a server that accepts and never answers is unreachable within the connect timeout",
  async () => {
    await using proxy = tcpProxy(await postgresUrl() ?? "");
    await using pool = poolAt(proxy.url, { connectTimeout: 300 });
    proxy.goSilent();
    await Promise.all([1, 2, 3].map(() => unreachableWithin(3000, pool.run("select 1", [], 10_000))));
    await proxy.resume();
    assert.equal((await pool.run("select 1")).count, 1);
  },
);

needTest(["postgres"], "a connection that is cut off is unreachable at once, and replaced", async () => {
  await using proxy = tcpProxy(await postgresUrl() ?? "");
  await using pool = poolAt(proxy.url, { size: 1 });
  await pool.run("select 1");
  const running = unreachableWithin(1500, pool.run("select pg_sleep(2)"));
  await proxy.refuse();
  proxy.cut();
  await running;
  for (let i = 0; i < 5; i++) await unreachableWithin(1500, pool.run("select 1"));
  await proxy.resume();
  assert.equal((await pool.run("select 1")).count, 1);
  assert.equal(proxy.connections, 1);
});

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

needTest(
  ["session"],
  "a statement that was given up while it waited for a lock does not stay in Postgres",
  async () => {
    const applicationName = `tq pool ${crypto.randomUUID().slice(0, 8)}`;
    const make = async (options: Partial<PoolOptions> = {}) => {
      const url = await postgresUrl() ?? "";
      return new Pool({
        url: () => Promise.resolve(url),
        size: 2,
        prepare: true,
        applicationName,
        ...options,
      });
    };
    await using holder = await make({ applicationName: "tq pool holder" });
    await using pool = await make();
    const key = Math.floor(Math.random() * 2 ** 31);
    const lock = "select pg_advisory_xact_lock($1::text::integer)";
    await holder.transaction(async (tx) => {
      await tx.unsafe(lock, [String(key)]);
      for (let i = 0; i < 3; i++) {
        await assert.rejects(pool.run(lock, [String(key)], 200), /did not answer within 0.2 s/);
      }
      const count = "select count(*) as n from pg_stat_activity where application_name = $1";
      await eventually(async () => (await holder.run<{ n: number }>(count, [applicationName]))[0]!.n === 0, {
        what: "the end of the statements, with the lock still held",
        within: 15_000,
      });
    }, 30_000);
  },
);

/** A Postgres before which somebody refuses connections that start with `name`, as a server that does not know it. */
async function refusing(name: string): Promise<{ url: string; refused: number } & AsyncDisposable> {
  const target = new URL(await postgresUrl() ?? "");
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const url = new URL(target);
  url.host = `127.0.0.1:${listener.addr.port}`;
  const one = { url: url.href, refused: 0 };
  const serve = async (client: Deno.TcpConn) => {
    const start = new Uint8Array(10_000);
    const length = await client.read(start) ?? 0;
    if (new TextDecoder().decode(start.subarray(0, length)).includes(`${name}\0`)) {
      one.refused++;
      const fields = `SFATAL\0VFATAL\0C42704\0Munrecognized configuration parameter "${name}"\0\0`;
      const answer = new Uint8Array([..."E\0\0\0\0"].map((c) => c.charCodeAt(0)));
      new DataView(answer.buffer).setUint32(1, 4 + fields.length);
      await client.write(new Uint8Array([...answer, ...new TextEncoder().encode(fields)]));
      return client.close();
    }
    const server = await Deno.connect({ hostname: target.hostname, port: Number(target.port || 5432) });
    await server.write(start.subarray(0, length));
    await Promise.allSettled([
      client.readable.pipeTo(server.writable),
      server.readable.pipeTo(client.writable),
    ]);
  };
  const served: Promise<void>[] = [];
  const accepting = (async () => {
    for await (const client of listener) served.push(serve(client));
  })();
  return Object.assign(one, {
    async [Symbol.asyncDispose]() {
      listener.close();
      await accepting;
      await Promise.all(served);
    },
  });
}

needTest(
  ["session"],
  "a Postgres that cannot look whether somebody listens is served all the same, its plans steered",
  async () => {
    await using old = await refusing("client_connection_check_interval");
    await using pool = poolAt(old.url, { size: 1 });
    const [row] = await pool.run<{ seqscan: string; interval: string }>(
      "select current_setting('enable_seqscan') as seqscan, current_setting('client_connection_check_interval') as interval",
    );
    assert.deepEqual(row, { seqscan: "off", interval: "0" });
    assert.equal(old.refused, 1);
  },
);
