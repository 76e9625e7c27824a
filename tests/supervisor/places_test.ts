import assert from "node:assert/strict";
import { TqError, UnreachableError } from "../../src/errors.ts";
import type { EngineReady } from "../../src/engine/engine.ts";
import type { EngineProcess } from "../../src/supervisor/engine_process.ts";
import { Places } from "../../src/supervisor/places.ts";
import { captureLog } from "../support/capture_log.ts";
import { TestClock } from "../support/fixtures.ts";

/** An engine process that does what the test says. */
class FakeEngine {
  readonly #ready = Promise.withResolvers<EngineReady>();
  readonly #exited = Promise.withResolvers<Deno.CommandStatus>();
  readonly #clock: TestClock;
  readonly #since: number;
  readonly strict: boolean;
  readonly ready = this.#ready.promise;
  readonly exited = this.#exited.promise;
  readonly drains: (number | null)[] = [];
  isDraining = false;
  isGone = false;
  ending: string | undefined;
  pid = 1;

  constructor(clock: TestClock, strict: boolean) {
    this.#clock = clock;
    this.#since = clock.monotonic();
    this.strict = strict;
    this.ready.catch(() => {});
  }

  get age(): number {
    return this.#clock.monotonic() - this.#since;
  }

  readonly becomeReady = () => this.#ready.resolve({ id: "e", commit: null, problems: [] });

  refuse(error: Error): void {
    this.#ready.reject(error);
    this.exit(1);
  }

  exit(code = 0): void {
    this.isGone = true;
    this.ending = `exit code ${code}`;
    this.#ready.reject(new TqError("ended"));
    this.#exited.resolve({ success: code === 0, code, signal: null });
  }

  drain(seconds: number | null): void {
    this.isDraining = true;
    this.drains.push(seconds);
  }

  kill(): void {
    this.exit(9);
  }
}

/** Places, and the engines that were started for them. */
class Scene {
  readonly clock = new TestClock();
  readonly engines: FakeEngine[] = [];
  readonly places: Places;
  troubles = 0;

  constructor(count: number) {
    this.places = new Places({
      count,
      spawn: (strict) => {
        const engine = new FakeEngine(this.clock, strict);
        this.engines.push(engine);
        return engine as unknown as EngineProcess;
      },
      troubled: () => this.troubles++,
      clock: this.clock,
    });
  }

  static async started(count: number): Promise<Scene> {
    const scene = new Scene(count);
    const started = scene.places.start();
    for (const engine of scene.engines) engine.becomeReady();
    await started;
    return scene;
  }

  settle(): Promise<void> {
    return this.clock.advance(0);
  }
}

Deno.test("start() fills every place and resolves when all engines take tasks", async () => {
  const scene = new Scene(3);
  let started = false;
  const start = scene.places.start().then(() => started = true);
  assert.equal(scene.engines.length, 3);
  scene.engines[0]!.becomeReady();
  scene.engines[1]!.becomeReady();
  await scene.settle();
  assert.equal(started, false);
  scene.engines[2]!.becomeReady();
  await start;
  assert.deepEqual(scene.engines.map((engine) => engine.strict), [false, false, false]);
});

Deno.test("start() rejects when an engine refuses, but waits for a Postgres that is away", async () => {
  await using _log = await captureLog();
  const scene = new Scene(1);
  const start = scene.places.start();
  scene.engines[0]!.refuse(new UnreachableError("away"));
  await scene.clock.advance(1_000);
  assert.equal(scene.engines.length, 2, "tried again");
  scene.engines[1]!.becomeReady();
  await start;
  const other = new Scene(1);
  const refused = other.places.start();
  other.engines[0]!.refuse(new TqError("no such database"));
  await assert.rejects(refused, /no such database/);
  assert.equal(other.engines.length, 1);
});

Deno.test("an engine that ends is replaced at once; those that die young again and again wait longer and longer", async () => {
  await using log = await captureLog();
  const scene = await Scene.started(1);
  scene.engines[0]!.exit(1);
  await scene.settle();
  assert.equal(scene.engines.length, 2, "the first time at once");
  const waits: number[] = [];
  for (let i = 1; i < 8; i++) {
    scene.engines[i]!.exit(1);
    await scene.settle();
    assert.equal(scene.engines.length, i + 1);
    waits.push(scene.clock.untilNext!);
    await scene.clock.advance(waits.at(-1)!);
    assert.equal(scene.engines.length, i + 2);
  }
  for (const [i, wait] of waits.entries()) {
    const base = 50 * 2 ** (i + 2);
    assert.ok(wait >= base / 2 && wait <= base, `the ${i}th is ${wait}`);
  }
  assert.equal(log.count(/Engines die young; the next one waits/), 7);
  // A millisecond more: the waits are fractions, and their sum is rounded.
  await scene.clock.advance(10_001);
  scene.engines.at(-1)!.exit(1);
  await scene.settle();
  assert.equal(scene.engines.length, 10, "one that was sound for 10 s clears the count");
});

