import assert from "node:assert/strict";
import { join } from "node:path";
import { dropSchema, eventually, testSchema } from "../support/fixtures.ts";
import { needTest } from "../support/need.ts";
import { signal } from "../support/processes.ts";
import { Project } from "../support/tq.ts";
import type { SupervisorStatus } from "../../src/supervisor/status_file.ts";

const WORK = `export default class Work {
  static async on_tq_work(task) { await new Promise((r) => setTimeout(r, task.data.ms ?? 0)); task.completed("VERSION"); }
  static on_tq_print(task) { console.log("printed by", task.id); }
}`;

/** A project with a handler, under git. */
async function gitProject(): Promise<Project> {
  const project = await Project.make({
    servers: "redis",
    handlers: { "t/Work.js": WORK.replace("VERSION", "one") },
    settings: { TQ_PROCESSES: 2 },
  });
  await Deno.writeTextFile(join(project.path, ".gitignore"), "var\n");
  await git(project, "init", "--quiet");
  await commit(project, "one");
  return project;
}

async function git(project: Project, ...args: string[]): Promise<string> {
  const config = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"];
  const { success, stdout, stderr } = await new Deno.Command("git", {
    args: ["-C", project.path, ...config, ...args],
  })
    .output();
  assert.ok(success, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout).trim();
}

async function commit(project: Project, subject: string): Promise<string> {
  await git(project, "add", "-A");
  await git(project, "commit", "--quiet", "-m", subject);
  return await git(project, "rev-parse", "HEAD");
}

async function status(project: Project): Promise<SupervisorStatus> {
  return JSON.parse((await project.command("status", "--json")).stdout).supervisor;
}

/** Ends whatever was started, also when a test fails. */
function stopping(project: Project): AsyncDisposable {
  return { [Symbol.asyncDispose]: async () => void await project.command("stop", "--now") };
}

async function ran(project: Project): Promise<unknown> {
  const id = await project.queue.publish("t.Work", "on_tq_work");
  return (await project.queue.wait(id, { timeout: 15 })).result;
}

needTest(["postgres"], "tq start --no-migrate leaves the schema as it is, and so does restart", async () => {
  await using project = await Project.make({ servers: "postgres", handlers: { "app.js": "" } });
  await using _ = stopping(project);
  const { sql } = project.record!;
  const schema = testSchema();
  const at = (...args: string[]) => project.commandIn({ TQ_SCHEMA: schema }, ...args);
  const made = async () => (await sql`select from pg_namespace where nspname = ${schema}`).length;
  try {
    for (const name of ["start", "restart"]) {
      const { code, stderr } = await at(name, "--no-migrate");
      assert.equal(code, 1, stderr);
      assert.match(stderr, /^tq: the engine did not start: .*: run tq migrate\n$/);
      assert.equal(await made(), 0);
    }
    assert.equal((await at("migrate")).code, 0);
    assert.match(
      (await at("start", "--no-migrate")).stdout,
      /^started, as process \d+ with 1 engine processes\n$/,
    );
    assert.equal((await at("stop")).stdout, "stopped\n");
  } finally {
    await dropSchema(schema);
  }
});

needTest(
  ["postgres", "redis"],
  "start, status, a second start, stop: one supervisor, and clear words",
  async () => {
    await using project = await gitProject();
    await using _stop = stopping(project);
    const started = await project.command("start");
    assert.equal(started.code, 0, started.stderr);
    assert.match(started.stdout, /^started, as process \d+ with 2 engine processes\n$/);
    const again = await project.command("start");
    assert.equal(again.code, 1);
    assert.match(
      again.stderr,
      /^tq: the engine runs already, as process \d+: use tq restart or tq reload\n$/,
    );
    assert.equal(await ran(project), "one");
    const told = await status(project);
    assert.equal(told.commit, await git(project, "rev-parse", "HEAD"));
    assert.deepEqual(told.engines.map((engine) => engine.state), ["ready", "ready"]);
    const stopped = await project.command("stop");
    assert.equal(stopped.stdout, "stopped\n");
    const after = await project.command("status");
    assert.equal(after.code, 1);
    assert.match(after.stdout, /does not run/);
    assert.equal((await project.command("stop")).stdout, "the engine does not run\n");
  },
);

needTest(["postgres", "redis"], "six starts at once give one supervisor", async () => {
  await using project = await gitProject();
  await using _stop = stopping(project);
  const ends = await Promise.all(Array.from({ length: 6 }, () => project.command("start")));
  assert.equal(ends.filter((end) => end.code === 0).length, 1, JSON.stringify(ends));
  assert.equal((await status(project)).engines.length, 2);
});

