import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import type { SettingsInput } from "../../src/config.ts";
import { journalFolder } from "../../src/engine/journal.ts";
import { EngineProcess, type EngineProcessOptions } from "../../src/supervisor/engine_process.ts";
import { captureLog } from "../support/capture_log.ts";
import { eventually, type TempFolder, tempFolder } from "../support/fixtures.ts";
import { needTest } from "../support/need.ts";
import { TestRecord } from "../support/test_record.ts";

/** A place for engine processes. */
class Place implements AsyncDisposable {
  readonly record: TestRecord;
  readonly path: string;
  /** What engines wrote into the log. */
  readonly lines: string[] = [];
  readonly #folder: TempFolder;
  readonly #engines: EngineProcess[] = [];

  private constructor(record: TestRecord, folder: TempFolder) {
    this.record = record;
    this.#folder = folder;
    this.path = folder.path;
  }

  static async make(handlers: Record<string, string> = {}): Promise<Place> {
    const folder = await tempFolder();
    await Deno.mkdir(join(folder.path, "handlers"));
    for (const [name, text] of Object.entries(handlers)) {
      const path = join(folder.path, "handlers", name);
      await Deno.mkdir(dirname(path), { recursive: true });
      await Deno.writeTextFile(path, text);
    }
    return new Place(await TestRecord.make(), folder);
  }

  spawn(how: Partial<EngineProcessOptions> = {}, more: SettingsInput = {}): EngineProcess {
    const settings = this.record.settings({ TQ_ROOT: this.path, ...more });
    const engine = new EngineProcess({
      environment: settings.given,
      folder: this.path,
      writeLine: (line) => this.lines.push(line),
      ...how,
    });
    this.#engines.push(engine);
    return engine;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const engine of this.#engines) engine.kill();
    await Promise.all(this.#engines.map((engine) => engine.exited));
    await this.record[Symbol.asyncDispose]();
    await this.#folder[Symbol.asyncDispose]();
  }
}

needTest(
  ["postgres"],
  "an engine says who it is when it takes tasks, answers beats, and drains to a clean end",
  async () => {
    await using log = await captureLog();
    await using place = await Place.make({
      "app.js": `const write = (to, text) => to.writeSync(new TextEncoder().encode(text + "\\n"));
        export function run(task) { write(Deno.stdout, "printed " + task.id); write(Deno.stderr, "and this"); }`,
      "broken.js": "throw new Error('not today');",
    });
    const engine = place.spawn();
    assert.equal(engine.identity, undefined);
    const ready = await engine.ready;
    assert.equal(engine.identity, ready);
    assert.match(ready.id, /^[0-9a-f-]{36}$/);
    assert.deepEqual(ready.problems.map(({ file }) => file), ["broken.js"]);
    assert.ok(place.lines.some((line) => /ERROR +engine: Handler module does not import/.test(line)));
    assert.deepEqual([engine.status, engine.silentFor], [undefined, 0]);
    engine.send({ type: "held", rows: [] });
    const status = await eventually(() => engine.status, { what: "its answer" });
    assert.equal(engine.silentFor, 0);
    assert.equal(status.claimed, 0);
    assert.deepEqual(status.open.toSorted(), ["tq_app_handler", "tq_hook", "tq_model_handler"]);
    const queue = place.record.queue();
    const id = await queue.publish("app", "run");
    assert.equal((await queue.wait(id, { timeout: 10 })).engineId, ready.id);
    await eventually(() => log.count(/Handler printed/) === 2, { what: "what it printed" });
    assert.equal(
      log.count(new RegExp(`INFO +handler: Handler printed engine=${engine.pid} text="printed ${id}"$`)),
      1,
    );
    assert.equal(log.count(/Handler printed engine=\d+ text="and this"$/), 1);
    assert.equal(engine.isDraining, false);
    engine.drain(5);
    assert.equal(engine.isDraining, true);
    assert.deepEqual((await engine.exited).code, 0);
    assert.deepEqual([...Deno.readDirSync(journalFolder(join(place.path, "var")))], []);
    engine.send({ type: "cancel", ids: [1] });
    engine.kill();
  },
);

needTest(["postgres"], "an engine that is killed leaves its journal, and says how it ended", async () => {
  await using place = await Place.make();
  const engine = place.spawn();
  const { id } = await engine.ready;
  engine.kill({ reason: "it was deaf", suspects: [] });
  engine.kill({ reason: "a second time" });
  const status = await engine.exited;
  assert.equal(status.signal, "SIGKILL");
  assert.equal(engine.death?.reason, "it was deaf");
  assert.deepEqual([...Deno.readDirSync(journalFolder(join(place.path, "var")))].map(({ name }) => name), [
    id,
  ]);
});

needTest(["postgres"], "an engine that ends before it is ready rejects whoever waits for it", async () => {
  await using place = await Place.make();
  const engine = place.spawn();
  engine.kill();
  await assert.rejects(engine.ready, /ended before it was ready/);
  assert.equal(engine.identity, undefined);
});

needTest(["postgres"], "an engine that cannot start says why", async () => {
  await using place = await Place.make();
  const nowhere = new URL(place.record.url);
  nowhere.pathname = "/tq_test_nowhere";
  const engine = place.spawn({}, { TQ_DATABASE_URL: nowhere.href });
  await assert.rejects(engine.ready, /^TqError: the engine cannot start: Postgres refused the connection/);
  assert.equal((await engine.exited).code, 1);
});

needTest(["postgres"], "a strict engine refuses to start when a handler module does not import", async () => {
  await using place = await Place.make({ "broken.js": "throw new Error('not today');" });
  const strict = place.spawn({ strict: true });
  await assert.rejects(strict.ready, /the engine cannot start: .*broken\.js does not import: not today/);
  await place.spawn().ready;
});

needTest(["postgres"], "an engine for one suspect runs that alone, and ends", async () => {
  await using place = await Place.make({
    "app.js": "export function run(task) { task.completed(Deno.pid); }",
  });
  const queue = place.record.queue();
  const [suspect, other] = await queue.publishMany([1, 2].map(() => ({ model: "app", fname: "run" })));
  const tasks = place.record.sql(`${place.record.schema}.tasks`);
  await place.record.sql`update ${tasks} set deaths = 1 where id = ${suspect!}`;
  const engine = place.spawn({ only: suspect! });
  engine.ready.then(() => engine.send({ type: "held", rows: [] }), () => {});
  assert.equal((await engine.exited).code, 0);
  assert.equal((await queue.get(suspect!))?.result, engine.pid);
  assert.equal((await queue.get(other!))?.state, 0);
  assert.deepEqual(engine.status?.open, [], "it would take no other, so it is not deaf");
});

needTest(
  ["postgres"],
  "what an engine's own child holds open keeps nobody waiting for the engine's end",
  async () => {
    await using place = await Place.make({
      "app.js": `export function run() {
      const child = new Deno.Command("sleep", { args: ["20"], stdout: "inherit", stderr: "inherit" }).spawn();
      child.unref();
      Deno.writeTextFileSync(import.meta.dirname + "/child", String(child.pid));
      Deno.exit(7);
    }`,
    });
    const engine = place.spawn();
    await engine.ready;
    const since = performance.now();
    await place.record.queue().publish("app", "run");
    const { code } = await engine.exited;
    assert.equal(code, 7);
    assert.ok(performance.now() - since < 10_000);
    Deno.kill(Number(Deno.readTextFileSync(join(place.path, "handlers/child"))), "SIGKILL");
  },
);
