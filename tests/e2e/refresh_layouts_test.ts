import assert from "node:assert/strict";
import { join } from "node:path";
import { Daemon } from "../support/daemon.ts";
import { eventually, tempFolder } from "../support/fixtures.ts";
import { commit, git, head, repository } from "../support/git.ts";
import { needTest } from "../support/need.ts";
import { signal } from "../support/processes.ts";
import { Project } from "../support/tq.ts";

const NEEDS = ["postgres", "redis", "git"] as const;

/** A handler that tells its version, in a module that it imports. */
const files = (version: string, folder = "handlers/") => ({
  [`${folder}work.js`]: `import { version } from "./_lib/version.js";
    export const run = (task) => task.completed(version);`,
  [`${folder}_lib/version.js`]: `export const version = "${version}";`,
});

/** A project without handlers of its own. */
function emptyProject(): Promise<Project> {
  return Project.make({ servers: "redis", handlers: {}, settings: { TQ_PROCESSES: 2 } });
}

/** What a task runs on now: the version of the code, and the commit on its row. */
async function runsOn(project: Project): Promise<[unknown, string | null]> {
  const { result, codeVersion } = await project.ended(await project.queue.publish("work", "run"), 20_000);
  return [result, codeVersion];
}

needTest(NEEDS, "handlers in a submodule: its own commit is taken, and so is its parent's", async () => {
  await using project = await emptyProject();
  await using jobs = await repository();
  await commit(jobs.path, files("one", ""));
  const { path } = project;
  await git(path, "init", "--quiet");
  await Deno.writeTextFile(join(path, ".gitignore"), "var\n");
  await git(path, "submodule", "--quiet", "add", jobs.path, "handlers");
  const first = await commit(path);
  await using daemon = await Daemon.start(project);
  assert.deepEqual(await runsOn(project), ["one", first]);

  // The way of `git pull && git submodule update`: the parent names another commit before the files are there.
  await commit(jobs.path, files("two", ""));
  await git(join(path, "handlers"), "pull", "--quiet");
  await daemon.refreshed(first, "taken");
  assert.deepEqual(await runsOn(project), ["two", first]);
  const second = await commit(path);
  await daemon.refreshed(second, "taken");
  assert.deepEqual(await runsOn(project), ["two", second]);
  assert.equal(daemon.logged(/Other code is there/), 2);
});

needTest(NEEDS, "a root that is a worktree of a repository with packed refs", async () => {
  await using project = await emptyProject();
  await using main = await repository();
  await Deno.writeTextFile(join(main.path, ".gitignore"), "var\n");
  await git(main.path, "branch", "server");
  await git(main.path, "worktree", "add", "--quiet", "--force", project.path, "server");
  const first = await commit(project.path, files("one"));
  await git(main.path, "pack-refs", "--all");
  await using daemon = await Daemon.start(project);
  assert.deepEqual(await runsOn(project), ["one", first]);
  const second = await commit(project.path, files("two"));
  await daemon.refreshed(second, "taken");
  assert.deepEqual(await runsOn(project), ["two", second]);
  await commit(main.path, files("three"));
  await git(project.path, "merge", "--quiet", "-X", "theirs", "--message=x", "main");
  const third = await head(project.path);
  await daemon.refreshed(third, "taken");
  assert.deepEqual(await runsOn(project), ["three", third]);
  assert.equal(daemon.logged(/Other code is there/), 2, "the commit on main was not ours");
});

needTest(
  NEEDS,
  "Capistrano's way: a link is switched to another release, and the old one removed",
  async () => {
    await using project = await emptyProject();
    await using place = await tempFolder();
    const at = (name: string) => join(place.path, name);
    const release = async (number: string) => {
      await Deno.mkdir(at(`releases/${number}`), { recursive: true });
      for (const [name, text] of Object.entries(files(number))) {
        await Deno.mkdir(at(`releases/${number}/handlers/_lib`), { recursive: true });
        await Deno.writeTextFile(at(`releases/${number}/${name}`), text);
      }
      const revision = number.repeat(40);
      await Deno.writeTextFile(at(`releases/${number}/REVISION`), `${revision}\n`);
      await Deno.symlink(at(`releases/${number}`), at("new"));
      await Deno.rename(at("new"), at("current"));
      return revision;
    };
    const first = await release("1");
    await using daemon = await Daemon.start(project, { TQ_ROOT: at("current"), TQ_VAR: at("shared") });
    const { pid } = await daemon.status();
    assert.deepEqual(await runsOn(project), ["1", first]);
    for (const [number, before] of [["2", "1"], ["3", "2"]] as const) {
      const revision = await release(number);
      await Deno.remove(at(`releases/${before}`), { recursive: true });
      await daemon.refreshed(revision, "taken");
      assert.deepEqual(await runsOn(project), [number, revision]);
    }
    // What is started later starts there as well, though the supervisor's own folder is gone.
    const { engines } = await daemon.status();
    for (const engine of engines) signal(engine.pid, "SIGKILL");
    assert.deepEqual(await runsOn(project), ["3", "3".repeat(40)]);
    assert.equal((await daemon.status()).pid, pid);
    assert.equal(daemon.logged(/Other code is there/), 2);
  },
);

needTest(NEEDS, "a root that is away for a while costs nothing but time", async () => {
  await using project = await emptyProject();
  await using place = await repository();
  const first = await commit(place.path, files("one"));
  await using links = await tempFolder();
  const root = join(links.path, "current");
  await Deno.symlink(place.path, root);
  await using daemon = await Daemon.start(project, { TQ_ROOT: root, TQ_VAR: join(links.path, "var") });
  const { pid, engines } = await daemon.status();
  await Deno.remove(root);
  for (const engine of engines) signal(engine.pid, "SIGKILL");
  await eventually(() => daemon.logged(/Engines die young.*no process could be started/) > 0, {
    what: "engines that cannot be started",
    within: 20_000,
  });
  await Deno.symlink(place.path, root);
  assert.deepEqual(await runsOn(project), ["one", first]);
  assert.equal((await daemon.status()).pid, pid);
});

needTest(NEEDS, "a server without git: commits are read and taken all the same", async () => {
  await using project = await emptyProject();
  await using nothing = await tempFolder();
  const { path } = project;
  await git(path, "init", "--quiet");
  await Deno.writeTextFile(join(path, ".gitignore"), "var\n");
  const first = await commit(path, files("one"));
  await using daemon = await Daemon.start(project, { PATH: nothing.path });
  const { pid } = await daemon.status();
  if (Deno.build.os === "linux") {
    const path = /(?:^|\0)PATH=([^\0]*)/.exec(Deno.readTextFileSync(`/proc/${pid}/environ`))?.[1] ?? "";
    // Deno puts a folder of its own before it.
    assert.ok(path.endsWith(nothing.path), path);
    for (const folder of path.split(":")) {
      await assert.rejects(Deno.stat(join(folder, "git")), Deno.errors.NotFound);
    }
  }
  assert.deepEqual(await runsOn(project), ["one", first]);
  const second = await commit(path, files("two"));
  await daemon.refreshed(second, "taken");
  assert.deepEqual(await runsOn(project), ["two", second]);
  assert.equal((await daemon.status()).commit, second);
});
