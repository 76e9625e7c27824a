import assert from "node:assert/strict";
import { Batcher, type BatcherOptions } from "../src/batcher.ts";
import { BadValueError, UnreachableError } from "../src/errors.ts";
import { eventually } from "./support/fixtures.ts";

/** A batch that was sent and waits for the test to settle it. */
interface Sent<Item> {
  readonly items: readonly Item[];
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** A batcher whose sends the test settles by hand. */
function byHand<Item>(options: Partial<BatcherOptions<Item>> = {}) {
  const sent: Sent<Item>[] = [];
  const failures: [Item, unknown][] = [];
  const batcher = new Batcher<Item>({
    send(items) {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      sent.push({ items, resolve, reject });
      return promise;
    },
    failed: (item, error) => failures.push([item, error]),
    ...options,
  });
  return { batcher, sent, failures, addAll: (items: Item[]) => items.forEach((item) => batcher.add(item)) };
}

/** Every promise that can settle without the outside world has settled. */
function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

const numbers = (count: number, from = 0) => Array.from({ length: count }, (_, i) => from + i);
const sizes = <Item>(sent: readonly Sent<Item>[]) => sent.map(({ items }) => items.length);

Deno.test("a lone item is sent within the same turn of the event loop: no timer delays it", async () => {
  const { batcher, sent } = byHand<number>();
  let turned = false;
  const timer = setTimeout(() => turned = true, 0);
  batcher.add(1);
  assert.equal(batcher.waiting, 1);
  for (let i = 0; i < 5 && sent.length === 0; i++) await Promise.resolve();
  assert.deepEqual(sent.map(({ items }) => items), [[1]]);
  assert.equal(turned, false);
  clearTimeout(timer);
  assert.equal(batcher.waiting, 0);
});

Deno.test("items that are added together are sent together, in order", async () => {
  const { sent, addAll } = byHand<number>();
  addAll(numbers(1000));
  await turn();
  assert.deepEqual(sent.map(({ items }) => items), [numbers(1000)]);
});

Deno.test("items that come while a batch is under way are sent as one when it is over", async () => {
  const { batcher, sent, addAll } = byHand<number>();
  addAll([1]);
  await turn();
  for (const item of [2, 3, 4]) {
    batcher.add(item);
    await turn();
  }
  assert.deepEqual(sizes(sent), [1]);
  assert.equal(batcher.waiting, 3);
  sent[0]!.resolve();
  await turn();
  assert.deepEqual(sent.map(({ items }) => items), [[1], [2, 3, 4]]);
});

Deno.test("no more batches are under way than allowed", async () => {
  const { batcher, sent, addAll } = byHand<number>({ inFlight: 2, most: 10 });
  addAll(numbers(35));
  await turn();
  assert.deepEqual(sizes(sent), [10, 10]);
  batcher.add(35);
  await turn();
  assert.deepEqual(sizes(sent), [10, 10]);
  sent[1]!.resolve();
  await turn();
  assert.deepEqual(sizes(sent), [10, 10, 10]);
  sent[0]!.resolve();
  sent[2]!.reject(new Error("refused"));
  await turn();
  assert.deepEqual(sizes(sent), [10, 10, 10, 6]);
  assert.deepEqual(sent.flatMap(({ items }) => items), numbers(36));
});

Deno.test("a batch has at most 1,000 items by default, and 8 MiB unless one item alone is larger", async () => {
  const MiB = 1024 * 1024;
  const rows = byHand<number>({ inFlight: 2 });
  rows.addAll(numbers(2500));
  await turn();
  rows.sent[0]!.resolve();
  await turn();
  assert.deepEqual(sizes(rows.sent), [1000, 1000, 500]);

  const bytes = byHand<number>({ inFlight: 9, sizeOf: (size) => size });
  bytes.addAll([3 * MiB, 3 * MiB, 2 * MiB, 1, 9 * MiB, 1, 8 * MiB, 1]);
  assert.equal(bytes.batcher.bytes, 25 * MiB + 3);
  await turn();
  assert.deepEqual(bytes.sent.map(({ items }) => items), [
    [3 * MiB, 3 * MiB, 2 * MiB],
    [1],
    [9 * MiB],
    [1],
    [8 * MiB],
    [1],
  ]);
  assert.equal(bytes.batcher.bytes, 0);
});

Deno.test("what waits is shared out among the batches that may be under way, unless it is little", async () => {
  for (
    const [waiting, shares] of [[1000, [500, 500]], [401, [201, 200]], [300, [200, 100]], [200, [
      200,
    ]]] as const
  ) {
    const { sent, addAll } = byHand<number>({ inFlight: 2 });
    addAll(numbers(waiting));
    await turn();
    assert.deepEqual(sizes(sent), shares);
    assert.deepEqual(sent.flatMap(({ items }) => items), numbers(waiting));
  }
});

Deno.test("an error fails every item of its batch, once, and no other", async () => {
  const { sent, failures, addAll } = byHand<number>({ most: 3 });
  addAll(numbers(5));
  await turn();
  const error = new UnreachableError("away");
  sent[0]!.reject(error);
  await turn();
  assert.deepEqual(failures, [[0, error], [1, error], [2, error]]);
  sent[1]!.resolve();
  await turn();
  assert.equal(failures.length, 3);
});

Deno.test("a bad value is found by halving: it fails alone, and every other item is sent once", async () => {
  for (const bad of [[0], [12], [99], [3, 4], [0, 50, 99], numbers(100)]) {
    const accepted: number[] = [];
    let sends = 0;
    const { batcher, failures, addAll } = byHand<number>({
      // As Postgres does: all of a statement or nothing.
      send(items) {
        sends++;
        if (items.some((item) => bad.includes(item))) return Promise.reject(new BadValueError("no"));
        accepted.push(...items);
        return Promise.resolve();
      },
    });
    addAll(numbers(100));
    await batcher.idle();
    assert.deepEqual(failures.map(([item]) => item), bad);
    assert.deepEqual(accepted, numbers(100).filter((item) => !bad.includes(item)));
    if (bad.length === 1) assert.ok(sends <= 2 * 8, `${sends} sends for one bad value`);
  }
});

Deno.test("a batch that is being split still counts as under way", async () => {
  let underWay = 0;
  let most = 0;
  const { batcher, addAll } = byHand<number>({
    inFlight: 2,
    most: 10,
    async send(items) {
      most = Math.max(most, ++underWay);
      await turn();
      underWay--;
      if (items.includes(7)) throw new BadValueError("no");
    },
  });
  addAll(numbers(100));
  await batcher.idle();
  assert.equal(most, 2);
});

Deno.test("idle() resolves when nothing waits and nothing is under way, for everybody who asked", async () => {
  const { batcher, sent, addAll } = byHand<number>({ most: 1 });
  await batcher.idle();
  assert.equal(batcher.isIdle, true);
  addAll([1, 2]);
  assert.equal(batcher.isIdle, false);
  let idle = 0;
  const waits = [batcher.idle(), batcher.idle()].map((wait) => wait.then(() => idle++));
  await turn();
  sent[0]!.resolve();
  await turn();
  assert.equal(idle, 0);
  assert.equal(batcher.isIdle, false);
  sent[1]!.resolve();
  await Promise.all(waits);
  assert.equal(idle, 2);
  assert.equal(batcher.isIdle, true);
});

Deno.test("a long queue is worked off in order, without holding on to what was sent", async () => {
  const seen: number[] = [];
  const { batcher, addAll } = byHand<number>({
    async send(items) {
      seen.push(...items);
      await Promise.resolve();
    },
  });
  addAll(numbers(250_000));
  await eventually(() => seen.length >= 150_000, { what: "the first batches" });
  addAll(numbers(50_000, 250_000));
  await batcher.idle();
  assert.equal(seen.length, 300_000);
  assert.ok(seen.every((item, i) => item === i));
});
