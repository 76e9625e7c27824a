import assert from "node:assert/strict";
import type { EngineProcess } from "../../src/supervisor/engine_process.ts";
import { Suspects } from "../../src/supervisor/suspects.ts";
import { TestClock } from "../support/fixtures.ts";

/** The loop, on suspects and engines of the test's own. */
class Scene {
  readonly clock = new TestClock();
  readonly suspects: Suspects;
  /** Ready suspects, as the record would tell. */
  ready: number[] = [];
  /** Suspects whose engine was started, in order. */
  readonly spawned: number[] = [];
  readonly #ends = new Map<number, (success: boolean) => void>();
  /** Whether engines come as far as to be ready. */
  becomesReady = true;
  /** Held back while set: the record's answer is on its way. */
  answer: Promise<void> = Promise.resolve();

  constructor() {
    this.suspects = new Suspects({
      store: {
        readySuspects: async (_channels, limit) => {
          const found = this.ready.slice(0, limit);
          await this.answer;
          return found;
        },
      },
      channels: ["c"],
      spawn: (id) => {
        this.spawned.push(id);
        const { promise, resolve } = Promise.withResolvers<Deno.CommandStatus>();
        this.#ends.set(id, (success) => resolve({ success, code: success ? 0 : 1, signal: null }));
        const identity = this.becomesReady ? { id: `of ${id}`, commit: null, problems: [] } : undefined;
        return { exited: promise, identity } as unknown as EngineProcess;
      },
      clock: this.clock,
    });
  }

  once(): Promise<number> {
    return this.suspects.runOnce(new AbortController().signal);
  }

  async end(id: number): Promise<void> {
    this.ready = this.ready.filter((one) => one !== id);
    this.#ends.get(id)!(true);
    await this.clock.advance(0);
  }

  /** The engine of `id` ends without having claimed it. */
  async fail(id: number, success = false): Promise<void> {
    this.#ends.get(id)!(success);
    await this.clock.advance(0);
  }

  /** Milliseconds until `id` gets another engine. */
  async pauseOf(id: number): Promise<number> {
    const count = this.spawned.length;
    for (let ms = 0;; ms += 25) {
      await this.once();
      if (this.spawned.length > count) {
        assert.deepEqual(this.spawned.slice(count), [id]);
        return ms;
      }
      await this.clock.advance(25);
    }
  }
}

Deno.test("each suspect gets an engine of its own, four at once, none twice", async () => {
  const scene = new Scene();
  scene.ready = [1, 2, 3, 4, 5, 6];
  await scene.once();
  assert.deepEqual(scene.spawned, [1, 2, 3, 4]);
  await scene.once();
  assert.deepEqual(scene.spawned, [1, 2, 3, 4], "those that run are ready until they are claimed");
  await scene.end(2);
  await scene.once();
  assert.deepEqual(scene.spawned, [1, 2, 3, 4, 5]);
});

Deno.test("a suspect that became one again runs again", async () => {
  const scene = new Scene();
  scene.ready = [1];
  await scene.once();
  await scene.end(1);
  scene.ready = [1];
  await scene.once();
  assert.deepEqual(scene.spawned, [1, 1]);
});

Deno.test("it looks often while suspects run or are expected, else rarely", async () => {
  const scene = new Scene();
  assert.equal(await scene.once(), 30_000);
  scene.suspects.expect();
  assert.equal(await scene.once(), 250);
  await scene.clock.advance(5_001);
  assert.equal(await scene.once(), 30_000);
  scene.ready = [1];
  assert.equal(await scene.once(), 250);
});

Deno.test("expect() ends a rare look's pause", async () => {
  const scene = new Scene();
  scene.suspects.start();
  await scene.clock.advance(10);
  scene.ready = [1];
  scene.suspects.expect();
  await scene.clock.advance(1);
  assert.deepEqual(scene.spawned, [1]);
  const stopped = scene.suspects.stop();
  await scene.end(1);
  await stopped;
});

Deno.test("after stop() no engine is started, not even when the record's answer was on its way; those that run are waited for", async () => {
  const scene = new Scene();
  scene.ready = [1];
  scene.suspects.start();
  await scene.clock.advance(0);
  assert.deepEqual(scene.spawned, [1]);
  const answer = Promise.withResolvers<void>();
  scene.answer = answer.promise;
  scene.ready = [1, 2];
  await scene.clock.advance(300);
  let stopped = false;
  const stop = scene.suspects.stop().then(() => stopped = true);
  answer.resolve();
  await scene.clock.advance(1_000);
  assert.deepEqual(scene.spawned, [1]);
  assert.equal(stopped, false);
  await scene.end(1);
  await stop;
});

Deno.test("a suspect whose engine ended before its claim waits for another, longer each time, a minute at most", async () => {
  const scene = new Scene();
  scene.ready = [1];
  await scene.once();
  for (const longest of [100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 51_200, 60_000, 60_000]) {
    await scene.fail(1);
    const pause = await scene.pauseOf(1);
    assert.ok(pause >= longest / 2 && pause <= longest + 25, `${pause} ms instead of up to ${longest}`);
  }
  await scene.fail(1);
  // Others do not wait for it.
  scene.ready = [1, 2];
  assert.equal(await scene.pauseOf(2), 0);
  // It was claimed after all, by an engine of another host: what comes then is new.
  scene.ready = [2];
  await scene.once();
  scene.ready = [1, 2];
  assert.equal(await scene.pauseOf(1), 0);
});

Deno.test("an engine that ended before it was ready has failed, whatever its exit code says", async () => {
  const scene = new Scene();
  scene.becomesReady = false;
  scene.ready = [1];
  await scene.once();
  await scene.fail(1, true);
  assert.ok(await scene.pauseOf(1) >= 50);
});

Deno.test("suspects that wait for an engine hide no others", async () => {
  const scene = new Scene();
  scene.ready = Array.from({ length: 9 }, (_, n) => n);
  for (let ends = 0; ends < 8; ends += 4) {
    await scene.once();
    for (const id of scene.spawned.slice(-4)) await scene.fail(id);
  }
  assert.deepEqual(scene.spawned, [0, 1, 2, 3, 4, 5, 6, 7]);
  assert.equal(await scene.pauseOf(8), 0);
});
