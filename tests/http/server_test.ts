import assert from "node:assert/strict";
import { HostMetrics } from "../../src/metrics/host_metrics.ts";
import { HttpServer } from "../../src/http/server.ts";
import type { Served } from "../../src/supervisor/serving.ts";
import { Serving } from "../../src/supervisor/serving.ts";
import { captureLog } from "../support/capture_log.ts";
import { eventually, tempFolder } from "../support/fixtures.ts";
import { freePort } from "../support/free_port.ts";
import { needTest } from "../support/need.ts";
import { TestRecord } from "../support/test_record.ts";
import { STATUS } from "./site.ts";

const NEEDS = ["postgres"] as const;
const SERVED: Served = {
  status: () => STATUS,
  metrics: new HostMetrics(false),
  control: { restart: () => true, canceled() {} },
};

/** A record, and settings on it. */
class Ground implements AsyncDisposable {
  readonly record: TestRecord;
  readonly folder: Awaited<ReturnType<typeof tempFolder>>;

  private constructor(record: TestRecord, folder: Awaited<ReturnType<typeof tempFolder>>) {
    this.record = record;
    this.folder = folder;
  }

  static async make(): Promise<Ground> {
    return new Ground(await TestRecord.make(), await tempFolder());
  }

  start(port = 0): Promise<HttpServer> {
    const address = { hostname: "127.0.0.1", port };
    const settings = this.record.settings({ TQ_ROOT: this.folder.path, TQ_HTTP: `127.0.0.1:${port}` });
    return HttpServer.start(settings, address, SERVED);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.record[Symbol.asyncDispose]();
    await this.folder[Symbol.asyncDispose]();
  }
}

function health(url: string | undefined): Promise<number> {
  return fetch(`${url}/healthz`).then(async (response) => {
    await response.body?.cancel();
    return response.status;
  }, () => 0);
}

needTest(NEEDS, "server: it listens where it is told, and is gone after stop()", async () => {
  await using log = await captureLog();
  await using ground = await Ground.make();
  const server = await ground.start();
  const { url } = server;
  assert.match(url ?? "", /^http:\/\/127\.0\.0\.1:\d+$/);
  assert.equal(log.count(/http: Listening url=/), 1);
  assert.equal(await health(url), 200);
  await server.stop();
  assert.equal(server.url, undefined);
  assert.equal(await health(url), 0);
});

needTest(
  NEEDS,
  "server: an address that is taken is said once, tried again, and had as soon as it is free",
  async () => {
    await using log = await captureLog();
    await using ground = await Ground.make();
    const port = freePort();
    const other = Deno.listen({ hostname: "127.0.0.1", port });
    const server = await ground.start(port);
    assert.equal(server.url, undefined);
    await eventually(
      () => log.count(/WARNING http: Cannot listen; .* address=127\.0\.0\.1:\d+ error="?Addr/) === 1,
      {
        what: "the warning",
      },
    );
    other.close();
    await eventually(() => server.url !== undefined, { what: "the address", within: 10_000 });
    assert.equal(await health(server.url), 200);
    await server.stop();
  },
);

needTest(NEEDS, "server: an address that stays taken does not hold stop() up", async () => {
  await using _log = await captureLog();
  await using ground = await Ground.make();
  using other = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const server = await ground.start(other.addr.port);
  await server.stop();
});

needTest(
  NEEDS,
  "server: a request that is under way at stop() is answered, one that hangs is cut",
  async () => {
    await using _log = await captureLog();
    await using ground = await Ground.make();
    const server = await ground.start();
    const { hostname, port } = new URL(server.url ?? "");
    const token = (await Deno.readTextFile(`${ground.folder.path}/var/api_token`)).trim();
    const { sql, schema } = ground.record;
    const [locked, release] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const lock = sql.begin(async (tx) => {
      await tx.unsafe(`lock table ${schema}.tasks in access exclusive mode`);
      locked.resolve();
      await release.promise;
    });
    await locked.promise;
    const slow = fetch(`${server.url}/rpc/taskqueue/task/1`, {
      headers: { authorization: `Bearer ${token}` },
    });
    await eventually(
      async () =>
        (await sql`select from pg_locks where not granted and relation = ${`${schema}.tasks`}::regclass`)
          .length > 0,
      { what: "the request to wait" },
    );
    using hanging = await Deno.connect({ hostname, port: Number(port) });
    await hanging.write(
      new TextEncoder().encode(
        "POST /sign-in HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\nContent-Length: 9\r\n\r\nx",
      ),
    );
    const stopped = server.stop();
    release.resolve();
    await lock;
    const answer = await slow;
    assert.deepEqual([answer.status, (await answer.json()).error_code], [404, 404]);
    await stopped;
    assert.equal(await health(`http://${hostname}:${port}`), 0);
  },
);

Deno.test("serving: what gives way is started again when nothing came in its place", async () => {
  const did: string[] = [];
  const serving = new Serving(() => {
    did.push("start");
    return Promise.resolve({
      url: "http://x",
      stop: (grace) => Promise.resolve(void did.push(`stop ${grace}`)),
    });
  }, SERVED);
  const stopping = new AbortController();
  assert.equal(serving.url, null);
  await serving.start(stopping.signal);
  assert.equal(serving.url, "http://x");
  const refuse = () => {
    did.push("replace");
    throw new Error("cannot run it");
  };
  await assert.rejects(serving.giveWay(refuse, stopping.signal), /cannot run it/);
  assert.deepEqual(did, ["start", "stop 200", "replace", "start"]);
  await serving.stop();
  await serving.stop();
  assert.deepEqual(did.slice(4), ["stop undefined"]);
  // A stop that comes while it starts ends it.
  stopping.abort();
  await serving.start(stopping.signal);
  assert.deepEqual([did.slice(5), serving.url], [["start", "stop undefined"], null]);
  assert.equal(new Serving(undefined, SERVED).url, undefined);
});
