import assert from "node:assert/strict";
import { type Clock, systemClock } from "../../src/clock.ts";
import { HandlerError, UnreachableError } from "../../src/errors.ts";
import { Refresh } from "../../src/supervisor/refresh.ts";
import { captureLog } from "../support/capture_log.ts";
import { eventually, type TempFolder, TestSignal } from "../support/fixtures.ts";
import { commit, git, head, repository } from "../support/git.ts";
import { needTest } from "../support/need.ts";

/** The look that comes every 5 s comes after 20 ms; being quiet takes no time. */
const QUICK: Clock = {
  ...systemClock,
  sleep: (ms, signal) => systemClock.sleep(ms === 5000 ? 20 : 0, signal),
};

/** A refresh of a repository, with engines that do what the test says. */
class Scene implements AsyncDisposable {
  readonly path: string;
  readonly refresh: Refresh;
  /** Told at each reload, before it does anything. */
  readonly reloaded = new TestSignal("a reload");
  reload: () => Promise<void> = () => Promise.resolve();
  reloads = 0;
  replaced = 0;
  changed = 0;
  looks = 0;
  program = "old tq";
  readonly #folder: TempFolder;

  private constructor(folder: TempFolder) {
    this.#folder = folder;
    this.path = folder.path;
    this.refresh = new Refresh({
      root: folder.path,
      handlers: folder.path,
      reload: async () => {
        this.reloads++;
        this.reloaded.fire();
        await this.reload();
      },
      replaceSelf: () => Promise.resolve(void this.replaced++),
      changed: () => this.changed++,
      program: () => {
        this.looks++;
        return this.program;
      },
      clock: QUICK,
    });
  }

  static async make({ start = true } = {}): Promise<Scene> {
    const scene = new Scene(await repository());
    scene.refresh.begin();
    if (start) scene.refresh.start();
    return scene;
  }

  /** The report on this commit. */
  async report(commit: string, outcome: "taken" | "refused") {
    return await eventually(() => {
      const { last } = this.refresh;
      return last?.commit === commit && last.outcome === outcome && last;
    }, { what: `${commit} ${outcome}` });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.refresh.stop();
    await this.#folder[Symbol.asyncDispose]();
  }
}

needTest(["git"], "a commit is taken once, and reported", async () => {
  await using log = await captureLog();
  await using scene = await Scene.make();
  assert.equal(scene.refresh.commit, await head(scene.path));
  assert.equal(scene.refresh.last, null);
  const second = await commit(scene.path);
  const report = await scene.report(second, "taken");
  assert.equal(report.reason, null);
  assert.equal(scene.refresh.commit, second);
  assert.deepEqual([scene.reloads, scene.changed, scene.replaced], [1, 1, 0]);
  await scene.refresh.stop();
  assert.equal(scene.reloads, 1);
  assert.equal(log.count(/New code was taken commit=[0-9a-f]{40}$/), 1, log.lines.join("\n"));
});

