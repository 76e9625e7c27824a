import assert from "node:assert/strict";
import { join } from "node:path";
import type { TaskRecord } from "../../src/task.ts";
import { SCHEMA_LEVEL } from "../../src/store/migrate.ts";
import { Daemon } from "../support/daemon.ts";
import { eventually, type TempFolder, tempFolder } from "../support/fixtures.ts";
import { needTest } from "../support/need.ts";
import { childrenOf, livingOf, processTable, signal } from "../support/processes.ts";
import { Project, REPOSITORY } from "../support/tq.ts";

const NEEDS = ["postgres", "redis", "linux"] as const;

const HANDLERS = {
  "work.js": `export async function nap(task) {
    await new Promise((resolve) => setTimeout(resolve, task.data.ms));
    task.completed(Deno.pid);
  }
  export function computes(task) {
    while (!exists("go"));
    task.completed(Deno.pid);
  }
  function exists(path) {
    try {
      return Deno.statSync(path).isFile;
    } catch {
      return false;
    }
  }`,
};

/** A copy of tq that a test may change. */
async function copyOfTq(): Promise<TempFolder> {
  const folder = await tempFolder();
  const { success } = await new Deno.Command("cp", {
    args: ["-r", ...["src", "migrations", "main.ts", "mod.ts", "deno.json"], folder.path],
    cwd: REPOSITORY,
  }).output();
  assert.ok(success);
  return folder;
}

/** Replaces a text in one of the copy's files, in one moment, as a package manager would. */
async function edit(copy: TempFolder, file: string, from: string | RegExp, to: string): Promise<void> {
  const path = join(copy.path, file);
  const text = await Deno.readTextFile(path);
  assert.notEqual(text.replace(from, to), text);
  await Deno.writeTextFile(`${path}.new`, text.replace(from, to));
  await Deno.rename(`${path}.new`, path);
}

function fieldsOf({ state, attempts, claims, reason }: TaskRecord) {
  return [state, attempts, claims, reason];
}

const version = (copy: TempFolder, text: string) =>
  edit(copy, "deno.json", /"version": "[^"]+"/, `"version": "${text}"`);

/** Publishes short tasks all the time. */
class Load implements AsyncDisposable {
  readonly ids: number[] = [];
  readonly #running: Promise<void>;
  #stopped = false;

  constructor(project: Project) {
    this.#running = this.#run(project);
  }

