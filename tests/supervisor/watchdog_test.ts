import assert from "node:assert/strict";
import type { EngineStatus } from "../../src/engine/protocol.ts";
import type { Death } from "../../src/store/mod.ts";
import type { EngineProcess } from "../../src/supervisor/engine_process.ts";
import type { OldEngine } from "../../src/supervisor/old_engines.ts";
import { Watchdog } from "../../src/supervisor/watchdog.ts";
import { captureLog } from "../support/capture_log.ts";
import { TestClock } from "../support/fixtures.ts";

const STATUS: EngineStatus = { claimed: 7, rss: 1_000, running: 0, stuck: 0, waiting: 0, open: ["a", "b"] };

/** What the watchdog sees of an engine. */
interface Seen {
  identity: { id: string } | undefined;
  status: EngineStatus | undefined;
  silentFor: number;
  isDraining: boolean;
  age: number;
}

/** The watchdog on one engine and a record that the test writes. */
class Scene {
  readonly clock = new TestClock();
  readonly engine: Seen = {
    identity: { id: "e" },
    status: STATUS,
    silentFor: 0,
    isDraining: false,
    age: 3_600_000,
  };
  readonly watchdog: Watchdog;
  overdue: number[] = [];
  /** Held, and within their limits. */
  others: number[] = [3];
  inside = [3, 4, 5];
  ready: Record<string, number> = {};
  /** Channels that had ready tasks at the last beat. */
  heard: string[] = ["a", "b"];
  asked = 0;
  /** Happens while the record is asked. */
  answers = () => {};
  readonly graces: number[] = [];
  readonly deaths: Death[] = [];
  old: OldEngine[] = [];
  readonly oldDeaths: [number, Death][] = [];
  replaced = 0;
  mayRecycle = true;

  constructor() {
    const engine = Object.assign(this.engine, { pid: 1, kill: (death: Death) => this.deaths.push(death) });
    this.watchdog = new Watchdog({
      store: {
        heldBy: (_id, grace) => {
          this.graces.push(grace);
          this.answers();
          return Promise.resolve({ overdue: this.overdue, others: this.others });
        },
        readyCounts: (channels) => {
          this.asked++;
          return Promise.resolve(new Map(channels.map((one) => [one, this.ready[one] ?? 0])));
        },
      },
      ready: () => this.heard,
      engines: () => [engine as unknown as EngineProcess],
      oldEngines: () => this.old,
      endOld: (old, death) => this.oldDeaths.push([old.pid, death]),
      inside: () => this.inside,
      mostRss: 2_000,
      mostTasks: 1_000,
      mayRecycle: () => this.mayRecycle,
      replace: () => this.replaced++,
      clock: this.clock,
    });
  }

  /** So many seconds, with a look every 2.5 s. */
  async pass(seconds: number): Promise<void> {
    for (let passed = 0; passed < seconds; passed += 2.5) {
      const pause = await this.watchdog.runOnce();
      await this.clock.advance(pause);
    }
  }
}

Deno.test("an engine that does not answer while a task is past its limit is killed, the task alone charged", async () => {
  await using log = await captureLog();
  const scene = new Scene();
  scene.overdue = [4, 5];
  await scene.watchdog.runOnce();
  scene.engine.silentFor = 2_000;
  await scene.watchdog.runOnce();
  assert.deepEqual(scene.deaths, [], "it answers, so its own time limits work");
  scene.engine.silentFor = 2_001;
  await scene.watchdog.runOnce();
  assert.deepEqual(scene.deaths, [{ reason: "a handler blocked the worker engine", overdue: [4, 5] }]);
  assert.equal(log.count(/ERROR +supervisor: A handler blocks its engine beyond its time limit pid=1/), 1);
});

Deno.test("a busy engine without an overdue task is left alone, however long it is silent", async () => {
  const scene = new Scene();
  scene.engine.silentFor = 3_600_000;
  await scene.pass(30);
  scene.overdue = [4];
  scene.engine.identity = undefined;
  await scene.pass(5);
  assert.deepEqual(scene.deaths, []);
  assert.equal(scene.replaced, 0);
});

Deno.test("a task that waits behind a handler that computes is not timed out, and its engine lives", async () => {
  const scene = new Scene();
  scene.engine.silentFor = 3_600_000;
  scene.overdue = [4, 6];
  scene.inside = [3];
  await scene.pass(30);
  assert.deepEqual(scene.deaths, []);
  scene.inside = [3, 4];
  await scene.watchdog.runOnce();
  assert.deepEqual(scene.deaths, [{ reason: "a handler blocked the worker engine", overdue: [4] }]);
});

