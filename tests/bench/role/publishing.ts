/**
 * The ways in which tasks are published. Runs on Deno and on Node.
 *
 * @module
 */

import type { PublisherDriver } from "./driver.ts";
import type { BenchData, HandlerName } from "./handlers.ts";
import { wall } from "./wall.ts";

/** What a publisher is told to do. `bytes` is the size of a task's data as JSON. */
export type PublishOrder =
  & { readonly handler: HandlerName; readonly bytes: number }
  & (
    /** So many callers, each with one publish at a time, for `ms` after `warmMs` that do not count. */
    | { readonly how: "callers"; readonly callers: number; readonly ms: number; readonly warmMs: number }
    /** One caller, a batch at a time. */
    | { readonly how: "batches"; readonly size: number; readonly ms: number; readonly warmMs: number }
    /** So many tasks by so many callers. */
    | { readonly how: "count"; readonly callers: number; readonly count: number }
    /** So many tasks in batches, as fast as may be. */
    | { readonly how: "load"; readonly size: number; readonly count: number }
    /** At fixed moments, whatever becomes of the earlier ones. */
    | { readonly how: "rate"; readonly perSecond: number; readonly count: number }
  );

/** What came of it. */
export interface Published {
  readonly count: number;
  /** Milliseconds for these. */
  readonly ms: number;
}

/** Characters around the text; a moment may have one more or some less. */
const ENVELOPE = JSON.stringify({ at: 1764000000000.123, text: "" }).length;

/** Carries out an order. */
export async function publish(driver: PublisherDriver, order: PublishOrder): Promise<Published> {
  const text = textOf(order.bytes - ENVELOPE);
  const { handler } = order;
  const one = () => {
    if (driver.publish === undefined) throw new Error("this contestant publishes batches alone");
    return driver.publish(handler, { at: wall(), text });
  };
  const batch = (size: number) =>
    driver.publishMany(handler, Array.from({ length: size }, (): BenchData => ({ at: wall(), text })));
  switch (order.how) {
    case "callers":
      return await timed(order.callers, order, async () => (await one(), 1));
    case "batches":
      return await timed(1, order, async () => (await batch(order.size), order.size));
    case "count":
      return await counted(order.callers, order.count, 1, one);
    case "load":
      return await counted(1, order.count, order.size, batch);
    case "rate":
      return await open(order.perSecond, order.count, one);
  }
}

/** Counts what is done within the time. A caller that is busy when it ends is not counted. */
async function timed(
  callers: number,
  { ms, warmMs }: { ms: number; warmMs: number },
  act: () => Promise<number>,
): Promise<Published> {
  await act(); // Connects.
  const start = wall() + warmMs;
  const end = start + ms;
  let count = 0;
  let last = start;
  await Promise.all(Array.from({ length: callers }, async () => {
    for (;;) {
      const done = await act();
      const now = wall();
      if (now > end) return;
      if (now < start) continue;
      count += done;
      last = now;
    }
  }));
  // A slow contestant may have done nothing at all between the last end and the end of time.
  return { count, ms: count === 0 ? ms : Math.max(last - start, ms / 2) };
}

async function counted(
  callers: number,
  count: number,
  size: number,
  act: (size: number) => Promise<unknown>,
): Promise<Published> {
  let left = count;
  const start = wall();
  await Promise.all(Array.from({ length: callers }, async () => {
    while (left > 0) {
      const some = Math.min(size, left);
      left -= some;
      await act(some);
    }
  }));
  return { count, ms: wall() - start };
}

async function open(perSecond: number, count: number, act: () => Promise<unknown>): Promise<Published> {
  const start = wall();
  const acts: Promise<unknown>[] = [];
  while (acts.length < count) {
    const due = Math.min(count, Math.floor((wall() - start) * perSecond / 1000) + 1);
    while (acts.length < due) acts.push(act());
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  const ms = wall() - start;
  await Promise.all(acts);
  return { count, ms };
}

/** Text that does not compress well, the same for everybody. */
function textOf(length: number): string {
  const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-";
  let text = "";
  for (let seed = 1; text.length < length;) {
    seed = (seed * 48271) % 2147483647;
    text += letters[seed % 64];
  }
  return text;
}