needTest(["postgres", "redis"], "a start that fails says why", async () => {
  await using project = await gitProject();
  // A newer tq was here, and says that none as old as this one may run.
  const newer =
    `insert into :schema.migrations (version, name, checksum, min_program) values (99, 'later', '', 99)`;
  await project.record!.run(newer);
  const { code, stderr } = await project.command("start");
  assert.equal(code, 1);
  assert.match(stderr, /the engine did not start.*upgrade tq/s);
});

needTest(
  ["postgres", "redis"],
  "a commit is taken without a gap, a bad one is refused, the next good one is taken",
  async () => {
    await using project = await gitProject();
    await using _stop = stopping(project);
    await project.command("start");
    const { pid } = await status(project);
    const long = await project.queue.publish("t.Work", "on_tq_work", { ms: 4000 });
    await project.until(long, (task) => task.state === 1);
    const file = join(project.path, "handlers/t/Work.js");
    await Deno.writeTextFile(file, WORK.replace("VERSION", "two"));
    const second = await commit(project, "two");
    await taken(project, second, "taken");
    assert.equal(await ran(project), "two");

    await Deno.writeTextFile(file, "export default class {");
    const bad = await commit(project, "bad");
    const refused = await taken(project, bad, "refused");
    assert.match(refused.reason ?? "", /t\/Work\.js does not import/);
    assert.equal(await ran(project), "two");

    await Deno.writeTextFile(file, WORK.replace("VERSION", "three"));
    await taken(project, await commit(project, "three"), "taken");
    assert.equal(await ran(project), "three");
    // Begun on the first commit, ended by the engine that began it.
    const ended = await project.queue.wait(long, { timeout: 10 });
    assert.deepEqual([ended.result, ended.attempts, ended.claims], ["one", 1, 1]);
    assert.equal((await status(project)).pid, pid);
  },
);

async function taken(project: Project, commit: string, outcome: "taken" | "refused") {
  return await eventually(async () => {
    const { refresh } = await status(project);
    return refresh?.commit === commit && refresh.outcome === outcome && refresh;
  }, { within: 20_000, what: `commit ${commit} ${outcome}` });
}

needTest(["postgres", "redis"], "git status, fetch, gc, stash and branches refresh nothing", async () => {
  await using project = await gitProject();
  await using _stop = stopping(project);
  await project.command("start");
  await git(project, "status");
  await git(project, "gc", "--quiet");
  await git(project, "branch", "other");
  await git(project, "branch", "-D", "other");
  await git(project, "stash", "list");
  await git(project, "fetch", "--quiet", ".");
  // A real change is seen after all that: its refresh is the first.
  await Deno.writeTextFile(join(project.path, "handlers/t/Work.js"), WORK.replace("VERSION", "two"));
  await taken(project, await commit(project, "two"), "taken");
  const log = await Deno.readTextFile(join(project.varFolder, "tq_worker.log"));
  assert.equal(log.match(/Other code is there/g)?.length, 1, log);
});

needTest(
  ["postgres", "redis"],
  "periodic starts a killed engine again, and is silent when all is well",
  async () => {
    await using project = await gitProject();
    await using _stop = stopping(project);
    const first = await project.command("periodic");
    assert.match(first.stdout, /^the engine did not run; started, as process \d+\n$/);
    const silent = await project.command("periodic");
    assert.deepEqual([silent.code, silent.stdout, silent.stderr], [0, "", ""]);
    const long = await project.queue.publish("t.Work", "on_tq_work", { ms: 2000 });
    await project.until(long, (task) => task.state === 1);
    signal((await status(project)).pid, "SIGKILL");
    const both = await Promise.all([project.command("periodic"), project.command("periodic")]);
    assert.deepEqual(both.map((end) => end.code), [0, 0], JSON.stringify(both));
    assert.equal(await ran(project), "one");
    const ended = await project.queue.wait(long, { timeout: 15 });
    assert.deepEqual([ended.attempts, ended.claims], [1, 1], "the engine that was left has ended it");
  },
);

needTest(
  ["postgres", "redis"],
  "reload, logs and logs --task; what a handler prints is in both logs",
  async () => {
    await using project = await gitProject();
    await using _stop = stopping(project);
    await project.command("start");
    assert.equal((await project.command("reload")).stdout, "reloaded\n");
    const id = await project.queue.publish("t.Work", "on_tq_print");
    await project.queue.wait(id, { timeout: 15 });
    await eventually(async () => {
      const [log, own] = await Promise.all([
        project.command("logs", "--lines", "100"),
        project.command("logs", "--task", String(id)),
      ]);
      return log.stdout.includes(`Handler printed task=${id} text="printed by ${id}"`) &&
        own.stdout.includes(`log: printed by ${id}`);
    }, { within: 10_000, what: "the line in both logs" });
  },
);
