import assert from "node:assert/strict";
import { eventually } from "../support/fixtures.ts";
import { needTest } from "../support/need.ts";
import { Project } from "../support/tq.ts";

const NEEDS = ["postgres", "redis"] as const;

const HANDLERS = {
  "good.js": `
    export function quick(task) { task.completed(Deno.pid); }
    export async function nap(task) { await new Promise((r) => setTimeout(r, 1000)); task.completed(Deno.pid); }`,
  "bad.js": `
    import { setTimeout as later } from "node:timers";
    const soon = (fn) => setTimeout(fn, 20);
    const acts = {
      rejectsLater: () => void new Promise((_, reject) => soon(() => reject(new Error("stray 1")))),
      rejectsNow: () => void Promise.reject(new Error("stray 2")),
      throwsInTimer: () => void soon(() => { throw new Error("stray 3"); }),
      throwsInNodeTimer: () => void later(() => { throw new Error("stray 4"); }, 20),
      throwsInMicrotask: () => queueMicrotask(() => { throw new Error("stray 5"); }),
      throwsNull: () => void soon(() => { throw null; }),
      throwsInListener: (task) => {
        task.signal.addEventListener("abort", () => { throw new Error("stray 6"); });
        task.signal.dispatchEvent(new Event("abort"));
      },
    };
    export function stray(task) { return acts[task.data.act](task); }
    export function exits(task) { Deno.exit(task.data.code); }
    export function blocks() { Deno.writeTextFileSync("blocked", "now"); while (true); }
    export function prints() {
      const raw = (to, text) => {
        const bytes = new TextEncoder().encode(text);
        for (let at = 0; at < bytes.length;) at += to.writeSync(bytes.subarray(at));
      };
      console.log("x".repeat(10_000_000));
      for (let i = 0; i < 5_000; i++) console.log("line " + i);
      raw(Deno.stdout, "y".repeat(10_000_000) + "\\n");
      raw(Deno.stderr, "z".repeat(10_000_000) + "\\nlast words\\n");
      raw(Deno.stdout, "no end");
    }
    export function logs(task) {
      task.log("y".repeat(10_000_000));
      for (let i = 0; i < 2_000; i++) task.log("line " + i);
    }
    export function closes() { Deno.stdout.close(); }
    export function deletes() { Deno.removeSync("handlers/vanishing.js"); }`,
  "vanishing.js": `export function run(task) { task.completed(Deno.pid); }`,
};

needTest(
  NEEDS,
  "errors that a handler leaves in timers, promises and listeners end no engine, and are logged",
  async () => {
    await using project = await Project.make({ servers: "redis", handlers: HANDLERS });
    await using tq = await project.start();
    const [engine] = await tq.engines();
    const nap = await project.queue.publish("good", "nap");
    const acts = [
      "rejectsLater",
      "rejectsNow",
      "throwsInTimer",
      "throwsInNodeTimer",
      "throwsInMicrotask",
      "throwsNull",
      "throwsInListener",
    ];
    const ids = await project.queue.publishMany(
      acts.map((act) => ({ model: "bad", fname: "stray", data: { act } })),
    );
    for (const id of ids) assert.equal((await project.ended(id)).state, 10);
    const stray = /ERROR +handler: A handler left an error that nobody catches error=/;
    await tq.logged(stray, { count: acts.length });
    for (let n = 1; n <= 6; n++) {
      assert.equal(
        tq.count(new RegExp(`Error: stray ${n}\\b.*bad\\.js`)),
        1,
        `${n}`,
      );
    }
    assert.equal((await project.ended(nap)).result, engine!.pid, "its neighbour");
    assert.equal((await project.ended(await project.queue.publish("good", "quick"))).result, engine!.pid);
    assert.equal(tq.count(/ Engine died /), 0);
  },
);

needTest(NEEDS, "a handler that prints and logs tens of megabytes holds up nobody", async () => {
  await using project = await Project.make({ servers: "redis", handlers: HANDLERS });
  await using tq = await project.start();
  const [engine] = await tq.engines();
  const prints = await project.queue.publish("bad", "prints");
  const logs = await project.queue.publish("bad", "logs");
  for (const id of [prints, logs]) assert.equal((await project.ended(id, 20_000)).state, 10);
  const quick = await project.ended(await project.queue.publish("good", "quick"));
  assert.deepEqual([quick.state, quick.result], [10, engine!.pid]);
  const printed = String.raw` handler: Handler printed (?:engine|task)=\d+ text="?`;
  await tq.logged(new RegExp(printed + 'line 4999"?$'), { within: 20_000 });
  await tq.logged(new RegExp(printed + "last words"), { within: 20_000 });
  await tq.logged(new RegExp(printed + "no end"), { within: 20_000 });
  assert.equal(tq.count(new RegExp(printed + "line \\d+")), 5_000);
  for (const letter of ["x", "y", "z"]) {
    const long = tq.log.filter((line) => line.includes(letter.repeat(1_000)));
    assert.equal(long.length, 1);
    assert.ok(long[0]!.length > 65_536 && long[0]!.length < 66_000, `${letter}: cut at 64 KiB`);
  }
  const store = project.record!.store();
  const lines = await eventually(async () => {
    const found = await store.readLog(logs, 0, 5_000);
    return found.length === 2_001 && found;
  }, { within: 20_000, what: "the task's log" });
  assert.equal(lines[0]!.text.length, 65_536);
  assert.equal(lines.at(-1)!.text, "line 1999");
  assert.equal(tq.count(/ Engine died /), 0);
  assert.equal((await tq.stop()).code, 0);
});