needTest(["git"], "what is no good is refused once, with its reason; the next commit is taken", async () => {
  await using log = await captureLog();
  await using scene = await Scene.make();
  scene.reload = () =>
    Promise.reject(new HandlerError("handlers/a.js does not import: no", { remedy: "mend it" }));
  const bad = await commit(scene.path);
  const refused = await scene.report(bad, "refused");
  assert.equal(refused.reason, "handlers/a.js does not import: no: mend it");
  assert.equal(scene.refresh.isRefused, true);
  scene.reload = () => Promise.resolve();
  await scene.report(await commit(scene.path), "taken");
  assert.equal(scene.refresh.isRefused, false);
  assert.equal(scene.reloads, 2);
  assert.equal(log.count(/ERROR.*New code was refused; the old goes on commit=\w+ reason="handlers/), 1);
});

needTest(
  ["git"],
  "code that cannot be taken yet is tried again until it can, which is said once",
  async () => {
    await using log = await captureLog();
    await using scene = await Scene.make();
    scene.reload = () => Promise.reject(new UnreachableError("Postgres is away"));
    const second = await commit(scene.path);
    const refused = await scene.report(second, "refused");
    assert.equal(refused.reason, "Postgres is away; it is tried again");
    for (let i = 0; i < 3; i++) await scene.reloaded.next();
    scene.reload = () => Promise.resolve();
    await scene.report(second, "taken");
    assert.equal(log.count(/New code was refused/), 1, log.lines.join("\n"));
    assert.equal(log.count(/Other code is there/), 1);
    assert.equal(log.count(/New code was taken/), 1);
  },
);

needTest(
  ["git"],
  "a reload by hand takes a commit that was not noticed yet; then it is not taken again",
  async () => {
    await using scene = await Scene.make({ start: false });
    const hand = Promise.withResolvers<void>();
    scene.reload = () => hand.promise;
    const second = await commit(scene.path);
    const now = scene.refresh.now();
    await scene.reloaded.next();
    scene.refresh.start();
    const looks = scene.looks;
    await eventually(() => scene.looks >= looks + 2, { what: "the watch to see it" });
    hand.resolve();
    const { commit: taken, outcome } = await now;
    assert.deepEqual([taken, outcome, scene.refresh.commit], [second, "taken", second]);
    await eventually(() => scene.looks >= looks + 5, { what: "the watch to look again" });
    assert.equal(scene.reloads, 1);
  },
);

needTest(
  ["git"],
  "going back to the code before, while a commit cannot be taken yet, is a change",
  async () => {
    await using _log = await captureLog();
    await using scene = await Scene.make();
    const first = await head(scene.path);
    // One engine of two may have the new code by now.
    scene.reload = () => Promise.reject(new UnreachableError("Postgres is away"));
    await scene.report(await commit(scene.path), "refused");
    await git(scene.path, "reset", "--quiet", "--hard", first);
    scene.reload = () => Promise.resolve();
    await scene.report(first, "taken");
  },
);

needTest(["git"], "refreshes never overlap", async () => {
  await using scene = await Scene.make();
  let underWay = 0;
  let most = 0;
  scene.reload = async () => {
    most = Math.max(most, ++underWay);
    await systemClock.sleep(20);
    underWay--;
  };
  const second = await commit(scene.path);
  const reports = await Promise.all([1, 2, 3].map(() => scene.refresh.now()));
  await scene.report(await commit(scene.path), "taken");
  assert.equal(most, 1);
  assert.deepEqual(reports.map((report) => report.commit), [second, second, second]);
});

needTest(
  ["git"],
  "a new tq is put in the place of this one; what came before it counts as a refresh",
  async () => {
    await using _log = await captureLog();
    await using scene = await Scene.make();
    scene.program = "new tq";
    await eventually(() => scene.replaced === 1, { what: "the replacement" });
    assert.equal(scene.reloads, 0);
    scene.refresh.begin();
    scene.refresh.succeeded();
    assert.deepEqual([scene.refresh.last?.outcome, scene.refresh.last?.commit], [
      "taken",
      await head(scene.path),
    ]);
  },
);

needTest(["git"], "a reload of a root that is gone is refused, not thrown", async () => {
  await using log = await captureLog();
  await using scene = await Scene.make();
  await scene.refresh.stop();
  const hidden = `${scene.path}.hidden`;
  await Deno.rename(scene.path, hidden);
  try {
    const report = await scene.refresh.now();
    assert.equal(report.outcome, "refused");
    assert.match(report.reason ?? "", /No such file/);
  } finally {
    await Deno.rename(hidden, scene.path);
  }
  assert.equal(log.count(/New code was refused/), 0, "at a stop nobody is told");
});

needTest(["git"], "stop() waits for the refresh under way", async () => {
  await using log = await captureLog();
  await using scene = await Scene.make();
  const { promise, reject } = Promise.withResolvers<void>();
  scene.reload = () => promise;
  await commit(scene.path);
  await scene.reloaded.next();
  let stopped = false;
  const stop = scene.refresh.stop().then(() => stopped = true);
  await systemClock.sleep(20);
  assert.equal(stopped, false);
  reject(new HandlerError("the engine ended before it was ready"));
  await stop;
  assert.equal(log.count(/refused/), 0, "its engines were ended by the stop");
});
