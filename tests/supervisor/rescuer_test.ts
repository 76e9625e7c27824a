import assert from "node:assert/strict";
import { join } from "node:path";
import { createDispatch, type Dispatch } from "../../src/dispatch/mod.ts";
import { Journal, journalFolder } from "../../src/engine/journal.ts";
import { UnreachableError } from "../../src/errors.ts";
import { FileLock } from "../../src/posix.ts";
import { Store } from "../../src/store/mod.ts";
import type { EngineProcess } from "../../src/supervisor/engine_process.ts";
import { Rescuer } from "../../src/supervisor/rescuer.ts";
import { captureLog } from "../support/capture_log.ts";
import { type TempFolder, tempFolder } from "../support/fixtures.ts";
import { needTest } from "../support/need.ts";
import { CHANNEL, publish, recordOf } from "../support/tasks.ts";
import { TestRecord } from "../support/test_record.ts";

const NEEDS = ["postgres", "redis"] as const;
const EXIT: Deno.CommandStatus = { success: false, code: 9, signal: null };

/** A rescuer, and dead engines for it. */
class Scene implements AsyncDisposable {
  readonly record: TestRecord;
  readonly store: Store;
  readonly dispatch: Dispatch;
  readonly rescuer: Rescuer;
  readonly ours = new Set<string>();
  /** How often tasks became suspects. */
  suspected = 0;
  readonly #folder: TempFolder;

  private constructor(record: TestRecord, folder: TempFolder, kind: typeof Store) {
    this.record = record;
    this.#folder = folder;
    this.store = record.storeOf(kind);
    this.dispatch = createDispatch(record.settings(), record.install, this.store.wakeup);
    Deno.mkdirSync(journalFolder(folder.path));
    this.rescuer = new Rescuer({
      store: this.store,
      dispatch: this.dispatch,
      varFolder: folder.path,
      isOurs: (id) => this.ours.has(id),
      suspected: () => this.suspected++,
    });
  }

  static async make(kind: typeof Store = Store): Promise<Scene> {
    return new Scene(await TestRecord.make({ redis: "shared" }), await tempFolder(), kind);
  }

