import assert from "node:assert/strict";
import { eventually } from "../support/fixtures.ts";
import { livingOf, type Process, processTable, signal } from "../support/processes.ts";
import { PrivatePostgres, PrivateRedis } from "../support/servers.ts";
import { compiledTest } from "./binary.ts";
import { Server } from "./server.ts";

/** Each run writes down which task it has and in which process, and waits for the file `go`. */
const HANDLERS = {
  "work.js": `
    export async function wait(task) {
      Deno.writeTextFileSync("began", task.id + " " + Deno.pid + "\\n", { append: true });
      while (!await Deno.stat("go").then(() => true, () => false)) {
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      task.completed(Deno.pid);
    }`,
};
const WORKERS = 4;
const TASKS = 20;
/** Milliseconds in which `tq periodic` has the engine running, on a machine where `tq --help` takes no longer than HELP. */
const SOON = 3_000;
const HELP = 150;
/** A machine that is busy with something else is slow now and then. */
const MOST_KILLS = 3;

/** kill -9 of the supervisor while tasks run and others wait; `tq periodic` does the rest. */
async function survive(server: Server): Promise<void> {
  await server.good("start");
  await server.write("tasks.ndjson", '{"model": "work", "fname": "wait"}\n'.repeat(TASKS));
  await server.good("publish", "--file", "tasks.ndjson");
  await haveBegun(server, WORKERS);

  const left: Process[] = [];
  const took: { periodic: number; help: number }[] = [];
  const isSoon = () => took.some(({ periodic, help }) => periodic < SOON * Math.max(1, help / HELP));
  while (took.length < MOST_KILLS && !isSoon()) {
    const before = await server.supervisor();
    const table = await processTable();
    left.push(...before.engines.flatMap(({ pid }) => table.get(pid) ?? []));
    signal(before.pid, "SIGKILL");
    await eventually(async () => !(await server.status()).running, { within: 30_000, what: "its end" });
    const [printed, periodic] = await timed(server, "periodic");
    const [, help] = await timed(server, "--help");
    took.push({ periodic, help });
    const after = await server.supervisor();
    assert.match(printed, new RegExp(`^the engine did not run; started, as process ${after.pid}\n`));
    assert.deepEqual(after.engines.map(({ state }) => state), ["ready"]);
    // The engine that was left goes on with its tasks, and the new one has begun others.
    await haveBegun(server, WORKERS * (took.length + 1));
    assert.equal((await livingOf(left)).length, took.length);
  }
  console.log("milliseconds:", took);
  assert.ok(isSoon(), "tq periodic has the engine running soon");

  await server.write("go", "");
  await eventually(async () => (await livingOf(left)).length === 0, {
    within: 60_000,
    what: "the end of the engines that were left",
  });
  const tasks = await eventually(async () => {
    const all: {
      id: number;
      state: number;
      attempts: number;
      claims: number;
      deaths: number;
      result: unknown;
    }[] = JSON.parse(await server.good("tasks", "--json", "--size", "100"));
    return all.every(({ state }) => state === 10) && all;
  }, { within: 60_000, what: "all to be completed" });
  assert.equal(tasks.length, TASKS);
  const expected = tasks.map(({ id, result }) => `${id} ${result}`);
  assert.deepEqual(server.lines("began").sort(), expected.sort(), "each began once, and ended where it had");
  for (const { id, attempts, claims, deaths } of tasks) {
    assert.deepEqual({ id, attempts, claims, deaths }, { id, attempts: 1, claims: 1, deaths: 0 });
  }
  assert.equal(await server.good("stop"), "stopped\n");
}

/** What a command prints, and how many milliseconds it takes. */
async function timed(server: Server, command: string): Promise<[string, number]> {
  const since = performance.now();
  return [await server.good(command), Math.round(performance.now() - since)];
}

async function haveBegun(server: Server, count: number): Promise<void> {
  const what = `${count} tasks to begin`;
  await eventually(() => server.lines("began").length === count, { within: 60_000, what });
}

compiledTest(
  [],
  "after a kill -9 tq periodic starts the engine again, on the embedded database",
  async () => {
    await using server = await Server.make({
      handlers: HANDLERS,
      settings: { TQ_WORKERS: String(WORKERS) },
    });
    await survive(server);
  },
);

compiledTest(
  ["postgres-binaries", "redis-binaries"],
  "after a kill -9 tq periodic starts the engine again, on Postgres and Redis",
  async () => {
    await using postgres = await PrivatePostgres.started();
    await using redis = await PrivateRedis.started();
    await using server = await Server.make({
      handlers: HANDLERS,
      settings: {
        TQ_DATABASE_URL: postgres.url(),
        TQ_REDIS_URL: redis.url(),
        TQ_PROCESSES: "1",
        TQ_WORKERS: String(WORKERS),
      },
    });
    await survive(server);
  },
);