Deno.test("engines that die young are trouble until one has lived for 10 s, or was replaced", async () => {
  await using log = await captureLog();
  const scene = await Scene.started(2);
  const dieYoung = async () => {
    scene.engines.at(-1)!.exit(7);
    await scene.settle();
    await scene.clock.advance(scene.clock.untilNext ?? 0);
  };
  await dieYoung();
  assert.equal(scene.places.trouble, undefined, "once may happen");
  await dieYoung();
  await dieYoung();
  const trouble = "engines die young, 3 in a row; the last one: exit code 7";
  assert.equal(scene.places.trouble, trouble);
  assert.equal(scene.troubles, 2);
  assert.equal(log.count(/Engines die young.* deaths=3 last="exit code 7" seconds=0\.[0-9]/), 1);
  await scene.clock.advance(9_999);
  assert.equal(scene.places.trouble, trouble);
  await scene.clock.advance(1);
  assert.equal(scene.places.trouble, undefined);
  for (let i = 0; i < 3; i++) await dieYoung();
  assert.match(scene.places.trouble ?? "", /, 2 in a row/, "the first was not young");
  const reloaded = scene.places.reload();
  for (let i = 0; i < 2; i++) {
    await scene.settle();
    scene.engines.at(-1)!.becomeReady();
  }
  await reloaded;
  assert.equal(scene.places.trouble, undefined, "other code, another chance");
});

Deno.test("no engine is started after stop(), nor one that waits for its turn", async () => {
  await using _log = await captureLog();
  const scene = await Scene.started(2);
  scene.engines[0]!.exit(1);
  await scene.settle();
  scene.engines[2]!.exit(1);
  await scene.settle();
  assert.equal(scene.engines.length, 3, "its place waits");
  const stopped = scene.places.stop();
  scene.engines[1]!.exit(0);
  await scene.clock.advance(60_000);
  await stopped;
  assert.equal(scene.engines.length, 3);
});

Deno.test("reload() replaces engines one by one, each old one draining only when its successor takes tasks", async () => {
  const scene = await Scene.started(2);
  const reloaded = scene.places.reload();
  await scene.settle();
  assert.equal(scene.engines.length, 3);
  assert.equal(scene.engines[2]!.strict, true, "code that does not import replaces nothing");
  assert.deepEqual(scene.engines.map((engine) => engine.drains), [[], [], []]);
  scene.engines[2]!.becomeReady();
  await scene.settle();
  assert.deepEqual(scene.engines[0]!.drains, [null], "to the own time limits of its tasks");
  assert.equal(scene.engines.length, 4);
  assert.deepEqual(scene.engines[1]!.drains, []);
  scene.engines[3]!.becomeReady();
  await reloaded;
  scene.engines[0]!.exit();
  scene.engines[1]!.exit();
  await scene.settle();
  assert.equal(scene.engines.length, 4, "the end of a replaced engine is no death");
  assert.deepEqual(scene.engines.slice(2).map((engine) => engine.drains), [[], []]);
});

Deno.test("reload() keeps the old engines when a new one refuses, or is not ready in time", async () => {
  const scene = await Scene.started(1);
  const refused = scene.places.reload();
  await scene.settle();
  scene.engines[1]!.refuse(new TqError("it does not import"));
  await assert.rejects(refused, /does not import/);
  const late = scene.places.reload();
  const rejected = assert.rejects(late, /not ready within 30 s/);
  await scene.clock.advance(30_000);
  await rejected;
  assert.deepEqual(scene.engines[0]!.drains, []);
  await scene.clock.advance(60_000);
  assert.equal(scene.engines.length, 3, "nothing is started in their place");
});

Deno.test("an engine that dies while its successor starts is not replaced twice", async () => {
  const scene = await Scene.started(1);
  const reloaded = scene.places.reload();
  await scene.settle();
  scene.engines[1]!.becomeReady();
  scene.engines[0]!.exit(1);
  await reloaded;
  await scene.clock.advance(5_000);
  assert.equal(scene.engines.filter((engine) => !engine.isDraining && !engine.isGone).length, 1);
});

Deno.test("a fourth generation that drains hurries the first", async () => {
  await using log = await captureLog();
  const scene = await Scene.started(1);
  for (let i = 1; i <= 4; i++) {
    const reloaded = scene.places.reload();
    await scene.settle();
    scene.engines[i]!.becomeReady();
    await reloaded;
  }
  assert.deepEqual(scene.engines.map((engine) => engine.drains), [[null, 0], [null], [null], [null], []]);
  assert.equal(log.count(/the oldest is hurried/), 1);
});

Deno.test("replace() replaces an engine once, however often it is asked for meanwhile", async () => {
  const scene = await Scene.started(1);
  const old = scene.engines[0]! as unknown as EngineProcess;
  const asked = [scene.places.replace(old), scene.places.replace(old)];
  await scene.settle();
  assert.equal(scene.engines.length, 2);
  scene.engines[1]!.becomeReady();
  await Promise.all(asked);
  await scene.places.replace(old);
  assert.equal(scene.engines.length, 2);
  assert.deepEqual(scene.engines.map((engine) => engine.drains), [[null], []]);
});
