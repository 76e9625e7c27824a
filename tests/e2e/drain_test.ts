import assert from "node:assert/strict";
import { eventually } from "../support/fixtures.ts";
import { needTest } from "../support/need.ts";
import { livingOf } from "../support/processes.ts";
import { Project } from "../support/tq.ts";

/** Writes down who began and who ended; a line each, appended in one write. */
const HANDLERS = {
  "work.js": `
    const note = (file, task) => Deno.writeTextFileSync(file, task.id + "\\n", { append: true });
    const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
    export async function some(task) {
      await sleep(task.data.ms);
      note("ended", task);
    }
    export async function minds(task) {
      note("began", task);
      await new Promise((resolve) => { task.signal.addEventListener("abort", resolve); setTimeout(resolve, 5000); });
      task.signal.throwIfAborted();
      note("ended", task);
    }
    export async function ignores(task) {
      note("began", task);
      await sleep(5000);
      note("ended", task);
    }
    export function blocks(task) {
      note("began", task);
      while (true);
    }`,
};

needTest(
  ["postgres", "redis"],
  "TERM amid 2,000 tasks: exit 0, nothing started, nothing charged, nothing run twice",
  async () => {
    await using project = await Project.make({
      servers: "redis",
      handlers: HANDLERS,
      settings: { TQ_PROCESSES: 2, TQ_WORKERS: 100, TQ_DRAIN_TIMEOUT: 10 },
    });
    const lines = () => project.read("ended").split("\n").filter((line) => line !== "");
    const ids = await project.queue.publishMany(
      Array.from({ length: 2_000 }, (_, i) => ({ model: "work", fname: "some", data: { ms: 50 + i % 451 } })),
    );
    {
      await using tq = await project.start();
      await eventually(() => lines().length > 400, { within: 20_000, what: "400 ends" });
      const since = performance.now();
      const { code } = await tq.stop(15_000);
      assert.equal(code, 0, tq.log.join("\n"));
      assert.ok(performance.now() - since < 10_000, "within the drain time");
    }
    const tasks = (await Promise.all(ids.map((id) => project.queue.get(id)))).map((task) => task!);
    const completed = tasks.filter((task) => task.state === 10);
    const rest = tasks.filter((task) => task.state !== 10);
    assert.ok(rest.length > 0 && completed.length > 400, `${completed.length} completed`);
    for (const { id, state, attempts } of rest) {
      assert.ok(state === 0 || state === 2, `task ${id} is in state ${state}`);
      assert.equal(attempts, 0, `task ${id} was charged`);
    }
    assert.deepEqual(lines().map(Number).toSorted((a, b) => a - b), completed.map((task) => task.id));
    {
      await using tq = await project.start();
      await eventually(async () => (await project.states())[10] === 2_000, {
        within: 30_000,
        what: "the rest",
      });
      assert.equal((await tq.stop()).code, 0);
    }
    assert.deepEqual(lines().map(Number).toSorted((a, b) => a - b), ids, "each ran to its end once");
  },
);

needTest(
  ["postgres", "redis"],
  "tasks that outlast the drain time are put back uncharged, and run again",
  async () => {
    await using project = await Project.make({
      servers: "redis",
      handlers: HANDLERS,
      settings: { TQ_DRAIN_TIMEOUT: 1, TQ_WORKERS: 4 },
    });
    const ids = await project.queue.publishMany(
      Array.from({ length: 6 }, (_, i) => ({ model: "work", fname: i % 2 === 0 ? "minds" : "ignores" })),
    );
    const began = () => project.read("began").split("\n").filter((line) => line !== "").map(Number);
    await using tq = await project.start();
    await eventually(() => began().length === 4, { what: "four to begin" });
    const since = performance.now();
    const { code } = await tq.stop();
    const took = performance.now() - since;
    assert.equal(code, 0, tq.log.join("\n"));
    assert.ok(took > 950 && took < 6_000, `it took ${took} ms`);
    assert.equal(project.read("ended"), "", "nothing ran to its end");
    const tasks = (await Promise.all(ids.map((id) => project.queue.get(id)))).map((task) => task!);
    for (const { id, state, attempts, reason, claims, deaths } of tasks) {
      assert.deepEqual([state, attempts, deaths], [0, 0, 0], `task ${id}`);
      assert.equal(reason, began().includes(id) ? "worker engine restarting" : null);
      assert.ok(claims <= 1);
    }
    assert.equal(tq.count(/ Engine died /), 0);
  },
);

needTest(
  ["postgres", "redis"],
  "a second INT ends at once, and what a blocked engine held is put back uncharged",
  async () => {
    await using project = await Project.make({ servers: "redis", handlers: HANDLERS });
    await using tq = await project.start();
    const [engine] = await tq.engines();
    const id = await project.queue.publish("work", "blocks");
    await eventually(() => project.read("began") !== "", { what: "the handler" });
    tq.signal("SIGINT");
    await tq.logged(/ Stopping /);
    const since = performance.now();
    tq.signal("SIGINT");
    assert.equal((await tq.ended()).code, 0);
    assert.ok(performance.now() - since < 5_000, "not after the 30 s of a drain");
    const task = await project.queue.get(id);
    assert.deepEqual([task?.state, task?.attempts, task?.deaths], [0, 0, 0]);
    assert.equal(task?.reason, "worker engine restarting");
    assert.deepEqual(await livingOf([engine!]), []);
  },
);

needTest(["postgres"], "TERM while engines start ends as well, and leaves none running", async () => {
  await using project = await Project.make({ servers: "postgres", handlers: HANDLERS });
  await using tq = project.begin({ TQ_PROCESSES: 2 });
  await tq.logged(/ Starting engine /, { count: 2, within: 30_000 });
  const engines = await tq.engines();
  assert.equal((await tq.stop()).code, 0, tq.log.join("\n"));
  await eventually(async () => (await livingOf(engines)).length === 0, { what: "the end of both" });
});
