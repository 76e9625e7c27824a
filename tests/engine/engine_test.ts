import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import type { SettingsInput } from "../../src/config.ts";
import { Engine, RESTARTING } from "../../src/engine/engine.ts";
import { journalFolder } from "../../src/engine/journal.ts";
import type { TaskQueue } from "../../src/publish/queue.ts";
import type { HeldRow } from "../../src/store/mod.ts";
import type { TaskRecord } from "../../src/task.ts";
import { captureLog } from "../support/capture_log.ts";
import { eventually, type TempFolder, tempFolder } from "../support/fixtures.ts";
import { needTest } from "../support/need.ts";
import { TestRecord } from "../support/test_record.ts";

/** Names that a test's handlers write to and read from, in this process. */
const shared = globalThis as unknown as { tqEngineTest: Record<string, unknown> };

/** An engine in this process, on a record of its own. */
class Place implements AsyncDisposable {
  readonly record: TestRecord;
  readonly queue: TaskQueue;
  readonly engine: Engine;
  readonly varFolder: string;
  readonly #folder: TempFolder;
  readonly #settings: SettingsInput;

  private constructor(record: TestRecord, folder: TempFolder, settings: SettingsInput) {
    this.record = record;
    this.#folder = folder;
    this.#settings = settings;
    this.varFolder = join(folder.path, "var");
    this.queue = record.queue();
    this.engine = this.anotherEngine();
  }