Deno.test("an engine that is silent and runs nothing gives back what it holds beyond its limit", async () => {
  const scene = new Scene();
  scene.engine.silentFor = 3_600_000;
  // Frozen: its journal has only what it ran before, and what waits there would wait for ever.
  scene.inside = [1, 2];
  await scene.pass(30);
  assert.deepEqual(scene.deaths, []);
  scene.overdue = [4];
  await scene.watchdog.runOnce();
  assert.deepEqual(scene.deaths, [{ reason: "the worker engine did not answer" }]);
});

Deno.test("an engine of the old tq is ended for tasks inside their handlers long past their limits alone", async () => {
  const scene = new Scene();
  scene.old = [{ pid: 8, id: null, isTold: true }, { pid: 9, id: "old", isTold: true }];
  scene.overdue = [6];
  await scene.pass(10);
  assert.deepEqual(scene.oldDeaths, []);
  assert.deepEqual(scene.graces, [20, 20, 20, 20], "it decides by itself at ten");
  scene.overdue = [4, 6];
  await scene.watchdog.runOnce();
  assert.deepEqual(scene.oldDeaths, [[9, { reason: "a handler blocked the worker engine", overdue: [4] }]]);
  assert.deepEqual(scene.deaths, []);
});

Deno.test("an engine that claims nothing although tasks are ready and it has places is replaced", async () => {
  await using log = await captureLog();
  const scene = new Scene();
  await scene.pass(10);
  scene.ready = { b: 1 };
  await scene.pass(10);
  assert.equal(scene.replaced, 0, "not before they have been ready for 10 s");
  await scene.pass(2.5);
  assert.equal(scene.replaced, 1);
  assert.equal(log.count(/takes no tasks although there are some/), 1);
});

Deno.test("an engine that claims, has no place, drains or is new is not deaf", async () => {
  for (
    const healthy of [
      (seen: Seen, turn: number) => seen.status = { ...STATUS, claimed: turn },
      (seen: Seen) => seen.status = { ...STATUS, open: [] },
      (seen: Seen) => seen.isDraining = true,
      (seen: Seen) => seen.status = undefined,
    ]
  ) {
    const scene = new Scene();
    scene.ready = { a: 5, b: 5 };
    for (let turn = 0; turn < 20; turn++) {
      healthy(scene.engine, turn);
      await scene.pass(2.5);
    }
    assert.equal(scene.replaced, 0, healthy.toString());
  }
});

Deno.test("tasks on channels that are at their limit make no engine deaf", async () => {
  const scene = new Scene();
  scene.engine.status = { ...STATUS, open: ["a"] };
  scene.ready = { b: 100 };
  await scene.pass(60);
  assert.equal(scene.replaced, 0);
});

Deno.test("the record is asked only for channels that had ready tasks at the last beat", async () => {
  await using _log = await captureLog();
  const scene = new Scene();
  scene.ready = { a: 1, b: 1 };
  for (const heard of [[], ["another"]]) {
    scene.heard = heard;
    await scene.pass(60);
    assert.deepEqual([scene.asked, scene.replaced], [0, 0]);
  }
  scene.heard = ["b"];
  await scene.pass(12.5);
  assert.equal(scene.replaced, 1);
});

Deno.test("tasks that others take in time make no engine deaf", async () => {
  const scene = new Scene();
  for (let i = 0; i < 10; i++) {
    scene.ready = { a: 1 };
    await scene.pass(7.5);
    scene.ready = {};
    await scene.pass(2.5);
  }
  assert.equal(scene.replaced, 0);
});

Deno.test("an engine that has grown too large or run enough tasks is replaced", async () => {
  await using log = await captureLog();
  for (
    const [worn, status] of [
      [false, { ...STATUS, rss: 2_000, claimed: 999 }],
      [true, { ...STATUS, rss: 2_001 }],
      [true, { ...STATUS, claimed: 1_000 }],
    ] as const
  ) {
    const scene = new Scene();
    scene.engine.status = status;
    await scene.watchdog.runOnce();
    assert.equal(scene.replaced, worn ? 1 : 0, JSON.stringify(status));
    scene.engine.isDraining = true;
    await scene.watchdog.runOnce();
    assert.equal(scene.replaced, worn ? 1 : 0, "asked once");
  }
  assert.equal(log.count(/Recycling an engine pid=1/), 2);
});

