import assert from "node:assert/strict";
import { join } from "node:path";
import type { SettingsInput } from "../../src/config.ts";
import { journalFolder } from "../../src/engine/journal.ts";
import { readStatus } from "../../src/supervisor/status_file.ts";
import { Supervisor } from "../../src/supervisor/supervisor.ts";
import { captureLog } from "../support/capture_log.ts";
import { eventually, type TempFolder, tempFolder } from "../support/fixtures.ts";
import { needTest } from "../support/need.ts";
import { childrenOf } from "../support/processes.ts";
import { TestRecord } from "../support/test_record.ts";

/** A supervisor in this process; its engines are processes of their own. */
class Place implements AsyncDisposable {
  readonly record: TestRecord;
  readonly path: string;
  readonly supervisor: Supervisor;
  readonly #folder: TempFolder;

  private constructor(record: TestRecord, folder: TempFolder, given: SettingsInput) {
    this.record = record;
    this.#folder = folder;
    this.path = folder.path;
    const settings = record.settings({ TQ_ROOT: folder.path, TQ_PROCESSES: 1 });
    this.supervisor = new Supervisor({
      // What engines are told may differ from what the supervisor itself goes by.
      settings: { ...settings, given: { ...settings.given, ...given as Record<string, string> } },
      writeLine() {},
    });
  }

  static async make(given: SettingsInput = {}): Promise<Place> {
    const folder = await tempFolder();
    await Deno.mkdir(join(folder.path, "handlers"));
    await Deno.writeTextFile(
      join(folder.path, "handlers/app.js"),
      `export async function nap(task) { await new Promise((r) => setTimeout(r, 300)); task.completed(Deno.pid); }`,
    );
    return new Place(await TestRecord.make({ redis: "shared" }), folder, given);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.record[Symbol.asyncDispose]();
    await this.#folder[Symbol.asyncDispose]();
  }
}

const NEEDS = ["postgres", "redis"] as const;

needTest(NEEDS, "start() rejects when its engines cannot start, and nothing is left running", async () => {
  await using log = await captureLog();
  await using place = await Place.make({ TQ_SCHEMA: "tq_test_nowhere" });
  const before = await childrenOf(Deno.pid);
  await assert.rejects(
    place.supervisor.start(),
    /the engine cannot start: .* belongs to .* schema tq_test_nowhere/,
  );
  assert.deepEqual(place.supervisor.engines, []);
  assert.deepEqual(await childrenOf(Deno.pid), before);
  assert.equal(log.count(/Stopped$/), 1);
});

needTest(NEEDS, "stop() while start() rescues what was left behind starts no engine", async () => {
  await using log = await captureLog();
  await using place = await Place.make();
  const { sql, schema } = place.record;
  const folder = journalFolder(join(place.path, "var"));
  await Deno.mkdir(folder, { recursive: true });
  await Deno.writeFile(join(folder, crypto.randomUUID()), new Uint8Array(8));
  const locked = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  const lock = sql.begin(async (tx) => {
    await tx.unsafe(`lock table ${schema}.tasks in access exclusive mode`);
    locked.resolve();
    await release.promise;
  });
  await locked.promise;
  const started = place.supervisor.start().then(() => "started", () => "rejected");
  await eventually(
    async () =>
      (await sql`select from pg_locks where not granted and relation = ${`${schema}.tasks`}::regclass`)
        .length > 0,
    { what: "the rescue to wait" },
  );
  const stopped = place.supervisor.stop(1);
  release.resolve();
  await lock;
  await stopped;
  await started;
  assert.deepEqual(place.supervisor.engines, []);
  assert.equal(log.count(/Starting engine/), 0, log.lines.join("\n"));
});

needTest(NEEDS, "reload() replaces the engine while tasks run, and none of them notices", async () => {
  await using _log = await captureLog();
  await using place = await Place.make();
  await place.supervisor.start();
  const [old] = place.supervisor.engines;
  const queue = place.record.queue();
  const publish = () => queue.publishMany([1, 2, 3].map(() => ({ model: "app", fname: "nap" })));
  const ids = await publish();
  await eventually(async () => (await queue.get(ids[0]!))?.state === 1, { what: "a start" });
  await place.supervisor.reload();
  ids.push(...await publish());
  const ends = await Promise.all(ids.map((id) => queue.wait(id, { timeout: 15 })));
  for (const end of ends) assert.deepEqual([end.state, end.attempts, end.claims], [10, 1, 1]);
  assert.deepEqual(ends.slice(0, 3).map((end) => end.result), [old!.pid, old!.pid, old!.pid]);
  await eventually(() => place.supervisor.engines.length === 1, { what: "the old one's end" });
  const [next] = place.supervisor.engines;
  assert.deepEqual(new Set(ends.slice(3).map((end) => end.result)), new Set([next!.pid]));
  await place.supervisor.stop(5);
  assert.deepEqual([...Deno.readDirSync(journalFolder(join(place.path, "var")))], []);
});

needTest(
  NEEDS,
  "an engine's death and its successor are in the status at once, not at the next beat",
  async () => {
    await using log = await captureLog();
    await using place = await Place.make();
    const { supervisor } = place;
    await supervisor.start();
    try {
      const varFolder = join(place.path, "var");
      const told = async () => (await readStatus(varFolder))?.engines.map(({ pid, state }) => [pid, state]);
      // Beats come every five seconds: right after one, nothing else can tell for a while.
      const beat = (await readStatus(varFolder))?.written;
      await eventually(async () => (await readStatus(varFolder))?.written !== beat, {
        what: "a beat",
        within: 10_000,
      });
      const dead = supervisor.engines[0]!.pid;
      Deno.kill(dead, "SIGKILL");
      await eventually(async () => {
        const engines = await told();
        return engines?.length === 1 && engines[0]?.[0] !== dead && engines[0]?.[1] === "ready";
      }, { what: "the successor in the status", within: 3500 });
      assert.equal(log.count(/Engine died/), 1);
    } finally {
      await supervisor.stop(5);
    }
  },
);

needTest(NEEDS, "stop() does not wait for a loop whose statement takes long", async () => {
  await using log = await captureLog();
  await using place = await Place.make();
  const { record, supervisor } = place;
  const { sql, schema } = record;
  const locked = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  // It stands in the way of new statistics alone.
  const lock = sql.begin(async (tx) => {
    await tx.unsafe(`lock table ${schema}.tasks in share update exclusive mode`);
    locked.resolve();
    await release.promise;
  });
  await locked.promise;
  await record.run(
    `insert into :schema.tasks (model, fname, state) select 'app', 'nap', 10 from generate_series(1, 3000)`,
  );
  const areOutdated = `select from pg_stat_all_tables
    where schemaname = ':schema' and relname = 'tasks' and n_mod_since_analyze > 2000`;
  await eventually(async () => (await record.run(areOutdated)).length > 0, {
    within: 20_000,
    what: "outdated statistics",
  });
  await supervisor.start();
  const waiting = `select from pg_locks where not granted and relation = ':schema.tasks'::regclass`;
  await eventually(async () => (await record.run(waiting)).length > 0, {
    within: 20_000,
    what: "the janitor to renew them",
  });
  const stopped = supervisor.stop(1);
  try {
    await eventually(() => log.count(/Stopped$/) === 1, { within: 20_000, what: "the end" });
  } finally {
    release.resolve();
    await lock;
    await stopped;
  }
});
