import assert from "node:assert/strict";
import type { Subscription } from "../../src/config.ts";
import { createDispatch, type Dispatch, type Hint } from "../../src/dispatch/mod.ts";
import { Claimer } from "../../src/engine/claimer.ts";
import { UnreachableError } from "../../src/errors.ts";
import { Store } from "../../src/store/mod.ts";
import { eventually, type TestClock } from "../support/fixtures.ts";
import { needTest } from "../support/need.ts";
import { PrivateRedis } from "../support/private_redis.ts";
import { publish, recordOf } from "../support/tasks.ts";
import { TestRecord } from "../support/test_record.ts";
import { Bench, rowsOf } from "./parts.ts";

/** A claimer between a record, a dispatch and an executor, all real. */
class Claims implements AsyncDisposable {
  readonly record: TestRecord;
  readonly store: Store;
  readonly dispatch: Dispatch;
  readonly bench: Bench;
  readonly claimer: Claimer;
  readonly stop = new AbortController();
  full = false;

  private constructor(record: TestRecord, bench: Bench, channels: string, kind: typeof Store) {
    this.record = record;
    this.bench = bench;
    const settings = record.settings({ TQ_SUBSCRIBE: channels });
    this.store = record.storeOf(kind);
    this.dispatch = createDispatch(settings, record.install, this.store.wakeup);
    this.claimer = this.make(settings.TQ_SUBSCRIBE, bench.clock);
  }

  static async make(
    workers: number,
    channels: string,
    redis: boolean | string,
    kind: typeof Store = Store,
  ): Promise<Claims> {
    const record = await TestRecord.make(
      redis === false ? {} : { redis: redis === true ? "shared" : redis },
    );
    return new Claims(record, await Bench.make(workers), channels, kind);
  }

  make(subscriptions: readonly Subscription[], clock: TestClock, dispatch = this.dispatch): Claimer {
    return new Claimer({
      engineId: this.bench.engineId,
      subscriptions,
      dispatch,
      store: this.store,
      executor: this.bench.executor,
      isFull: () => this.full,
      clock,
    });
  }

  /** Publishes and pushes. */
  async publish(channel: string, count = 1): Promise<number[]> {
    const ids = await publish(this.store, count, { channel, model: "test", fname: "run" });
    await this.dispatch.push(ids.map((id) => ({ id, channel, priority: 0 })));
    return ids;
  }

  /** One turn of the loop. */
  async turn(): Promise<void> {
    await this.claimer.runOnce(this.stop.signal);
    await this.claimer.idle();
    await this.bench.settle();
  }

  /** Ends a run and has it recorded. */
  async finish(id: number): Promise<void> {
    this.bench.run(id).resolve();
    await this.bench.settle();
    const held = this.bench.held.find((one) => one.row.id === id);
    assert.ok(held !== undefined);
    assert.equal(await this.store.complete([{ id, claims: held.claims }], this.bench.engineId, null), 1);
    this.bench.executor.forget(held);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stop.abort();
    await this.dispatch.close();
    await this.bench[Symbol.asyncDispose]();
    await this.record[Symbol.asyncDispose]();
  }
}

