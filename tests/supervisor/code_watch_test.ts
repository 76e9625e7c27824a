import assert from "node:assert/strict";
import { join } from "node:path";
import { type Clock, systemClock } from "../../src/clock.ts";
import { CodeWatch, type CodeWatchOptions } from "../../src/supervisor/code_watch.ts";
import { captureLog } from "../support/capture_log.ts";
import { eventually, type TempFolder, tempFolder, TestClock, TestSignal } from "../support/fixtures.ts";
import { commit, git, gitCommand, head, repository } from "../support/git.ts";
import { needTest } from "../support/need.ts";

/** Milliseconds between looks. */
const INTERVAL = 5000;
/** Nothing is slept out: what matters is what is there at each look. */
const SLEEPLESS: Clock = { ...systemClock, sleep: () => Promise.resolve() };

/** A watch, and the commits that it told of. */
class Scene implements AsyncDisposable {
  readonly watch: CodeWatch;
  readonly commits: (string | undefined)[] = [];
  readonly #stopping = new AbortController();

  private constructor(options: Pick<CodeWatchOptions, "root"> & Partial<CodeWatchOptions>) {
    this.watch = new CodeWatch({
      handlers: options.root,
      program: () => "tq",
      clock: SLEEPLESS,
      changed: (version) => {
        this.commits.push(version.commit);
        this.watch.settle(version);
        return Promise.resolve();
      },
      ...options,
    });
  }

  /** Whatever is there now is known. */
  static async on(root: string, options: Partial<CodeWatchOptions> = {}): Promise<Scene> {
    const scene = new Scene({ root, ...options });
    scene.watch.settle(await scene.watch.look());
    return scene;
  }

