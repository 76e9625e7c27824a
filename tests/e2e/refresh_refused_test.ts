import assert from "node:assert/strict";
import { join } from "node:path";
import type { SettingsInput } from "../../src/config.ts";
import { Daemon } from "../support/daemon.ts";
import { eventually } from "../support/fixtures.ts";
import { commit, git } from "../support/git.ts";
import { needTest } from "../support/need.ts";
import { Project } from "../support/tq.ts";

const NEEDS = ["postgres", "redis", "git"] as const;

/** A project under git, with `handlers/shop/Order.js` that tells its version. */
async function makeProject(settings: SettingsInput = {}): Promise<Project> {
  const project = await Project.make({
    servers: "redis",
    handlers: { "shop/Order.js": handler("one") },
    settings: { TQ_PROCESSES: 2, ...settings },
  });
  await Deno.writeTextFile(join(project.path, ".gitignore"), "var\n");
  await git(project.path, "init", "--quiet");
  await commit(project.path);
  return project;
}

function handler(version: string, before = "", inside = ""): string {
  return `${before}
    export default class Order {
      static async run(task) { ${inside} task.completed("${version}"); }
    }`;
}

function deploy(project: Project, text: string): Promise<string> {
  return commit(project.path, { "handlers/shop/Order.js": text });
}

async function runsOn(project: Project): Promise<unknown> {
  const task = await project.ended(await project.queue.publish("shop.Order", "run"), 20_000);
  assert.deepEqual([task.state, task.attempts], [10, 1]);
  return task.result;
}

async function readyPids(daemon: Daemon): Promise<number[]> {
  return (await daemon.status()).engines.filter((one) => one.state === "ready").map((one) => one.pid);
}

/** What is wrong with a deploy, and what the status says of it. */
const BAD: Record<string, { text: string; says: RegExp }> = {
  "a syntax error": {
    text: "export default class Order {",
    says: /handlers\/shop\/Order\.js does not import: .*(Unexpected|Expected).*Order\.js:1/,
  },
  "a module that throws at import": {
    text: handler("bad", `throw new Error("no price list");`),
    says: /handlers\/shop\/Order\.js does not import: no price list \(handlers\/shop\/Order\.js:1/,
  },
  "an import of a missing file": {
    text: handler("bad", `import "./_prices.js";`),
    says: /handlers\/shop\/Order\.js does not import: Module not found "handlers\/shop\/_prices\.js"/,
  },
  "a module that ends its process": {
    text: handler("bad", "Deno.exit(7);"),
    says: /the engine ended before it was ready \(exit code 7\)/,
  },
};

needTest(
  NEEDS,
  "bad deploys: the old code goes on, the status says why, the next good commit is taken",
  async () => {
    await using project = await makeProject();
    await using daemon = await Daemon.start(project);
    const { pid } = await daemon.status();
    let version = "one";
    for (const [what, { text, says }] of Object.entries(BAD)) {
      const before = await readyPids(daemon);
      const bad = await deploy(project, text);
      const { reason } = await daemon.refreshed(bad, "refused");
      assert.match(reason ?? "", says, what);
      const shown = await daemon.command("status");
      const line = shown.stdout.split("\n").find((line) => line.startsWith("refresh"));
      assert.match(line ?? "", new RegExp(`${bad} refused: .*${says.source}`), what);
      assert.equal(await runsOn(project), version, what);
      assert.deepEqual(await readyPids(daemon), before, "the old engines");
      version = `good after ${what}`;
      await daemon.refreshed(await deploy(project, handler(version)), "taken");
      assert.equal(await runsOn(project), version);
    }
    assert.equal((await daemon.status()).pid, pid);
    assert.equal(
      daemon.logged(/ERROR.*New code was refused; the old goes on commit=[0-9a-f]{40} reason=/),
      4,
    );
  },
);

needTest(NEEDS, "what `tq reload` refuses it says, and the old goes on", async () => {
  await using project = await makeProject();
  await using daemon = await Daemon.start(project);
  await Deno.writeTextFile(join(project.path, "handlers/shop/Order.js"), BAD["a syntax error"]!.text);
  const { code, stderr } = await daemon.command("reload");
  assert.equal(code, 1);
  assert.match(stderr, /^tq: the new code was refused: .*handlers\/shop\/Order\.js does not import: /);
  assert.equal(await runsOn(project), "one");
  await Deno.writeTextFile(join(project.path, "handlers/shop/Order.js"), handler("two"));
  assert.equal((await daemon.command("reload")).stdout, "reloaded\n");
  assert.equal(await runsOn(project), "two");
});

needTest(
  NEEDS,
  "engines that die young after a deploy come back more and more slowly, and the status says why",
  async () => {
    await using project = await makeProject({ TQ_PROCESSES: 1 });
    await using daemon = await Daemon.start(project);
    assert.equal((await daemon.status()).trouble, null);
    const bad = await deploy(project, handler("bad", "setTimeout(() => Deno.exit(9), 2000);"));
    await daemon.refreshed(bad, "taken");
    const { trouble } = await eventually(async () => {
      const status = await daemon.status();
      return /, [3-9] in a row/.test(status.trouble ?? "") && status;
    }, { within: 30_000, what: "the trouble" });
    assert.match(trouble!, /^engines die young, \d in a row; the last one: exit code 9$/);
    const shown = await daemon.command("status");
    assert.match(shown.stdout, /^trouble +engines die young, \d+ in a row; the last one: exit code 9$/m);
    await daemon.refreshed(await deploy(project, handler("two")), "taken");
    assert.equal(await runsOn(project), "two");
    await eventually(async () => (await daemon.status()).trouble === null, {
      what: "no trouble",
      within: 20_000,
    });
  },
);

needTest(NEEDS, "no engine is recycled while the code that is there was refused", async () => {
  await using project = await makeProject({ TQ_PROCESSES: 1, TQ_MAX_TASKS: 20, TQ_LEASE: 2 });
  await using daemon = await Daemon.start(project);
  const before = await readyPids(daemon);
  await daemon.refreshed(await deploy(project, BAD["a syntax error"]!.text), "refused");
  const ids = await project.queue.publishMany(
    Array.from({ length: 40 }, () => ({ model: "shop.Order", fname: "run" })),
  );
  for (const id of ids) assert.equal((await project.ended(id)).result, "one");
  // A watchdog that looks every 2.5 s has seen it when a beat and two looks have passed.
  const seen = async () => (await daemon.status()).engines.some((one) => (one.status?.claimed ?? 0) >= 40);
  await eventually(seen, { what: "a beat that tells of 40 tasks", within: 10_000 });
  const since = Date.now();
  await eventually(() => Date.now() - since > 5_500, { what: "two looks of the watchdog", within: 7_000 });
  assert.deepEqual(await readyPids(daemon), before);
  assert.equal(daemon.logged(/Recycling an engine/), 0);
  // Good code is taken; and its engine is recycled again when its time has come.
  await daemon.refreshed(await deploy(project, handler("two")), "taken");
  const more = await project.queue.publishMany(
    Array.from({ length: 40 }, () => ({ model: "shop.Order", fname: "run" })),
  );
  for (const id of more) {
    const task = await project.ended(id);
    assert.deepEqual([task.result, task.attempts, task.claims], ["two", 1, 1]);
  }
  await eventually(() => daemon.logged(/Recycling an engine/) > 0, { what: "recycling", within: 10_000 });
  assert.equal(await runsOn(project), "two");
});