  /** One with the same settings; who makes it drains it. */
  anotherEngine(): Engine {
    return new Engine(this.record.settings({ TQ_ROOT: this.#folder.path, ...this.#settings }));
  }

  static async make(handlers: Record<string, string>, settings: SettingsInput = {}): Promise<Place> {
    shared.tqEngineTest = {};
    const folder = await tempFolder();
    for (const [name, text] of Object.entries(handlers)) {
      const path = join(folder.path, "handlers", name);
      await Deno.mkdir(dirname(path), { recursive: true });
      await Deno.writeTextFile(path, text);
    }
    return new Place(await TestRecord.make({ redis: "shared" }), folder, settings);
  }

  /** The task, once it is in this state. */
  async until(id: number, state: number, within = 5000): Promise<TaskRecord> {
    return await eventually(async () => {
      const task = await this.queue.get(id);
      return task?.state === state && task;
    }, { within, what: `task ${id} to be in state ${state}` });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.engine.drain(0);
    await this.record[Symbol.asyncDispose]();
    await this.#folder[Symbol.asyncDispose]();
  }
}

const NEEDS = ["postgres", "redis"] as const;

needTest(NEEDS, "an engine runs what was published, and writes results, notes and defaults", async () => {
  await using place = await Place.make({
    "app/Report.ts": `
      import type { Task } from "@tq/tq";
      export default class Report {
        static tq = { maxAttempts: 2, timeout: 77 };
        static run(task: { data: { n: number }, log(text: string): void, progress(n: number, t: string): void,
          completed(result: unknown): void }) {
          task.log("first");
          task.progress(0.25, "a quarter");
          task.log("last", "warning");
          task.completed({ twice: task.data.n * 2 });
        }
      }`,
    "broken.js": "throw new Error('not today');",
  });
  const { id, commit, problems } = await place.engine.start(place.varFolder);
  assert.equal(id, place.engine.id);
  assert.equal(commit, null);
  assert.deepEqual(problems.map((problem) => problem.file), ["broken.js"]);
  const task = await place.until(await place.queue.publish("app.Report", "run", { n: 21 }), 10);
  assert.deepEqual(task.result, { twice: 42 });
  assert.deepEqual([task.attempts, task.maxAttempts, task.timeoutSeconds, task.engineId], [1, 2, 77, id]);
  const log = await eventually(async () => {
    const lines = await place.record.store().readLog(task.id);
    return lines.length === 3 && lines;
  }, { what: "three lines" });
  assert.deepEqual(log.map(({ kind, text }) => [kind, text]), [
    ["log", "first"],
    ["progress", "a quarter"],
    ["warning", "last"],
  ]);
});

needTest(NEEDS, "the record of a task that runs has its progress", async () => {
  await using place = await Place.make({
    "app.js": `export async function run(task) {
      task.progress(0.25);
      await new Promise((resolve) => task.signal.addEventListener("abort", resolve));
    }`,
  });
  await place.engine.start(place.varFolder);
  const id = await place.queue.publish("app", "run");
  await eventually(async () => (await place.queue.get(id))?.progress === 0.25, { what: "the progress" });
  place.engine.cancel([id]);
});

needTest(
  NEEDS,
  "a claim whose answer was lost goes back at the next beat, uncharged, and is run",
  async () => {
    await using place = await Place.make({
      "app.js": "export function run(task) { task.completed('ran'); }",
    });
    const store = place.record.store();
    const id = await place.queue.publish("app", "run");
    // As if the engine had claimed it, and never heard of it.
    await store.claim([id], place.engine.id);
    await place.engine.start(place.varFolder);
    const row = { id, claims: 1, cancel_requested: false, is_old: true };
    await place.engine.reconcile([{ ...row, cancel_requested: true, is_old: false }]);
    assert.equal((await place.queue.get(id))?.state, 1, "its claim's answer may be on its way");
    // Old claims alone are told of by a supervisor of the tq before, which does not say so.
    await place.engine.reconcile([{ ...row, claims: 7 }]);
    assert.equal(
      (await place.queue.get(id))?.state,
      1,
      "another claim than the record's own changes nothing",
    );
    const { is_old: _, ...told } = row;
    await place.engine.reconcile([told as HeldRow]);
    const task = await place.until(id, 10);
    assert.deepEqual([task.result, task.attempts, task.claims], ["ran", 1, 2]);
    await place.engine.reconcile([row]);
    assert.equal((await place.queue.get(id))?.state, 10, "a beat's answer that is late changes nothing");
  },
);

needTest(NEEDS, "a cancel whose hint was lost is heard at the next beat", async () => {
  await using place = await Place.make({
    "app.js": `export function run(task) {
      return new Promise((_, reject) => task.signal.addEventListener("abort", () => reject(task.signal.reason)));
    }`,
  });
  await place.engine.start(place.varFolder);
  const id = await place.queue.publish("app", "run");
  await place.until(id, 1);
  const store = place.record.store();
  await store.cancel([id], "enough");
  const { held } = await store.beat([place.engine.id]);
  await place.engine.reconcile(held.get(place.engine.id)!);
  const task = await place.until(id, -2);
  assert.equal(task.reason, "enough");
});

needTest(NEEDS, "a run whose task others have by now is aborted, and its end changes nothing", async () => {
  await using log = await captureLog("warning");
  await using place = await Place.make({
    "app.js": `export function run(task) {
      globalThis.tqEngineTest.signal = task.signal;
      return new Promise((resolve) => globalThis.tqEngineTest.end = resolve);
    }`,
  });
  await place.engine.start(place.varFolder);
  const id = await place.queue.publish("app", "run");
  await place.until(id, 1);
  const signal = await eventually(() => shared.tqEngineTest.signal as AbortSignal, { what: "the handler" });
  const store = place.record.store();
  await place.engine.reconcile([]);
  assert.equal(signal.aborted, false, "a claim this young may not be listed yet");
  await store.rescue(place.engine.id, { reason: "engine lost" });
  const other = crypto.randomUUID();
  await store.claim([id], other);
  await eventually(async () => {
    await place.engine.reconcile([]);
    return signal.aborted;
  }, { within: 8_000, what: "the abort" });
  (shared.tqEngineTest.end as () => void)();
  await place.engine.drain(5);
  const task = await place.queue.get(id);
  assert.deepEqual([task?.state, task?.engineId, task?.attempts], [1, other, 0]);
  assert.equal(log.count(/Others have taken tasks that run here; they are aborted count=1/), 1);
});

needTest(NEEDS, "a drain lets tasks end, claims no more, and leaves nothing behind", async () => {
  await using place = await Place.make({
    "app.js": `export function run(task) {
      return new Promise((resolve) => globalThis.tqEngineTest[task.id] = () => { task.completed(1); resolve(); });
    }`,
  }, { TQ_WORKERS: 1 });
  await place.engine.start(place.varFolder);
  const first = await place.queue.publish("app", "run");
  await place.until(first, 1);
  const second = await place.queue.publish("app", "run");
  const end = await eventually(() => shared.tqEngineTest[first] as () => void, { what: "the handler" });
  const drained = place.engine.drain(30);
  end();
  await drained;
  assert.equal((await place.queue.get(first))?.state, 10);
  const task = await place.queue.get(second);
  assert.deepEqual([task?.state, task?.attempts], [0, 0]);
  assert.deepEqual([...Deno.readDirSync(journalFolder(place.varFolder))], []);
  const { sql, schema } = place.record;
  assert.deepEqual([...await sql`select id from ${sql(schema)}.engines`], []);
});

needTest(
  NEEDS,
  "a drain that runs out puts tasks back uncharged, and the ends that handlers chose stand",
  async () => {
    await using place = await Place.make({
      "app.js": `
      const aborted = (task) => new Promise((r) => task.signal.addEventListener("abort", r));
      export async function minds(task) { await aborted(task); task.signal.throwIfAborted(); }
      export async function fails(task) { await aborted(task); task.failed("I chose this"); }
      export function ignores(task) { return new Promise((r) => globalThis.tqEngineTest.release = r); }`,
    });
    await place.engine.start(place.varFolder);
    const ids = await place.queue.publishMany(
      ["minds", "fails", "ignores"].map((fname) => ({ model: "app", fname })),
    );
    for (const id of ids) await place.until(id, 1);
    await eventually(() => shared.tqEngineTest.release, { what: "the last handler" });
    const started = performance.now();
    await place.engine.drain(0);
    assert.ok(performance.now() - started < 5_000);
    const tasks = await Promise.all(ids.map((id) => place.queue.get(id)));
    assert.deepEqual(tasks.map((task) => [task?.state, task?.reason, task?.attempts]), [
      [0, RESTARTING, 0],
      [-1, "I chose this", 1],
      [0, RESTARTING, 0],
    ]);
    (shared.tqEngineTest.release as () => void)();
  },
);

needTest(
  NEEDS,
  "tasks that wait longer than a second for a place go back to those who have one",
  async () => {
    // The first that has others behind it in its engine's line keeps the one place.
    await using place = await Place.make({
      "app.js": `export function run(task) {
        const shared = globalThis.tqEngineTest;
        if (shared.held !== undefined || shared.waiting() === 0) return;
        shared.held = { id: task.id, behind: shared.waiting() };
        return new Promise((resolve) => shared.held.release = resolve);
      }`,
    }, { TQ_WORKERS: 1 });
    shared.tqEngineTest.waiting = () => place.engine.status.waiting;
    const ids = await place.queue.publishMany(
      Array.from({ length: 50 }, () => ({ model: "app", fname: "run" })),
    );
    await place.engine.start(place.varFolder);
    const held = await eventually(
      () => shared.tqEngineTest.held as { id: number; behind: number; release(): void },
      { what: "a task with others behind it" },
    );
    const others = ids.filter((id) => id !== held.id);
    const back = await eventually(async () => {
      const tasks = await Promise.all(others.map((id) => place.queue.get(id)));
      return tasks.every((task) => task?.state !== 1) &&
        tasks.filter((task) => task?.state === 0 && task.claims > 0);
    }, { what: "those behind it to go back" });
    assert.ok(back.length >= held.behind);
    assert.deepEqual(place.engine.status.open, [], "it takes nothing that it cannot run");

    const other = place.anotherEngine();
    await other.start(place.varFolder);
    for (const task of back) {
      const { engineId, attempts } = await place.until(task!.id, 10);
      assert.deepEqual([engineId, attempts], [other.id, 1]);
    }
    await other.drain(0);
    assert.equal((await place.queue.get(held.id))?.state, 1);
    held.release();
    await place.until(held.id, 10);
  },
);

needTest(NEEDS, "a run that has timed out stays so when a drain ends its grace", async () => {
  await using place = await Place.make({
    "app.js": `export function ignores(task) {
      globalThis.tqEngineTest.signal = task.signal;
      return new Promise((r) => globalThis.tqEngineTest.release = r);
    }`,
  });
  await place.engine.start(place.varFolder);
  const id = await place.queue.publish("app", "ignores", {}, { timeout: 1 });
  const signal = await eventually(() => shared.tqEngineTest.signal as AbortSignal, { what: "the handler" });
  await eventually(() => signal.aborted, { what: "its time limit" });
  await place.engine.drain(0);
  const task = await place.queue.get(id);
  assert.deepEqual([task?.state, task?.reason, task?.attempts], [-1, "timed out", 1]);
  (shared.tqEngineTest.release as () => void)();
});

needTest(NEEDS, "a drain does not wait for a handler whose task is over", async () => {
  await using place = await Place.make({
    "app.js": `export function ignores() { return new Promise((r) => globalThis.tqEngineTest.release = r); }`,
  });
  await place.engine.start(place.varFolder);
  const id = await place.queue.publish("app", "ignores", {}, { timeout: 1 });
  const task = await place.until(id, -1, 20_000);
  assert.equal(task.reason, "timed out");
  assert.deepEqual([place.engine.status.running, place.engine.status.stuck], [1, 1]);
  await place.engine.drain(null);
  (shared.tqEngineTest.release as () => void)();
});