  /** One look; returns whether there is nothing more to see. */
  async look(): Promise<boolean> {
    return await this.watch.runOnce(this.#stopping.signal) === INTERVAL;
  }

  /** Looks until nothing new is seen; returns the commits that it told of meanwhile. */
  async changes(): Promise<(string | undefined)[]> {
    for (let looks = 0; !await this.look(); looks++) assert.ok(looks < 10, "it comes to rest");
    return this.commits.splice(0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    await this.watch.stop();
  }
}

/** A repository with a second commit on `main`, and a branch `side` with five of its own from the first. */
async function twoBranches(): Promise<TempFolder> {
  const folder = await repository();
  await git(folder.path, "checkout", "--quiet", "-b", "side");
  for (const name of ["1", "2", "3", "4", "5"]) await commit(folder.path, { [name]: name });
  await git(folder.path, "checkout", "--quiet", "main");
  await commit(folder.path, { main: "2" });
  return folder;
}

const ONE_CHANGE: Record<string, string[][]> = {
  "a commit": [["commit", "--quiet", "--allow-empty", "--message=x"]],
  "an amended commit": [["commit", "--quiet", "--amend", "--allow-empty", "--message=x"]],
  "reset --hard": [["reset", "--quiet", "--hard", "HEAD~"]],
  "checkout of another branch": [["checkout", "--quiet", "side"]],
  "checkout of a commit": [["checkout", "--quiet", "--detach", "HEAD~"]],
  "a merge": [["merge", "--quiet", "--message=x", "side"]],
  "a rebase of five": [["rebase", "--quiet", "main", "side"]],
  "a cherry-pick of two": [["cherry-pick", "side~", "side"]],
  "a reset to refs that are packed": [["pack-refs", "--all"], ["reset", "--quiet", "--hard", "side"]],
  "a commit, then gc": [["commit", "--quiet", "--allow-empty", "--message=x"], ["gc", "--quiet"]],
};

for (const [what, commands] of Object.entries(ONE_CHANGE)) {
  needTest(["git"], `${what} is one change`, async () => {
    await using folder = await twoBranches();
    await using scene = await Scene.on(folder.path);
    for (const args of commands) await git(folder.path, ...args);
    assert.deepEqual(await scene.changes(), [await head(folder.path)]);
  });
}

const NO_CHANGE: Record<string, string[][]> = {
  "status": [["status"]],
  "fetch": [["fetch", "--quiet", "--all"], ["fetch", "--quiet", ".", "side:fetched"]],
  "gc": [["gc", "--quiet", "--prune=now"]],
  "stash": [["stash", "--include-untracked"], ["stash", "pop", "--quiet"]],
  "a branch made and deleted": [["branch", "other"], ["branch", "-D", "other"]],
  "a new branch checked out": [["checkout", "--quiet", "-b", "other"]],
  "a tag": [["tag", "--annotate", "--message=x", "v1"]],
  "packed refs": [["pack-refs", "--all"]],
  "a commit on another branch": [["branch", "--force", "side", "main"]],
  "a reset to where it was": [["reset", "--quiet", "--hard", "side"], [
    "reset",
    "--quiet",
    "--hard",
    "main@{1}",
  ]],
};

for (const [what, commands] of Object.entries(NO_CHANGE)) {
  needTest(["git"], `${what} is no change`, async () => {
    await using folder = await twoBranches();
    await using clone = await tempFolder();
    await git(folder.path, "clone", "--quiet", "--bare", ".", join(clone.path, "origin.git"));
    await git(folder.path, "remote", "add", "origin", join(clone.path, "origin.git"));
    await Deno.writeTextFile(join(folder.path, "main"), "edited");
    await using scene = await Scene.on(folder.path);
    for (const args of commands) await git(folder.path, ...args);
    assert.deepEqual(await scene.changes(), []);
  });
}

needTest(["git"], "amid a rebase of five nothing is a change, though HEAD has moved", async () => {
  await using folder = await twoBranches();
  await git(folder.path, "checkout", "--quiet", "side");
  await using scene = await Scene.on(folder.path);
  const before = await head(folder.path);
  // Stops after each commit until the file is gone.
  const step = "touch .git/step; while [ -e .git/step ]; do sleep 0.01; done";
  const rebase = gitCommand(folder.path, "rebase", "--quiet", "--exec", step, "main").spawn();
  const output = rebase.output();
  const heads = new Set([before]);
  for (let i = 0; i < 5; i++) {
    await eventually(() => Deno.stat(join(folder.path, ".git/step")), { what: `step ${i}` });
    heads.add(await head(folder.path));
    assert.deepEqual(await scene.changes(), [], `step ${i}`);
    await Deno.remove(join(folder.path, ".git/step"));
  }
  assert.ok((await output).success);
  assert.equal(heads.size, 6, "it was seen after each commit");
  assert.deepEqual(await scene.changes(), [await head(folder.path)]);
});

needTest(
  ["git"],
  "a cherry-pick that stops at a conflict is no change until a person has decided",
  async () => {
    await using folder = await repository();
    await commit(folder.path, { a: "base" });
    await git(folder.path, "checkout", "--quiet", "-b", "side");
    await commit(folder.path, { b: "side" });
    await commit(folder.path, { a: "side" });
    await git(folder.path, "checkout", "--quiet", "main");
    const main = await commit(folder.path, { a: "main" });
    await using scene = await Scene.on(folder.path);
    const { success } = await gitCommand(folder.path, "cherry-pick", "side~", "side").output();
    assert.equal(success, false);
    assert.notEqual(await head(folder.path), main, "the first of the two is there, and marks of a conflict");
    assert.deepEqual(await scene.changes(), []);
    await git(folder.path, "checkout", "--theirs", "a");
    await git(folder.path, "add", "a");
    await git(folder.path, "cherry-pick", "--continue");
    assert.deepEqual(await scene.changes(), [await head(folder.path)]);
  },
);

needTest(["git"], "while git holds its lock nothing is a change, unless that lock is stale", async () => {
  await using folder = await repository();
  await using scene = await Scene.on(folder.path);
  const second = await commit(folder.path);
  const lock = join(folder.path, ".git/index.lock");
  await Deno.writeTextFile(lock, "");
  assert.deepEqual(await scene.changes(), []);
  const longAgo = new Date(Date.now() - 61_000);
  await Deno.utime(lock, longAgo, longAgo);
  assert.deepEqual(await scene.changes(), [second]);
});

needTest(
  ["git"],
  "a commit that is gone again after a moment is no change; the one that stays is",
  async () => {
    await using folder = await repository();
    let during: () => Promise<unknown> = () => Promise.resolve();
    const clock: Clock = { ...systemClock, sleep: async () => void await during() };
    await using scene = await Scene.on(folder.path, { clock });
    await commit(folder.path);
    during = () => git(folder.path, "reset", "--quiet", "--hard", "HEAD~");
    assert.equal(await scene.look(), false, "it must look again");
    during = () => Promise.resolve();
    assert.deepEqual(await scene.changes(), []);
    await commit(folder.path);
    let last = "";
    during = async () => {
      during = () => Promise.resolve();
      last = await commit(folder.path);
    };
    const told = await scene.changes();
    assert.deepEqual(told, [last]);
  },
);

needTest(
  ["git"],
  "a change that is not settled is told again after 5 s, one that is settled is not",
  async () => {
    await using folder = await repository();
    let settles = false;
    let told = 0;
    await using scene = await Scene.on(folder.path, {
      changed: (version) => {
        told++;
        if (settles) scene.watch.settle(version);
        return Promise.resolve();
      },
    });
    await commit(folder.path);
    assert.equal(await scene.look(), true, "after 5 s");
    assert.equal(await scene.look(), true);
    assert.equal(told, 2);
    settles = true;
    await scene.changes();
    await scene.changes();
    assert.equal(told, 3);
  },
);

/** A root, and deploys to it; each resolves with the root's commit after it. */
interface Layout {
  readonly root: string;
  readonly handlers?: string;
  readonly deploys: (() => Promise<string>)[];
}

const LAYOUTS: Record<string, (folders: AsyncDisposableStack) => Promise<Layout>> = {
  "a checkout": async (folders) => {
    const { path } = folders.use(await repository());
    return { root: path, deploys: [() => commit(path), () => commit(path)] };
  },
  "a folder inside a checkout": async (folders) => {
    const { path } = folders.use(await repository());
    await commit(path, { "backend/handlers/app.js": "" });
    return { root: join(path, "backend"), deploys: [() => commit(path)] };
  },
  "a worktree with packed refs": async (folders) => {
    const { path } = folders.use(await repository());
    const root = join(folders.use(await tempFolder()).path, "tree");
    await git(path, "worktree", "add", "--quiet", "-b", "tree", root);
    await git(path, "pack-refs", "--all");
    return { root, deploys: [() => commit(root), () => commit(root)] };
  },
  "a submodule as root": async (folders) => {
    const root = join(await withSubmodule(folders, "jobs"), "jobs");
    return { root, deploys: [() => commit(root), () => commit(root)] };
  },
  "a submodule with the handlers": async (folders) => {
    const root = await withSubmodule(folders, "handlers");
    const handlers = join(root, "handlers");
    const deploy = async () => {
      await commit(handlers);
      return await head(root);
    };
    return { root, handlers, deploys: [deploy, () => commit(root), deploy] };
  },
  "a link that is switched": async (folders) => {
    const [one, two] = [folders.use(await repository()), folders.use(await repository())];
    const second = await commit(two.path);
    const root = join(folders.use(await tempFolder()).path, "current");
    await Deno.symlink(one.path, root);
    const switchLink = async () => {
      await Deno.symlink(two.path, `${root}.new`);
      await Deno.rename(`${root}.new`, root);
      return second;
    };
    return { root, deploys: [switchLink, () => commit(root)] };
  },
};

/** A repository with another as its submodule `name`; returns its folder. */
async function withSubmodule(folders: AsyncDisposableStack, name: string): Promise<string> {
  const [inner, outer] = [folders.use(await repository()), folders.use(await repository())];
  await git(outer.path, "submodule", "--quiet", "add", inner.path, name);
  await commit(outer.path);
  return outer.path;
}

/** A watch whose looks come by events alone. */
async function byEvents(root: string, handlers = root) {
  const told = new TestSignal<string | undefined>("a change");
  const asleep = new TestSignal("a watch that sleeps");
  const scene = await Scene.on(root, {
    handlers,
    clock: {
      ...systemClock,
      sleep: (ms, signal) => {
        if (ms < INTERVAL) return systemClock.sleep(ms, signal);
        asleep.fire();
        return systemClock.sleep(3_600_000, signal);
      },
    },
    changed: (version) => {
      scene.watch.settle(version);
      told.fire(version.commit);
      return Promise.resolve();
    },
  });
  scene.watch.start();
  await asleep.next();
  return { scene, told };
}

for (const [what, make] of Object.entries(LAYOUTS)) {
  needTest(["git"], `deploys are noticed by events alone: ${what}`, async () => {
    await using folders = new AsyncDisposableStack();
    const { root, handlers, deploys } = await make(folders);
    const { scene, told } = await byEvents(root, handlers);
    folders.use(scene);
    for (const deploy of deploys) {
      const deployed = await deploy();
      assert.equal(await told.next(), deployed);
    }
    assert.equal(told.pending, 0);
  });
}

needTest(["git"], "the watch follows to another checkout that was moved to the root's name", async () => {
  await using place = await tempFolder();
  await using origin = await repository();
  const [root, next] = [join(place.path, "app"), join(place.path, "next")];
  await git(place.path, "clone", "--quiet", origin.path, root);
  const { scene, told } = await byEvents(root);
  await using _scene = scene;
  await git(place.path, "clone", "--quiet", origin.path, next);
  const second = await commit(next);
  await Deno.rename(root, join(place.path, "old"));
  await Deno.rename(next, root);
  // Nothing tells of a move; the look that comes every 5 s sees it.
  scene.watch.wake();
  assert.equal(await told.next(), second);
  const third = await commit(root);
  assert.equal(await told.next(), third);
});

needTest(["git"], "where watching is not possible it looks every 5 s, and says so once", async () => {
  await using log = await captureLog();
  await using folder = await repository();
  const clock = new TestClock();
  let tries = 0;
  await using scene = await Scene.on(folder.path, {
    clock,
    watch: () => {
      tries++;
      throw new Error("OS file watch limit reached. (ENOSPC)");
    },
  });
  scene.watch.start();
  const asleep = (ms: number) =>
    eventually(() => clock.waiting === 1 && clock.untilNext === ms, { what: `a sleep of ${ms} ms` });
  for (let i = 0; i < 3; i++) {
    await asleep(INTERVAL);
    await clock.advance(INTERVAL);
  }
  await asleep(INTERVAL);
  const second = await commit(folder.path);
  await clock.advance(INTERVAL - 1);
  assert.deepEqual(scene.commits, []);
  await clock.advance(1);
  await asleep(300);
  await clock.advance(300);
  await eventually(() => scene.commits.length > 0, { what: "the commit" });
  assert.deepEqual(scene.commits, [second]);
  assert.ok(tries >= 4, "it is tried at every look");
  const warnings = log.lines.filter((line) => line.includes("Cannot watch"));
  assert.equal(warnings.length, 1, log.lines.join("\n"));
  assert.match(warnings[0]!, /WARN.*it is looked at every 5 s.*\.git.*watch limit reached/);
});

needTest(
  ["git"],
  "a root that is away for a moment, as amid a switch by rm and ln, is waited for",
  async () => {
    await using log = await captureLog();
    await using folder = await repository();
    await using place = await tempFolder();
    const root = join(place.path, "current");
    await Deno.symlink(folder.path, root);
    await using scene = await Scene.on(root);
    await Deno.remove(root);
    await assert.rejects(scene.look(), Deno.errors.NotFound);
    await Deno.symlink(folder.path, root);
    assert.deepEqual(await scene.changes(), [], "the same folder is there again");
    assert.deepEqual(log.lines, []);
  },
);