Deno.test("an engine that is too large from its start is replaced once a minute, not all the time", async () => {
  await using _log = await captureLog();
  const scene = new Scene();
  scene.engine.status = { ...STATUS, rss: 2_001 };
  scene.engine.age = 60_000;
  await scene.pass(10);
  assert.equal(scene.replaced, 0);
  scene.engine.age = 60_001;
  await scene.watchdog.runOnce();
  assert.equal(scene.replaced, 1);
});

Deno.test("a worn out engine stays while the code that is there was refused", async () => {
  await using log = await captureLog();
  const scene = new Scene();
  scene.engine.status = { ...STATUS, rss: 2_001 };
  scene.mayRecycle = false;
  await scene.pass(10);
  assert.equal(scene.replaced, 0);
  scene.mayRecycle = true;
  await scene.watchdog.runOnce();
  assert.equal(scene.replaced, 1);
  assert.equal(log.count(/Recycling an engine/), 1);
});

Deno.test("an engine is replaced when nothing runs in it but handlers whose tasks are over", async () => {
  await using log = await captureLog();
  const scene = new Scene();
  scene.mayRecycle = false;
  scene.engine.status = { ...STATUS, running: 3, stuck: 2, open: [] };
  await scene.pass(60);
  assert.equal(scene.replaced, 0, "the third goes on to its end");
  scene.engine.status = { ...STATUS, running: 2, stuck: 2, open: [] };
  scene.engine.isDraining = true;
  await scene.watchdog.runOnce();
  assert.equal(scene.replaced, 0, "it goes already");
  scene.engine.isDraining = false;
  await scene.watchdog.runOnce();
  assert.equal(scene.replaced, 1);
  assert.equal(log.count(/handlers go on after their tasks are over pid=1 tasks=2/), 1);
});

Deno.test("a record that is away is no sleep: the loop goes on failing, and judges when it is back", async () => {
  const scene = new Scene();
  scene.engine.silentFor = 60_000;
  scene.overdue = [4];
  scene.answers = () => {
    throw new Error("away");
  };
  for (let i = 0; i < 4; i++) {
    await assert.rejects(scene.watchdog.runOnce(), /away/);
    await scene.clock.advance(2_500);
  }
  scene.answers = () => {};
  await scene.watchdog.runOnce();
  assert.equal(scene.deaths.length, 1);
});

Deno.test("an engine that holds nothing and has been silent for half a minute is ended", async () => {
  const scene = new Scene();
  scene.others = [];
  // A handler whose task is over is in the journal still.
  scene.engine.silentFor = 30_000;
  await scene.pass(10);
  assert.deepEqual(scene.deaths, []);
  scene.engine.silentFor = 30_001;
  await scene.watchdog.runOnce();
  assert.deepEqual(scene.deaths, [{ reason: "the worker engine did not answer" }]);
});

Deno.test("an engine that answers while the record is asked lives", async () => {
  const scene = new Scene();
  scene.engine.silentFor = 60_000;
  scene.overdue = [4];
  scene.answers = () => scene.engine.silentFor = 10;
  await scene.pass(5);
  assert.deepEqual(scene.graces, [2]);
  assert.deepEqual(scene.deaths, []);
});

Deno.test("no silence is judged by a watchdog that has slept itself", async () => {
  const scene = new Scene();
  await scene.pass(5);
  scene.overdue = [4];
  scene.engine.silentFor = 60_000;
  await scene.clock.advance(60_000);
  await scene.watchdog.runOnce();
  assert.deepEqual(scene.deaths, []);
  await scene.clock.advance(2_500);
  await scene.watchdog.runOnce();
  assert.equal(scene.deaths.length, 1, "it is silent still");
});

Deno.test("an engine of the old tq that holds late tasks and runs none is ended after half a minute of that", async () => {
  const scene = new Scene();
  scene.old = [{ pid: 9, id: "old", isTold: true }];
  scene.overdue = [6];
  scene.inside = [];
  await scene.pass(27.5);
  scene.inside = [3];
  await scene.watchdog.runOnce();
  scene.inside = [];
  await scene.pass(30);
  assert.deepEqual(scene.oldDeaths, [], "it ran something in between");
  await scene.watchdog.runOnce();
  assert.deepEqual(scene.oldDeaths, [[9, { reason: "the worker engine did not answer" }]]);
});
