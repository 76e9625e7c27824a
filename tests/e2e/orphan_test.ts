import assert from "node:assert/strict";
import { join } from "node:path";
import { eventually } from "../support/fixtures.ts";
import { needTest } from "../support/need.ts";
import { livingOf, processTable, signal } from "../support/processes.ts";
import { Project } from "../support/tq.ts";

const NEEDS = ["postgres", "redis"] as const;

const HANDLERS = {
  "work.js": `
    export async function nap(task) {
      Deno.writeTextFileSync("began", task.id + "\\n", { append: true });
      console.log("printed to nobody");
      task.log("noted");
      await new Promise((resolve) => setTimeout(resolve, task.data.ms));
      console.log("printed to nobody again");
      task.completed(Deno.pid);
    }
    export async function sit(task) {
      Deno.writeTextFileSync("began", task.id + "\\n", { append: true });
      const runs = Deno.readTextFileSync("began").split("\\n").filter((line) => line === String(task.id));
      if (runs.length === 1) await new Promise((resolve) => setTimeout(resolve, 60_000));
    }`,
};

const journals = (project: Project) => [...Deno.readDirSync(join(project.varFolder, "engines"))];
const began = (project: Project) =>
  project.read("began").split("\n").filter((line) => line !== "").map(Number);

needTest(
  NEEDS,
  "engines whose supervisor was killed with -9 finish their tasks, take no more, and end",
  async () => {
    await using project = await Project.make({
      servers: "redis",
      handlers: HANDLERS,
      settings: { TQ_PROCESSES: 2, TQ_WORKERS: 2 },
    });
    const running = await project.queue.publishMany(
      Array.from({ length: 4 }, () => ({ model: "work", fname: "nap", data: { ms: 1_500 } })),
    );
    const waiting = await project.queue.publishMany(
      Array.from({ length: 10 }, () => ({ model: "work", fname: "nap", data: { ms: 10 } })),
    );
    await using tq = await project.start();
    const engines = await tq.engines();
    await eventually(() => began(project).length === 4, { what: "four to begin" });
    tq.signal("SIGKILL");
    await tq.ended();
    await eventually(async () => (await livingOf(engines)).length === 0, {
      within: 15_000,
      what: "the end of both engines",
    });
    const pids = new Set(engines.map(({ pid }) => pid));
    // Nobody writes the log any more but they.
    const log = Deno.readTextFileSync(join(project.varFolder, "tq_worker.log"));
    for (const pid of pids) {
      const line = new RegExp(
        ` Cannot reach the supervisor; this engine ends what it runs pid=${pid}$`,
        "gm",
      );
      assert.equal(log.match(line)?.length, 1, log);
    }
    for (const id of running) {
      const task = await project.queue.get(id);
      assert.deepEqual([task?.state, task?.attempts], [10, 1], `task ${id}`);
      assert.ok(pids.has(task?.result as number), "it ran to its end where it had begun");
    }
    for (const id of waiting) {
      const task = await project.queue.get(id);
      assert.deepEqual([task?.state, task?.attempts], [0, 0], `task ${id}`);
    }
    assert.deepEqual(journals(project), [], "they ended well");
    await using next = await project.start();
    for (const id of waiting) assert.equal((await project.ended(id)).state, 10);
    assert.equal(began(project).length, 14, "each began once");
    assert.equal(next.count(/ Tasks were taken back /), 0);
  },
);

needTest(
  NEEDS,
  "after a kill -9 of supervisor and engines a new supervisor has their tasks at once, uncharged",
  async () => {
    await using project = await Project.make({
      servers: "redis",
      handlers: HANDLERS,
      settings: { TQ_WORKERS: 5 },
    });
    const ids = await project.queue.publishMany(
      Array.from({ length: 5 }, () => ({ model: "work", fname: "sit" })),
    );
    await using tq = await project.start();
    const [engine] = await tq.engines();
    await eventually(() => began(project).length === 5, { what: "five to begin" });
    tq.signal("SIGKILL");
    signal(engine!.pid, "SIGKILL");
    await tq.ended();
    await eventually(
      async () => !(await processTable()).has(engine!.pid) || (await livingOf([engine!])).length === 0,
      {
        what: "the end of the engine",
      },
    );
    assert.deepEqual(await project.states(), { 1: 5 });
    assert.equal(journals(project).length, 1);
    await using next = await project.start();
    await next.logged(/ Tasks were taken back .* tasks=5 suspects=0$/);
    for (const id of ids) {
      const task = await project.ended(id);
      assert.deepEqual(
        [task.state, task.attempts, task.deaths, task.claims],
        [10, 1, 0, 2],
        "nobody's fault",
      );
    }
    assert.equal(journals(project).length, 1, "the new engine's alone");
  },
);

needTest(NEEDS, "a new supervisor leaves engines alone that still drain", async () => {
  await using project = await Project.make({ servers: "redis", handlers: HANDLERS });
  await using tq = await project.start();
  const [engine] = await tq.engines();
  const id = await project.queue.publish("work", "nap", { ms: 4_000 });
  await eventually(() => began(project).length === 1, { what: "it to begin" });
  tq.signal("SIGKILL");
  await tq.ended();
  await using next = await project.start();
  const task = await project.ended(id, 15_000);
  assert.deepEqual(
    [task.state, task.result, task.claims],
    [10, engine!.pid, 1],
    "it ended where it had begun",
  );
  assert.equal(next.count(/ Tasks were taken back /), 0);
});
