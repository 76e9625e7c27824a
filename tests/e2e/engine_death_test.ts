import assert from "node:assert/strict";
import { eventually } from "../support/fixtures.ts";
import { needTest } from "../support/need.ts";
import { signal } from "../support/processes.ts";
import { Project } from "../support/tq.ts";

/** Sits in its handler at its first run, and just ends at the next. */
const HANDLERS = {
  "work.js": `
    export async function sit(task) {
      Deno.writeTextFileSync("began", task.id + "\\n", { append: true });
      if (task.attempts === 1) await new Promise((resolve) => setTimeout(resolve, 60_000));
    }
    export function quick(task) { task.completed(Deno.pid); }`,
};

/** The moment of a line of the log, in milliseconds. */
function momentOf(line: string): number {
  return Date.parse(line.slice(0, line.indexOf(" ")));
}

needTest(
  ["postgres", "redis"],
  "an engine killed with -9 is replaced within a second, and its tasks are run",
  async () => {
    await using project = await Project.make({
      servers: "redis",
      handlers: HANDLERS,
      settings: { TQ_WORKERS: 3 },
    });
    await using tq = await project.start();
    const began = () => project.read("began").split("\n").filter((line) => line !== "").map(Number);
    const inside = await project.queue.publishMany(
      Array.from({ length: 3 }, () => ({ model: "work", fname: "sit", options: { maxAttempts: 2 } })),
    );
    await eventually(() => began().length === 3, { what: "three inside their handlers" });
    // Claimed and not begun, as those are that wait for a place.
    const store = project.record!.store();
    const waiting = await project.queue.publishMany(
      Array.from({ length: 2 }, () => ({ model: "work", fname: "quick", options: { channel: "nobodys" } })),
    );
    const [engine] = await tq.engines();
    const engineId = / engine=(\S+)/.exec(await tq.logged(/ Engine is ready /))![1]!;
    assert.equal((await store.claim(waiting, engineId)).length, 2);
    signal(engine!.pid, "SIGKILL");
    const died = await tq.logged(/ Engine died /);
    assert.match(
      died,
      new RegExp(`ERROR +supervisor: Engine died pid=${engine!.pid} engine=${engineId} how=SIGKILL$`),
    );
    const replaced = await tq.logged(/ Starting engine /, { count: 2 });
    assert.ok(momentOf(replaced) - momentOf(died) < 1_000, `${died}\n${replaced}`);
    await tq.logged(/ Tasks were taken back .* tasks=5 suspects=3$/);
    for (const id of waiting) {
      const task = await project.queue.get(id);
      assert.deepEqual([task?.state, task?.attempts, task?.deaths], [0, 0, 0], "not charged");
      assert.equal(task?.reason, "worker engine died (SIGKILL)");
    }
    for (const id of inside) {
      const task = await project.ended(id, 20_000);
      assert.deepEqual([task.state, task.attempts, task.deaths], [10, 2, 1], "charged, and run again");
    }
    assert.deepEqual(began().toSorted(), [...inside, ...inside].toSorted());
    const id = await project.queue.publish("work", "quick");
    const next = await project.ended(id);
    const engines = await tq.engines();
    assert.deepEqual(engines.map(({ pid }) => pid), [next.result], "the successor works");
    assert.equal((await tq.stop()).code, 0);
  },
);

needTest(
  ["postgres", "redis"],
  "a charged death at the last attempt fails its task, with the reason",
  async () => {
    await using project = await Project.make({ servers: "redis", handlers: HANDLERS });
    await using tq = await project.start();
    const id = await project.queue.publish("work", "sit", {}, { maxAttempts: 1 });
    await eventually(() => project.read("began") !== "", { what: "the handler" });
    const [engine] = await tq.engines();
    signal(engine!.pid, "SIGKILL");
    const task = await project.ended(id);
    assert.deepEqual([task.state, task.attempts, task.reason], [-1, 1, "worker engine died (SIGKILL)"]);
  },
);

needTest(["postgres", "redis"], "the other engines do not notice", async () => {
  await using project = await Project.make({
    servers: "redis",
    handlers: HANDLERS,
    settings: { TQ_PROCESSES: 2 },
  });
  await using tq = await project.start();
  const [first, second] = await tq.engines();
  signal(first!.pid, "SIGKILL");
  await tq.logged(/ Engine died /);
  const ids = await project.queue.publishMany(
    Array.from({ length: 20 }, () => ({ model: "work", fname: "quick" })),
  );
  for (const id of ids) assert.equal((await project.ended(id)).state, 10);
  await tq.logged(/ Engine is ready /, { count: 3 });
  assert.ok((await tq.engines()).some(({ pid }) => pid === second!.pid));
  assert.equal(tq.count(/ Engine died /), 1);
});

needTest(
  ["postgres", "redis"],
  "an engine with thousands of slow tasks hears every beat, and lives",
  async () => {
    await using project = await Project.make({
      servers: "redis",
      handlers: {
        "slow.js": `export const nap = () => new Promise((resolve) => setTimeout(resolve, 4_000));
          export const pid = (task) => task.completed(Deno.pid);`,
      },
      // A beat a second; it names tasks that were claimed two seconds before.
      settings: { TQ_WORKERS: 3_000, TQ_LEASE: 6 },
    });
    const ids = await project.queue.publishMany(
      Array.from({ length: 3_000 }, () => ({ model: "slow", fname: "nap" })),
    );
    await using tq = await project.start();
    const [engine] = await tq.engines();
    await eventually(async () => (await project.states())[10] === ids.length, {
      within: 30_000,
      what: "all",
    });
    const { sql, schema } = project.record!;
    const [row] = await sql`select max(claims) as claims, max(attempts) as attempts from ${
      sql(schema)
    }.tasks`;
    assert.deepEqual({ ...row }, { claims: 1, attempts: 1 });
    // One that cannot read a beat takes its supervisor for gone: it drains, and another takes its place.
    const last = await project.ended(await project.queue.publish("slow", "pid"));
    assert.deepEqual([last.result, tq.count(/ Engine died /)], [engine!.pid, 0]);
  },
);