for (const redis of [true, false]) {
  const name = redis ? "through Redis" : "from Postgres alone";
  const needs = redis ? ["postgres", "redis"] as const : ["postgres"] as const;

  needTest(needs, `a channel's limit holds: never more of it at once, ${name}`, async () => {
    await using claims = await Claims.make(10, "limited:2", redis);
    const { bench } = claims;
    const ids = await claims.publish("limited", 10);
    for (let done = 0; done < ids.length; done++) {
      if (done < 9) {
        await eventually(async () => {
          const left = ids.length - bench.started.length;
          if (left > 0 && bench.executor.heldOf("limited") < 2) await claims.turn();
          return bench.executor.running === 2;
        }, { what: "two tasks inside their handlers" });
      }
      assert.ok(bench.executor.heldOf("limited") <= 2);
      const ran = bench.started.filter((id) => !bench.ended.some((end) => end.id === id));
      await claims.finish(ran[0]!);
    }
    assert.deepEqual(bench.started.toSorted((a, b) => a - b), ids);
    assert.equal(bench.started.length, 10, "each once");
  });

  needTest(needs, `a channel at its limit leaves the others alone, ${name}`, async () => {
    await using claims = await Claims.make(10, "limited:1,open", redis);
    await claims.publish("limited", 5);
    const open = await claims.publish("open", 5);
    await eventually(async () => {
      await claims.turn();
      return claims.bench.executor.running === 6;
    }, { what: "one of the one, all of the other" });
    assert.equal(claims.bench.executor.heldOf("limited"), 1);
    assert.deepEqual(claims.bench.started.filter((id) => open.includes(id)).sort((a, b) => a - b), open);
  });

  needTest(
    needs,
    `a channel that was at its limit is claimed from as soon as it has room, ${name}`,
    async () => {
      await using claims = await Claims.make(10, "limited:1,quiet", redis);
      const [first, second] = await claims.publish("limited", 2);
      await eventually(async () => {
        await claims.turn();
        return claims.bench.executor.running === 1;
      }, { what: "the first" });
      const waiting = claims.claimer.runOnce(claims.stop.signal);
      await claims.finish(first!);
      const started = performance.now();
      await waiting;
      await eventually(async () => {
        await claims.turn();
        return claims.bench.started.includes(second!);
      }, { what: "the second" });
      assert.ok(performance.now() - started < 1500, "it did not wait for the quiet channel's five seconds");
    },
  );
}

needTest(
  ["postgres", "redis-binaries"],
  "a claimer with a channel at its limit asks nobody until that has room",
  async () => {
    await using server = await PrivateRedis.started();
    class CountingStore extends Store {
      looks = 0;
      override claimNext(...args: Parameters<Store["claimNext"]>): ReturnType<Store["claimNext"]> {
        this.looks++;
        return super.claimNext(...args);
      }
    }
    await using claims = await Claims.make(10, "limited:1,quiet", server.url(), CountingStore);
    const [first, second] = await claims.publish("limited", 2);
    await eventually(async () => {
      await claims.turn();
      return claims.bench.executor.running === 1;
    }, { what: "the first" });
    const looks = (claims.store as CountingStore).looks;
    const waiting = claims.claimer.runOnce(claims.stop.signal);
    await eventually(async () => {
      const clients = String(await claims.record.redis.client("LIST")).split("\n");
      return clients.some((one) => / name=tq-pop .* idle=[1-9]\d* flags=b /.test(one));
    }, { what: "a pop that blocks for a second" });
    await claims.finish(first!);
    const started = performance.now();
    await waiting;
    await claims.turn();
    assert.deepEqual(claims.bench.started, [first, second]);
    assert.ok(performance.now() - started < 1500, "it did not wait for the quiet channel's five seconds");
    assert.equal((claims.store as CountingStore).looks, looks);
  },
);

needTest(
  ["postgres", "redis"],
  "ids beyond a channel's limit go back to where others find them",
  async () => {
    await using claims = await Claims.make(10, "limited:2", true);
    const ids = await claims.publish("limited", 5);
    await claims.turn();
    assert.deepEqual(claims.bench.started, ids.slice(0, 2));
    const back = await claims.dispatch.pop(["limited"], 100, 0, claims.stop.signal);
    assert.deepEqual(back.map((hint) => hint.id), ids.slice(2));
    assert.deepEqual(back.map((hint) => hint.priority), [0, 0, 0]);
    for (const id of ids.slice(2)) assert.equal((await recordOf(claims.store, id)).state, 0);
  },
);

needTest(
  ["postgres"],
  "an engine with a sole channel at its limit goes on when its end is recorded",
  async () => {
    await using claims = await Claims.make(10, "limited:1", false);
    const [first, second] = await claims.publish("limited", 2);
    await claims.turn();
    const waiting = claims.claimer.runOnce(claims.stop.signal);
    claims.bench.run(first!).resolve();
    await claims.bench.settle();
    await waiting;
    // It looks in vain once the handler has ended, and must be woken again once that is recorded.
    const again = claims.claimer.runOnce(claims.stop.signal);
    claims.bench.executor.forget(claims.bench.held[0]!);
    await again;
    await claims.turn();
    assert.deepEqual(claims.bench.started, [first, second]);
  },
);

