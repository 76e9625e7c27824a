import assert from "node:assert/strict";
import { join, relative } from "node:path";
import { readCommit } from "../../src/commit.ts";
import { tempFolder } from "../support/fixtures.ts";
import { freePort } from "../support/free_port.ts";
import { PrivatePostgres, PrivateRedis } from "../support/servers.ts";
import { REPOSITORY } from "../support/tq.ts";
import { compiledTest } from "./binary.ts";
import { Server } from "./server.ts";

const HANDLERS = {
  "shop/Invoice.js": `
    export default class Invoice {
      static on_tq_total(task) {
        const { prices } = task.data;
        if (prices.length === 0) return task.failed("there is nothing to add up");
        task.completed({ total: prices.reduce((sum, price) => sum + price, 0), by: "VERSION" });
      }
    }`,
  "family.mjs": `
    import { TaskQueue } from "@tq/tq";
    export async function parent(task) {
      await using queue = new TaskQueue();
      task.completed(await queue.publish("shop.Invoice", "on_tq_total", { prices: [1, 2] }));
    }`,
};
const DATABASE = new Set(["db", "db.address", "db.lock", "db.log"]);

/** The life of a server, by commands alone. */
async function live(server: Server, dispatch: "postgres" | "redis", processes: number): Promise<void> {
  const names = (folder: string) => [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
  assert.deepEqual(names(server.path), ["handlers", "tq"]);

  assert.match(
    await server.good("start"),
    new RegExp(`^started, as process \\d+ with ${processes} engine processes\n$`),
  );
  const before = await server.status();
  const { supervisor } = before;
  assert.ok(before.running && before.record.reachable && supervisor !== null);
  assert.deepEqual([supervisor.pid, supervisor.dispatch], [before.pid, dispatch]);
  assert.deepEqual(supervisor.engines.map(({ state }) => state), Array(processes).fill("ready"));
  assert.match(await server.good("status"), /^engine +runs as process \d+ for .*\n.*record +reachable\n/s);

  const task = await server.ended(await server.publish("shop.Invoice", "on_tq_total", { prices: [3, 4] }));
  assert.deepEqual([task.state, task.result, task.attempts], [10, { total: 7, by: "VERSION" }, 1]);
  assert.match(await server.good("task", String(task.id)), /state +completed\n.*result +\{.*"total":7/s);
  const failed = await server.run(["publish", "shop.Invoice", "on_tq_total", '{"prices":[]}', "--wait"]);
  assert.deepEqual([failed.code, failed.stdout], [1, `${task.id + 1}\nfailed: there is nothing to add up\n`]);
  assert.match(await server.good("tasks"), /shop\.Invoice on_tq_total +failed .*\n.* completed /);

  // A handler has the library that is in the executable, with the settings of its engine.
  const parent = await server.ended(await server.publish("family", "parent"));
  const child = await server.ended(parent.result as number);
  assert.deepEqual(child.result, { total: 3, by: "VERSION" });

  // From elsewhere, the executable's own folder is the root.
  const elsewhere = ["publish", "shop.Invoice", "on_tq_total", '{"prices": [1]}', "--wait"];
  const { code, stdout } = await server.run(elsewhere, { cwd: "/" });
  assert.deepEqual([code, stdout], [0, `${child.id + 1}\ncompleted\n`]);

  const bodies: unknown[] = [];
  await using receiver = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, async (request) => {
    bodies.push(await request.json());
    return new Response("thanks");
  });
  const url = `http://127.0.0.1:${receiver.addr.port}/hook`;
  assert.match(await server.good("web-request", url, '{"invoice": 22}', "--wait"), /^\d+\ncompleted\n$/);
  assert.deepEqual(bodies, [{ invoice: 22 }]);

  assert.equal(await server.good("periodic"), "", "all is well");
  await server.write(
    "handlers/shop/Invoice.js",
    HANDLERS["shop/Invoice.js"].replace("VERSION", "the second"),
  );
  assert.equal(await server.good("reload"), "reloaded\n");
  const second = await server.ended(await server.publish("shop.Invoice", "on_tq_total", { prices: [5] }));
  assert.deepEqual(second.result, { total: 5, by: "the second" });
  assert.equal((await server.supervisor()).pid, supervisor.pid);

  assert.equal(await server.good("stop"), "stopped\n");
  const after = await server.run(["status"]);
  assert.equal(after.code, 1);
  assert.match(after.stdout, /does not run/);
  assert.match(await server.good("periodic"), /^the engine did not run; started, as process \d+\n$/);
  assert.notEqual((await server.supervisor()).pid, supervisor.pid);
  assert.equal((await server.task(task.id)).state, 10, "the record has lived on");
  assert.equal(await server.good("stop"), "stopped\n");

  assert.deepEqual(names(server.path), ["handlers", "tq", "var"]);
  const kept = names(server.varFolder);
  assert.equal(
    kept.some((name) => DATABASE.has(name)),
    !("TQ_DATABASE_URL" in server.environment),
    String(kept),
  );
}

compiledTest([], "the executable alone does the whole job on the embedded database", async () => {
  await using server = await Server.make({ handlers: HANDLERS });
  await live(server, "postgres", 1);
});

compiledTest(
  ["postgres-binaries", "redis-binaries"],
  "the executable alone does the whole job on Postgres and Redis",
  async () => {
    await using postgres = await PrivatePostgres.started();
    await using redis = await PrivateRedis.started();
    await using server = await Server.make({
      handlers: HANDLERS,
      settings: { TQ_DATABASE_URL: postgres.url(), TQ_REDIS_URL: redis.url(), TQ_PROCESSES: "2" },
    });
    await live(server, "redis", 2);
  },
);

compiledTest(["postgres-binaries"], "the executable has every file of the dashboard inside", async () => {
  await using postgres = await PrivatePostgres.started();
  const address = `127.0.0.1:${freePort()}`;
  await using server = await Server.make({
    handlers: HANDLERS,
    settings: { TQ_DATABASE_URL: postgres.url(), TQ_HTTP: address, TQ_PROCESSES: "1" },
  });
  await server.good("start");
  const names = [...filesOf(join(REPOSITORY, "src/http/dashboard/assets"))];
  assert.ok(names.includes("index.html"));
  for (const name of names) {
    const response = await fetch(`http://${address}/assets/${name}`);
    assert.ok(response.ok && (await response.bytes()).length > 0, `${name}: ${response.status}`);
  }
});

function* filesOf(folder: string, at = folder): Iterable<string> {
  for (const { name, isDirectory } of Deno.readDirSync(at)) {
    const path = join(at, name);
    if (isDirectory) yield* filesOf(folder, path);
    else yield relative(folder, path);
  }
}

compiledTest([], "tq --version tells the version, the commit, and the Deno and V8 inside", async () => {
  await using server = await Server.make({ handlers: {} });
  const read = async (name: string) => JSON.parse(await Deno.readTextFile(join(REPOSITORY, name)));
  const { version } = await read("deno.json");
  // As `deno task compile` wrote it down: another commit may have come since then.
  const { commit } = await read("dist/build.json");
  assert.equal(commit === null, readCommit(REPOSITORY) === undefined);
  await using elsewhere = await tempFolder();
  const { code, stdout } = await server.run(["--version"], { cwd: elsewhere.path });
  assert.equal(code, 0);
  const { groups } = /^tq (?<tq>\S+) \(commit (?<commit>\w+), Deno (?<deno>[\d.]+), V8 (?<v8>[\w.-]+)\)\n$/
    .exec(stdout) ?? {};
  assert.deepEqual([groups?.tq, groups?.commit], [version, (commit ?? "unknown").slice(0, 12)], stdout);
});