needTest(
  NEEDS,
  "a handler that exits the process fails itself, and its neighbours run in its successor",
  async () => {
    await using project = await Project.make({ servers: "redis", handlers: HANDLERS });
    await using tq = await project.start();
    const [engine] = await tq.engines();
    const nap = await project.queue.publish("good", "nap");
    await project.started(nap);
    const exits = await project.queue.publish("bad", "exits", { code: 0 }, { maxAttempts: 1 });
    const task = await project.ended(exits);
    assert.deepEqual([task.state, task.reason, task.deaths], [-1, "worker engine died (exit code 0)", 1]);
    await tq.logged(new RegExp(` Engine died pid=${engine!.pid} .* how="exit code 0"$`));
    const quick = await project.ended(await project.queue.publish("good", "quick"));
    assert.equal(quick.state, 10);
    assert.notEqual(quick.result, engine!.pid);
    const neighbour = await project.ended(nap, 20_000);
    assert.deepEqual([neighbour.state, neighbour.attempts], [10, 2]);
  },
);

needTest(
  NEEDS,
  "a handler that exits the process each time ends failed, and takes nobody along any more",
  async () => {
    await using project = await Project.make({ servers: "redis", handlers: HANDLERS });
    await using tq = await project.start();
    const exits = await project.queue.publish("bad", "exits", { code: 3 }, { maxAttempts: 10 });
    await tq.logged(/ Engine died /);
    const naps = await project.queue.publishMany(
      Array.from({ length: 5 }, () => ({ model: "good", fname: "nap" })),
    );
    const task = await project.ended(exits, 30_000);
    assert.deepEqual([task.state, task.deaths], [-1, 4]);
    assert.equal(task.reason, "it ended its engine 4 times: worker engine died (exit code 3)");
    for (const id of naps) {
      const nap = await project.ended(id);
      assert.deepEqual([nap.state, nap.attempts, nap.deaths], [10, 1, 0], "once in company, then alone");
    }
    assert.equal(tq.count(/ Engine died /), 4);
  },
);

needTest(NEEDS, "an engine that a handler blocks leaves the other tasks to the other engine", async () => {
  await using project = await Project.make({
    servers: "redis",
    handlers: HANDLERS,
    settings: { TQ_PROCESSES: 2 },
  });
  await using _tq = await project.start();
  await project.queue.publish("bad", "blocks");
  await eventually(() => project.read("blocked") !== "", { what: "the handler" });
  const ids = await project.queue.publishMany(
    Array.from({ length: 50 }, () => ({ model: "good", fname: "quick" })),
  );
  const results = new Set<unknown>();
  for (const id of ids) results.add((await project.ended(id)).result);
  assert.equal(results.size, 1);
});

needTest(
  NEEDS,
  "a handler that never yields is failed past its time limit, and its neighbours complete",
  async () => {
    await using project = await Project.make({ servers: "redis", handlers: HANDLERS });
    await using tq = await project.start();
    const naps = await project.queue.publishMany(
      Array.from({ length: 5 }, () => ({ model: "good", fname: "nap" })),
    );
    for (const id of naps) await project.started(id);
    const since = performance.now();
    const blocks = await project.queue.publish("bad", "blocks", {}, { timeout: 1 });
    const task = await project.ended(blocks, 30_000);
    assert.deepEqual([task.state, task.reason], [-1, "timed out"]);
    assert.ok(performance.now() - since < 20_000);
    for (const id of naps) {
      const nap = await project.ended(id, 20_000);
      assert.deepEqual([nap.state, nap.attempts], [10, 1], "released, not charged");
    }
    await tq.logged(/ERROR +supervisor: A handler blocks its engine beyond its time limit /);
  },
);

needTest(NEEDS, "a handler that deletes its own file goes on until the next engine", async () => {
  await using project = await Project.make({ servers: "redis", handlers: HANDLERS });
  await using tq = await project.start();
  const [engine] = await tq.engines();
  assert.equal((await project.ended(await project.queue.publish("bad", "deletes"))).state, 10);
  const again = await project.ended(await project.queue.publish("vanishing", "run"));
  assert.deepEqual([again.state, again.result], [10, engine!.pid]);
  assert.equal((await project.ended(await project.queue.publish("good", "quick"))).state, 10);
  assert.equal((await tq.stop()).code, 0);
  await using next = await project.start();
  const gone = await project.ended(await project.queue.publish("vanishing", "run", {}, { maxAttempts: 1 }));
  assert.equal(gone.state, -1);
  assert.match(gone.reason!, /^no handler for vanishing/);
  assert.equal((await project.ended(await project.queue.publish("good", "quick"))).state, 10);
  assert.equal(next.count(/ Engine died /), 0);
});

needTest(NEEDS, "an engine whose stdout a handler closes is replaced", async () => {
  await using project = await Project.make({ servers: "redis", handlers: HANDLERS });
  await using tq = await project.start();
  const [engine] = await tq.engines();
  assert.equal((await project.ended(await project.queue.publish("bad", "closes"))).state, 10);
  await tq.logged(/ Starting engine /, { count: 2, within: 30_000 });
  const quick = await project.ended(await project.queue.publish("good", "quick"), 20_000);
  assert.equal(quick.state, 10);
  assert.notEqual(quick.result, engine!.pid);
});