needTest(["postgres", "redis"], "each channel is the first in turn", async () => {
  await using claims = await Claims.make(1, "a,b,c", true);
  for (const channel of ["a", "b", "c"]) await claims.publish(channel, 3);
  const order: string[] = [];
  for (let i = 0; i < 9; i++) {
    await claims.turn();
    const id = claims.bench.started.at(-1)!;
    order.push(claims.bench.run(id).task.channel);
    await claims.finish(id);
    await claims.bench.clock.advance(300); // So that nothing is claimed ahead.
  }
  assert.deepEqual(order.slice(0, 3).toSorted(), ["a", "b", "c"]);
  assert.deepEqual([...order.slice(0, 3), ...order.slice(0, 3), ...order.slice(0, 3)], order);
});

needTest(["postgres", "redis"], "an engine without a free place claims nothing", async () => {
  await using claims = await Claims.make(1, "a", true);
  const [first, second] = await claims.publish("a", 2);
  await claims.turn();
  assert.deepEqual(claims.bench.started, [first]);
  for (let i = 0; i < 20; i++) {
    const turn = claims.turn();
    await claims.bench.clock.advance(250);
    await turn;
  }
  assert.equal((await recordOf(claims.store, second!)).claims, 0);
  await claims.finish(first!);
  await claims.turn();
  assert.deepEqual(claims.bench.started, [first, second]);
});

needTest(["postgres", "redis"], "an engine with too many ends on their way claims nothing", async () => {
  await using claims = await Claims.make(5, "a", true);
  const [id] = await claims.publish("a");
  claims.full = true;
  const pause = await claims.claimer.runOnce(claims.stop.signal);
  assert.ok(pause > 0);
  assert.deepEqual(claims.claimer.open, []);
  assert.equal((await recordOf(claims.store, id!)).claims, 0);
  claims.full = false;
  await claims.turn();
  assert.deepEqual(claims.bench.started, [id]);
});

needTest(["postgres", "redis"], "ids of tasks that are not ready are skipped", async () => {
  await using claims = await Claims.make(5, "a", true);
  const [canceled, taken, ready] = await claims.publish("a", 3);
  await claims.store.cancel([canceled!], null);
  await claims.store.claim([taken!], crypto.randomUUID());
  await claims.dispatch.push([{ id: 2 ** 40, channel: "a", priority: 0 }]);
  await claims.turn();
  assert.deepEqual(claims.bench.started, [ready]);
  assert.equal(claims.claimer.claimed, 1);
});

needTest(
  ["postgres", "redis"],
  "tasks start in the order of their ids, higher priorities first",
  async () => {
    await using claims = await Claims.make(20, "a", true);
    const low = await claims.publish("a", 10);
    const [high] = await publish(claims.store, 1, { channel: "a", model: "test", fname: "run", priority: 5 });
    await claims.dispatch.push([{ id: high!, channel: "a", priority: 5 }]);
    await claims.turn();
    assert.deepEqual(claims.bench.started, [high, ...low]);
  },
);

needTest(["postgres", "redis"], "ids whose claim failed go back", async () => {
  let fail = true;
  class Failing extends Store {
    override claim(...args: Parameters<Store["claim"]>): ReturnType<Store["claim"]> {
      return fail ? Promise.reject(new Error("cut off")) : super.claim(...args);
    }
  }
  await using claims = await Claims.make(5, "a", true, Failing);
  const ids = await claims.publish("a", 3);
  await claims.turn();
  await assert.rejects(claims.turn(), /cut off/);
  // Else the log would say that it works again, and then that it does not.
  for (let i = 0; i < 3; i++) await assert.rejects(claims.turn(), /cut off/);
  fail = false;
  await claims.turn();
  assert.deepEqual(claims.bench.started, ids);
});