  /** A dead engine that had claimed `count` tasks, of which `inside` are in its journal; returns its id and theirs. */
  async dead(count: number, inside = count): Promise<{ id: string; tasks: number[] }> {
    const id = crypto.randomUUID();
    await this.store.registerEngine({ id, host: "h", pid: 1, codeVersion: "c0de", channels: [CHANNEL] });
    const tasks = await publish(this.store, count);
    await this.store.claim(tasks, id);
    const ids = Float64Array.from([0, ...tasks.slice(0, inside), 0]);
    Deno.writeFileSync(join(journalFolder(this.#folder.path), id), new Uint8Array(ids.buffer));
    return { id, tasks };
  }

  /** The journal of an engine that lives. */
  alive(id: string): Journal {
    return new Journal(this.#folder.path, id, 1);
  }

  /** Where they are. */
  get folder(): string {
    return journalFolder(this.#folder.path);
  }

  get journals(): string[] {
    return [...Deno.readDirSync(journalFolder(this.#folder.path))].map(({ name }) => name);
  }

  async popped(): Promise<number[]> {
    const hints = await this.dispatch.pop([CHANNEL], 1_000, 1, new AbortController().signal);
    return hints.map((hint) => hint.id);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.rescuer.idle();
    await this.dispatch.close();
    await this.record[Symbol.asyncDispose]();
    await this.#folder[Symbol.asyncDispose]();
  }
}

/** What the rescuer sees of an engine's process. */
function processOf(id: string | undefined, more: Partial<EngineProcess> = {}): EngineProcess {
  const identity = id === undefined ? undefined : { id, commit: null, problems: [] };
  return { pid: 1, identity, isDraining: false, death: undefined, ...more } as EngineProcess;
}

needTest(
  NEEDS,
  "what an engine of an earlier supervisor held goes back uncharged, once its lock is free",
  async () => {
    await using scene = await Scene.make();
    await using log = await captureLog();
    const [dead, alive] = [await scene.dead(2), await scene.dead(1)];
    using _locked = scene.alive(alive.id);
    assert.equal(await scene.rescuer.runOnce(), 2_000);
    await scene.rescuer.idle();
    for (const id of dead.tasks) {
      const task = await recordOf(scene.store, id);
      assert.deepEqual([task.state, task.attempts, task.deaths, task.reason], [0, 0, 0, "engine lost"]);
    }
    assert.equal((await recordOf(scene.store, alive.tasks[0]!)).state, 1);
    assert.deepEqual(scene.journals, [alive.id]);
    assert.deepEqual(await scene.popped(), dead.tasks);
    assert.equal((await scene.store.beat([dead.id])).held.has(dead.id), false);
    assert.equal(log.count(/Tasks were taken back engine=\S+ tasks=2 suspects=0$/), 1);
    assert.equal(scene.suspected, 0);
  },
);

needTest(
  NEEDS,
  "the death of an own engine is charged to those inside their handlers, and to nobody else",
  async () => {
    await using scene = await Scene.make();
    await using log = await captureLog();
    const engine = await scene.dead(3, 2);
    scene.ours.add(engine.id);
    // Its lock is free a moment before its supervisor has read all that it printed.
    await scene.rescuer.runOnce();
    await scene.rescuer.idle();
    assert.equal((await recordOf(scene.store, engine.tasks[0]!)).state, 1, "not taken for a stranger's");
    scene.ours.delete(engine.id);
    scene.rescuer.engineEnded(processOf(engine.id), EXIT);
    await scene.rescuer.idle();
    const tasks = await Promise.all(engine.tasks.map((id) => recordOf(scene.store, id)));
    const reason = "worker engine died (exit code 9)";
    assert.deepEqual(tasks.map(({ state, attempts, deaths, reason }) => [state, attempts, deaths, reason]), [
      [2, 1, 1, reason],
      [2, 1, 1, reason],
      [0, 0, 0, reason],
    ]);
    assert.deepEqual(tasks.map((task) => task.codeVersion), ["c0de", "c0de", null]);
    assert.deepEqual(await scene.popped(), [engine.tasks[2]]);
    assert.equal(log.count(/ERROR +supervisor: Engine died pid=1 engine=\S+ how="exit code 9"$/), 1);
    assert.equal(scene.suspected, 1);
    assert.deepEqual(scene.journals, []);
  },
);

needTest(
  NEEDS,
  "an engine that ended well took its journal along: nothing is said, and its row goes",
  async () => {
    await using scene = await Scene.make();
    await using log = await captureLog();
    const engine = await scene.dead(0);
    scene.alive(engine.id)[Symbol.dispose]();
    scene.rescuer.engineEnded(processOf(engine.id, { isDraining: true }), {
      success: true,
      code: 0,
      signal: null,
    });
    await scene.rescuer.idle();
    assert.deepEqual(log.lines, []);
    assert.equal((await scene.store.beat([engine.id])).held.size, 0);
  },
);

needTest(NEEDS, "an engine that died before it was ready is said, unless it was told to end", async () => {
  await using scene = await Scene.make();
  await using log = await captureLog();
  scene.rescuer.engineEnded(processOf(undefined), EXIT);
  scene.rescuer.engineEnded(processOf(undefined, { isDraining: true }), EXIT);
  assert.deepEqual(log.lines, ['ERROR   supervisor: Engine died pid=1 how="exit code 9"']);
});

needTest(NEEDS, "an engine that was killed from here has its tasks told what it was killed for", async () => {
  await using scene = await Scene.make();
  const blocked = await scene.dead(3);
  const death = { reason: "a handler blocked the worker engine", overdue: [blocked.tasks[0]!] };
  scene.rescuer.engineEnded(processOf(blocked.id, { death }), { ...EXIT, signal: "SIGKILL" });
  const stopped = await scene.dead(1);
  const restarting = { reason: "worker engine restarting" };
  scene.rescuer.engineEnded(processOf(stopped.id, { death: restarting, isDraining: true }), EXIT);
  await scene.rescuer.idle();
  const ids = [...blocked.tasks, ...stopped.tasks];
  const tasks = await Promise.all(ids.map((id) => recordOf(scene.store, id)));
  assert.deepEqual(tasks.map(({ state, attempts, reason }) => [state, attempts, reason]), [
    [-1, 1, "timed out"],
    [0, 0, death.reason],
    [0, 0, death.reason],
    [0, 0, restarting.reason],
  ]);
});

needTest(NEEDS, "a rescue that Postgres did not hear of is tried again at a later look", async () => {
  let away = true;
  class Away extends Store {
    override rescue(...args: Parameters<Store["rescue"]>): ReturnType<Store["rescue"]> {
      return away ? Promise.reject(new UnreachableError("away")) : super.rescue(...args);
    }
  }
  await using scene = await Scene.make(Away);
  await using log = await captureLog();
  const engine = await scene.dead(1);
  scene.rescuer.engineEnded(processOf(engine.id), EXIT);
  await scene.rescuer.idle();
  assert.equal(log.count(/Cannot take tasks back yet engine=\S+ error=away$/), 1);
  assert.deepEqual(scene.journals, [engine.id], "kept for the next look");
  away = false;
  await scene.rescuer.runOnce();
  await scene.rescuer.idle();
  assert.equal((await recordOf(scene.store, engine.tasks[0]!)).state, 0);
  assert.deepEqual(scene.journals, []);
});

needTest(NEEDS, "the lock of a dead engine is held until its rescue is done", async () => {
  const asked = Promise.withResolvers<void>();
  const answer = Promise.withResolvers<void>();
  class Slow extends Store {
    override async rescue(...args: Parameters<Store["rescue"]>): ReturnType<Store["rescue"]> {
      asked.resolve();
      await answer.promise;
      return await super.rescue(...args);
    }
  }
  await using scene = await Scene.make(Slow);
  const { id } = await scene.dead(1);
  await scene.rescuer.runOnce();
  await asked.promise;
  assert.equal(FileLock.isHeld(join(scene.folder, id)), true);
  answer.resolve();
  await scene.rescuer.idle();
  assert.deepEqual(scene.journals, []);
});

needTest(NEEDS, "what is no journal stays where it is, and is passed over", async () => {
  await using scene = await Scene.make();
  await using log = await captureLog();
  const starting = `.${crypto.randomUUID()}`;
  for (const name of [".gitkeep", starting, "notes"]) await Deno.writeTextFile(join(scene.folder, name), "");
  const folder = crypto.randomUUID();
  await Deno.mkdir(join(scene.folder, folder));
  await scene.rescuer.runOnce();
  await scene.rescuer.idle();
  assert.deepEqual(scene.journals.sort(), [".gitkeep", starting, "notes", folder].sort());
  assert.deepEqual(log.lines, []);
});