  async #run(project: Project): Promise<void> {
    while (!this.#stopped) {
      this.ids.push(await project.queue.publish("work", "nap", { ms: 20 }));
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

needTest(
  NEEDS,
  "a new tq takes the place of the old one: the same process, and no task notices",
  async () => {
    await using copy = await copyOfTq();
    await using project = await Project.make({
      servers: "redis",
      handlers: HANDLERS,
      settings: { TQ_PROCESSES: 2, TQ_WORKERS: 4 },
      program: copy.path,
    });
    await using daemon = await Daemon.start(project);
    const { pid, engines } = await daemon.status();
    const old = engines.map((engine) => engine.pid);
    const long = await project.queue.publish("work", "nap", { ms: 12_000 });
    await project.started(long);
    const load = new Load(project);
    await using _load = load;

    // Two in a row: the second finds engines that the first has left to it.
    for (const text of ["9.9.1", "9.9.2"]) {
      await version(copy, text);
      await eventually(async () => {
        const status = await daemon.status();
        return status.version === text && status.refresh?.outcome === "taken";
      }, { within: 40_000, what: `version ${text}` });
      assert.equal((await daemon.command("--version")).stdout.includes(text), true);
      const status = await daemon.status();
      assert.equal(status.pid, pid, "the same process");
      assert.equal(status.engines.filter((engine) => engine.state === "ready").length, 2);
    }
    await load.stop();
    for (const id of load.ids) {
      const task = await project.ended(id);
      assert.deepEqual([task.state, task.attempts, task.claims], [10, 1, 1], `task ${id}`);
    }
    const ended = await project.ended(long, 20_000);
    assert.deepEqual([ended.attempts, ended.claims, old.includes(ended.result as number)], [1, 1, true]);

    // The old engines are gone, reaped, and off the record.
    await eventually(async () => {
      const table = await processTable();
      return old.every((one) => !table.has(one)) && (await daemon.status()).engines.length === 2;
    }, { within: 20_000, what: "the end of the old engines" });
    const { sql, schema } = project.record!;
    await eventually(async () => (await sql`select from ${sql(schema)}.engines`).length === 2, {
      what: "two engines in the record",
    });
    const stopped = await daemon.command("stop");
    assert.equal(stopped.stdout, "stopped\n");
    assert.equal((await sql`select from ${sql(schema)}.engines`).length, 0);
  },
);

needTest(
  NEEDS,
  "a new tq that brings a migration runs it before its engines, and no task notices",
  async () => {
    await using copy = await copyOfTq();
    await using project = await Project.make({ servers: "redis", handlers: HANDLERS, program: copy.path });
    await using daemon = await Daemon.start(project);
    const { pid } = await daemon.status();
    await using load = new Load(project);
    const level = SCHEMA_LEVEL + 1;
    await Deno.writeTextFile(
      join(copy.path, `migrations/${String(level).padStart(4, "0")}_more.sql`),
      "-- min_program: 1\nalter table :schema.tasks add column more integer;\n",
    );
    await edit(copy, "src/store/migrate.ts", `SCHEMA_LEVEL = ${SCHEMA_LEVEL}`, `SCHEMA_LEVEL = ${level}`);
    await version(copy, "9.9.9");
    const status = await eventually(async () => {
      const status = await daemon.status();
      return status.version === "9.9.9" && status.refresh?.outcome === "taken" && status;
    }, { within: 40_000, what: "the new tq" });
    assert.equal(status.pid, pid);
    const { sql, schema } = project.record!;
    const id = status.engines.find((engine) => engine.state === "ready")!.id;
    const [times] = await sql`
    select m.applied_at < e.started_at as first from ${sql(schema)}.migrations m, ${sql(schema)}.engines e
    where m.version = ${level} and e.id = ${id}`;
    assert.equal(times?.first, true);
    await load.stop();
    for (const id of load.ids) {
      const task = await project.ended(id);
      assert.deepEqual([task.state, task.attempts, task.claims], [10, 1, 1], `task ${id}`);
    }
    assert.equal((await daemon.command("stop")).stdout, "stopped\n");
  },
);

needTest(NEEDS, "a new tq that does not import is refused; the next one is taken", async () => {
  await using copy = await copyOfTq();
  await using project = await Project.make({ servers: "redis", handlers: HANDLERS, program: copy.path });
  await using daemon = await Daemon.start(project);
  const { pid, version: before } = await daemon.status();
  await edit(copy, "src/supervisor/places.ts", "export class Places {", "export class Places {{");
  const refused = await eventually(() => {
    const { refresh } = JSON.parse(daemon.read("status.json"));
    return refresh?.outcome === "refused" && refresh;
  }, { within: 20_000, what: "a refusal" });
  assert.match(refused.reason, /^the new tq does not run: .*places\.ts/);
  await edit(copy, "src/supervisor/places.ts", "export class Places {{", "export class Places {");
  await version(copy, "9.9.9");
  const status = await eventually(async () => {
    const status = await daemon.status();
    return status.version === "9.9.9" && status.ready && status;
  }, { within: 30_000, what: "the new one" });
  assert.notEqual(before, status.version);
  assert.equal(status.pid, pid);
});

needTest(
  NEEDS,
  "an old engine that computes keeps its task beyond the lease; one that never ends is ended past its limit",
  async () => {
    await using copy = await copyOfTq();
    await using project = await Project.make({
      servers: "redis",
      handlers: HANDLERS,
      settings: { TQ_PROCESSES: 2, TQ_WORKERS: 1, TQ_LEASE: 2 },
      program: copy.path,
    });
    await using daemon = await Daemon.start(project);
    const { engines } = await daemon.status();
    const computes = await project.queue.publish("work", "computes");
    await project.started(computes);
    const endless = await project.queue.publish("work", "computes", {}, { timeout: 10 });
    await project.started(endless);
    const { engineId } = (await project.queue.get(computes))!;
    await version(copy, "9.9.9");
    await eventually(async () => {
      const { version, ready } = await daemon.status();
      return version === "9.9.9" && ready;
    }, { within: 40_000, what: "the new one" });
    assert.deepEqual(fieldsOf(await project.ended(endless, 40_000)), [-1, 1, 1, "timed out"]);

    // By then the lease has run out ten times over, if nobody beat.
    const { sql, schema } = project.record!;
    const [old] = await sql`select beat_at > now() - interval '2 seconds' as beats
      from ${sql(schema)}.engines where id = ${engineId!}`;
    assert.equal(old?.beats, true);
    await Deno.writeTextFile(join(project.path, "go"), "");
    const ended = await project.ended(computes);
    assert.deepEqual(fieldsOf(ended), [10, 1, 1, null]);
    assert.ok(engines.some((engine) => engine.pid === ended.result));
  },
);

needTest(NEEDS, "a stop while old engines drain waits for what they run, as long as for all", async () => {
  await using copy = await copyOfTq();
  await using project = await Project.make({
    servers: "redis",
    handlers: HANDLERS,
    settings: { TQ_DRAIN_TIMEOUT: 1 },
    program: copy.path,
  });
  await using daemon = await Daemon.start(project);
  const { pid, engines } = await daemon.status();
  const long = await project.queue.publish("work", "nap", { ms: 60_000 });
  await project.started(long);
  await version(copy, "9.9.9");
  await eventually(async () => {
    const status = await daemon.status();
    return status.version === "9.9.9" && status.engines.some((engine) => engine.state === "draining");
  }, { within: 30_000, what: "an old engine that drains" });
  assert.equal((await childrenOf(pid)).length, 2);
  assert.equal((await daemon.command("stop")).stdout, "stopped\n");
  const table = await processTable();
  assert.deepEqual(engines.filter((engine) => table.has(engine.pid)), [], "it is gone with its supervisor");
  const task = await project.queue.get(long);
  assert.deepEqual([task?.state, task?.attempts, task?.reason], [0, 0, "worker engine restarting"]);
});

needTest(NEEDS, "a stop that comes while a new tq is looked at is not lost", async () => {
  await using copy = await copyOfTq();
  await using project = await Project.make({ servers: "redis", handlers: HANDLERS, program: copy.path });
  await using daemon = await Daemon.start(project);
  const { pid } = await daemon.status();
  const supervisor = (await processTable()).get(pid)!;
  await version(copy, "9.9.9");
  await eventually(() => daemon.logged(/Other code is there/) > 0, { what: "the new tq", within: 20_000 });
  signal(pid, "SIGTERM");
  await eventually(async () => (await livingOf([supervisor])).length === 0, {
    what: "its end",
    within: 30_000,
  });
  assert.equal((await daemon.command("status")).code, 1);
  assert.equal(daemon.logged(/ Stopped$/), 1);
  assert.equal(daemon.logged(/ERROR/), 0);
});

needTest(
  NEEDS,
  "after a replacement that failed the old tq goes on, with its upkeep",
  async () => {
    await using copy = await copyOfTq();
    await edit(copy, "src/posix.ts", "libc().execv(", "void (");
    await using project = await Project.make({ servers: "redis", handlers: HANDLERS, program: copy.path });
    await using daemon = await Daemon.start(project);
    await eventually(async () => (await daemon.status()).leader, { what: "the leadership", within: 10_000 });
    await version(copy, "9.9.9");
    const refused = await eventually(() => {
      const { refresh } = JSON.parse(daemon.read("status.json"));
      return refresh?.outcome === "refused" && refresh;
    }, { within: 20_000, what: "a refusal" });
    assert.match(refused.reason, /^cannot run /);
    // What is due is made ready by the leader alone.
    const due = await project.queue.publish("work", "nap", { ms: 1 }, { delay: 1 });
    assert.equal((await project.ended(due, 15_000)).state, 10);
    assert.equal((await daemon.command("stop")).stdout, "stopped\n");
  },
);

needTest(NEEDS, "where the system cannot replace a program, tq drains and ends", async () => {
  await using copy = await copyOfTq();
  await edit(copy, "src/posix.ts", 'Deno.build.os === "linux"', "false");
  await using project = await Project.make({ servers: "redis", handlers: HANDLERS, program: copy.path });
  await using daemon = await Daemon.start(project);
  const { pid } = await daemon.status();
  const supervisor = (await processTable()).get(pid)!;
  const last = await project.queue.publish("work", "nap", { ms: 2_000 });
  await project.started(last);
  await version(copy, "9.9.9");
  await eventually(async () => (await livingOf([supervisor])).length === 0, {
    what: "its end",
    within: 30_000,
  });
  assert.equal((await project.ended(last)).attempts, 1);
  assert.equal(daemon.logged(/ Stopped$/), 1);
  assert.equal(daemon.logged(/refused|ERROR/), 0, daemon.read("tq_worker.log"));
});
