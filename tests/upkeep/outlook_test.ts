import assert from "node:assert/strict";
import { Due } from "../../src/upkeep/due.ts";
import { Janitor } from "../../src/upkeep/janitor.ts";
import { Outlook } from "../../src/upkeep/outlook.ts";
import { Recoverer } from "../../src/upkeep/recoverer.ts";
import { Redispatcher } from "../../src/upkeep/redispatcher.ts";
import { TestClock } from "../support/fixtures.ts";
import { needTest } from "../support/need.ts";
import { publish, recordOf } from "../support/tasks.ts";
import { Keep } from "./parts.ts";

Deno.test("who has seen nothing, or not of late, finds work everywhere", async () => {
  const clock = new TestClock();
  const outlook = new Outlook({ activeChannels: () => Promise.resolve(["asked"]) }, clock);
  const all = async () => [await outlook.channels(), outlook.mayHaveStale, outlook.mayBeSilentFor(30)];
  assert.deepEqual(await all(), [["asked"], true, true]);
  outlook.saw({ channels: ["seen"], hasStale: false, silence: undefined });
  assert.deepEqual(await all(), [["seen"], false, false]);
  await clock.advance(2_999);
  assert.deepEqual(await all(), [["seen"], false, false]);
  await clock.advance(1);
  assert.deepEqual(await all(), [["asked"], true, true]);
});

Deno.test("a silence grows between two looks", async () => {
  const clock = new TestClock();
  const outlook = new Outlook({ activeChannels: () => Promise.resolve([]) }, clock);
  outlook.saw({ channels: [], hasStale: true, silence: 29 });
  assert.deepEqual([outlook.mayHaveStale, outlook.mayBeSilentFor(30)], [true, false]);
  await clock.advance(1_000);
  assert.equal(outlook.mayBeSilentFor(30), true);
});

needTest(
  ["postgres"],
  "while the look a second finds nothing to do, the other loops ask nothing",
  async () => {
    await using keep = await Keep.make();
    const recoverer = new Recoverer(keep);
    const loops = [recoverer, new Redispatcher(keep), new Janitor(keep)];
    await new Due(keep).runOnce();
    await publish(keep.store, 1, { delay: 60 });
    for (const loop of loops) await loop.runOnce(); // The first round always asks.
    await keep.engine();
    await new Due(keep).runOnce();
    const calls: string[] = [];
    for (const verb of ["deadEngines", "activeChannels", "readyCounts", "expireStale", "tidy"] as const) {
      Object.defineProperty(keep.store, verb, {
        value: () => {
          calls.push(verb);
          return Promise.resolve([]);
        },
      });
    }
    for (const loop of loops) await loop.runOnce();
    assert.deepEqual(calls, []);
    for (let round = 2; round <= 12; round++) await recoverer.runOnce();
    assert.deepEqual(calls, ["deadEngines"], "an engine's row may be gone, its tasks not");
  },
);

needTest(
  ["postgres"],
  "a look that finds a silent engine and stale tasks sets the other loops to work",
  async () => {
    await using keep = await Keep.make();
    const [recoverer, janitor] = [new Recoverer(keep), new Janitor(keep)];
    await new Due(keep).runOnce();
    for (const loop of [recoverer, janitor]) await loop.runOnce();
    const [held, stale] = await publish(keep.store, 2);
    await keep.store.claim([held!], await keep.engine(31));
    await keep.set([stale!], "stale_after = now()");
    await new Due(keep).runOnce();
    for (const loop of [recoverer, janitor]) await loop.runOnce();
    assert.deepEqual(
      [(await recordOf(keep.store, held!)).state, (await recordOf(keep.store, stale!)).state],
      [0, -1],
    );
  },
);