needTest(
  ["postgres", "redis"],
  "two claims are under way at once, and no third; stop() waits for both",
  async () => {
    const gates: PromiseWithResolvers<void>[] = [];
    class Gated extends Store {
      override async claim(...args: Parameters<Store["claim"]>): ReturnType<Store["claim"]> {
        gates.push(Promise.withResolvers());
        await gates.at(-1)!.promise;
        return await super.claim(...args);
      }
    }
    await using claims = await Claims.make(10, "a", true, Gated);
    const { claimer, bench } = claims;
    const ids = await claims.publish("a", 3);
    await claimer.runOnce(claims.stop.signal);
    ids.push(...await claims.publish("a", 3));
    await claimer.runOnce(claims.stop.signal);
    assert.equal(gates.length, 2);
    ids.push(...await claims.publish("a", 3));
    const third = claimer.runOnce(claims.stop.signal);
    gates[1]!.resolve();
    await third;
    assert.equal(gates.length, 2, "that one only waited for room");
    await bench.settle();
    assert.deepEqual(bench.started, ids.slice(3, 6));
    await claimer.runOnce(claims.stop.signal);
    assert.equal(gates.length, 3);
    let stopped = false;
    const stopping = claimer.stop().then(() => stopped = true);
    gates[2]!.resolve();
    await eventually(() => claimer.claimed === 6, { what: "the third claim" });
    assert.equal(stopped, false, "the first is not answered");
    gates[0]!.resolve();
    await stopping;
    await bench.settle();
    assert.deepEqual(bench.started.toSorted((a, b) => a - b), ids);
  },
);

needTest(["postgres"], "ids popped in the moment of a stop go back", async () => {
  await using claims = await Claims.make(5, "a", false);
  const hints: Hint[] = [{ id: 7, channel: "a", priority: 3 }];
  const back: Hint[] = [];
  // The window is a moment: a dispatch that opens it at will.
  const dispatch = {
    pop: () => (claims.stop.abort(), Promise.resolve(hints)),
    push: (pushed: readonly Hint[]) => Promise.resolve(void back.push(...pushed)),
  } as unknown as Dispatch;
  const claimer = claims.make([{ channel: "a", limit: undefined }], claims.bench.clock, dispatch);
  await claimer.runOnce(claims.stop.signal);
  assert.deepEqual(back, hints);
  assert.equal(claimer.claimed, 0);
});

/** What a claimer asks for when claims of so many rows, of so many bytes, are answered after so many milliseconds. */
async function asked(
  answers: readonly (readonly [rows: number, bytes: number, after: number])[],
): Promise<number[]> {
  await using bench = await Bench.make(2_000);
  const counts: number[] = [];
  const answer = async () => {
    const [rows, bytes, after] = answers[counts.length - 1] ?? [0, 0, 0];
    await bench.clock.advance(after);
    if (rows < 0) throw new UnreachableError("Postgres did not answer");
    return rowsOf(1_000 * counts.length, 1_000 * counts.length + rows - 1, { data: "x".repeat(bytes) });
  };
  const pop = (_channels: readonly string[], count: number) => {
    counts.push(count);
    return Promise.resolve([]);
  };
  const claimer = new Claimer({
    engineId: bench.engineId,
    subscriptions: [{ channel: "c", limit: undefined }],
    dispatch: { pop, push: () => Promise.resolve() } as unknown as Dispatch,
    store: { claim: answer, claimNext: answer },
    executor: Object.assign(bench.executor, { take: () => {}, wants: () => 2_000 }),
    isFull: () => false,
    clock: bench.clock,
  });
  for (const _ of answers) await claimer.runOnce(new AbortController().signal).catch(() => {});
  await claimer.runOnce(new AbortController().signal);
  return counts;
}

Deno.test("after a claim that came too late for its tasks to start half as many are asked for, until one is in time", async () => {
  const late = [400, 10, 1_000] as const;
  assert.deepEqual(await asked([late, [200, 10, 1_000], [100, 10, 5_000], [1, 10, 1_000], [0, 0, 9_000]]), [
    1_000,
    200,
    100,
    50,
    1,
    1,
  ]);
  const inTime = [[200, 10, 999], [200, 10, 334], [200, 10, 10], [300, 10, 10], [9, 10, 10]] as const;
  assert.deepEqual(
    await asked([late, ...inTime]),
    [1_000, 200, 225, 254, 508, 1_000, 1_000],
    "with time to spare",
  );
  const lost = [[-1, 0, 10_000], [-1, 0, 10_000], [-1, 0, 10], [1, 10, 10]] as const;
  assert.deepEqual(
    await asked(lost),
    [1_000, 500, 250, 250, 500],
    "an answer that never came was late as well",
  );
});

Deno.test("of large tasks a claim asks for what 8 MiB hold", async () => {
  assert.deepEqual(await asked([[4, 1_048_576, 10], [8, 1_048_576, 10], [8, 100, 10]]), [1_000, 8, 8, 16]);
  assert.deepEqual(await asked([[1, 20_000_000, 10]]), [1_000, 1]);
});
