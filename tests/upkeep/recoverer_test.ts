import assert from "node:assert/strict";
import { Recoverer } from "../../src/upkeep/recoverer.ts";
import { captureLog } from "../support/capture_log.ts";
import { TestClock } from "../support/fixtures.ts";
import { needTest } from "../support/need.ts";
import { CHANNEL, publish, recordOf } from "../support/tasks.ts";
import { Keep } from "./parts.ts";

const NEEDS = ["postgres", "redis"] as const;

needTest(
  NEEDS,
  "tasks of an engine whose lease ran out go back uncharged, and are pushed; the living keep theirs",
  async () => {
    await using keep = await Keep.make({ redis: "shared" });
    await using log = await captureLog();
    const [dead, alive] = [await keep.engine(31), await keep.engine(29)];
    const ids = await publish(keep.store, 4);
    await keep.store.claim(ids.slice(0, 2), dead);
    await keep.store.claim(ids.slice(2), alive);
    await keep.store.cancel([ids[1]!], "no longer needed");
    await new Recoverer(keep).runOnce();
    const [back, canceled, kept] = await Promise.all(ids.slice(0, 3).map((id) => recordOf(keep.store, id)));
    assert.deepEqual([back!.state, back!.attempts, back!.deaths, back!.reason], [0, 0, 0, "engine lost"]);
    assert.deepEqual([canceled!.state, canceled!.reason], [-2, "no longer needed"]);
    assert.deepEqual([kept!.state, kept!.engineId], [1, alive]);
    assert.deepEqual(await keep.popped(CHANNEL), [ids[0]]);
    assert.equal(
      log.count(new RegExp(`WARNING upkeep: Engine lost engine=${dead} host=host pid=7 tasks=2$`)),
      1,
    );
    assert.equal((await keep.store.beat([dead])).held.has(dead), false, "it is no engine any more");
    await new Recoverer(keep).runOnce();
    assert.equal(log.lines.length, 1, "nothing is left to rescue");
  },
);

needTest(["postgres"], "the lease is the setting's", async () => {
  await using keep = await Keep.make({ settings: { TQ_LEASE: 5 } });
  const dead = await keep.engine(6);
  const ids = await publish(keep.store, 1);
  await keep.store.claim(ids, dead);
  await new Recoverer(keep).runOnce();
  assert.equal((await recordOf(keep.store, ids[0]!)).state, 0);
});

needTest(
  ["postgres"],
  "nobody is declared dead by a supervisor that was not sound for a whole lease itself",
  async () => {
    await using keep = await Keep.make();
    const engine = await keep.engine(3_600);
    const ids = await publish(keep.store, 1);
    await keep.store.claim(ids, engine);
    const recoverer = new Recoverer(keep);
    for (const sound of [0, 1_000, 29_999]) {
      keep.gaplessFor = sound;
      await recoverer.runOnce();
      assert.equal((await recordOf(keep.store, ids[0]!)).state, 1, `after ${sound} ms`);
    }
    keep.gaplessFor = 30_000;
    await recoverer.runOnce();
    assert.equal((await recordOf(keep.store, ids[0]!)).state, 0);
  },
);

needTest(
  ["postgres"],
  "nobody is declared dead once the last beat is old by the database's clock, whatever this process's own shows",
  async () => {
    await using keep = await Keep.make();
    const engine = await keep.engine(3_600);
    const ids = await publish(keep.store, 2);
    await keep.store.claim(ids.slice(0, 1), engine);
    // An engine without a row.
    await keep.store.claim(ids.slice(1), crypto.randomUUID());
    const recoverer = new Recoverer(keep);
    const { at } = await keep.store.beat([]);
    // The database's clock was set forward, or this machine slept, and the look came before the next beat.
    keep.gaplessEnd = at - 1;
    await recoverer.runOnce();
    for (const id of ids) assert.equal((await recordOf(keep.store, id)).state, 1);
    keep.gaplessEnd = at + 600_000;
    await recoverer.runOnce();
    for (const id of ids) assert.equal((await recordOf(keep.store, id)).state, 0);
  },
);

needTest(["postgres"], "tasks of an engine that has no row are rescued as well", async () => {
  await using keep = await Keep.make();
  const ids = await publish(keep.store, 1);
  await keep.store.claim(ids, crypto.randomUUID());
  await new Recoverer(keep).runOnce();
  assert.equal((await recordOf(keep.store, ids[0]!)).state, 0);
});

needTest(["postgres"], "a dead engine with thousands of tasks is rescued whole", async () => {
  await using keep = await Keep.make();
  const dead = await keep.engine(60);
  const ids = await publish(keep.store, 2_500);
  assert.equal((await keep.store.claim(ids, dead)).length, 2_500);
  await new Recoverer(keep).runOnce();
  assert.deepEqual([...(await keep.store.readyCounts([CHANNEL])).values()], [2_500]);
});

needTest(["postgres"], "a late end of a rescued run changes nothing", async () => {
  await using keep = await Keep.make();
  const dead = await keep.engine(60);
  const [id] = await publish(keep.store, 1);
  await keep.store.claim([id!], dead);
  await new Recoverer(keep).runOnce();
  assert.equal(await keep.store.complete([{ id: id!, claims: 1 }], dead, null), 0);
  const successor = await keep.engine();
  await keep.store.claim([id!], successor);
  assert.equal(await keep.store.complete([{ id: id!, claims: 1 }], dead, null), 0);
  assert.equal(await keep.store.complete([{ id: id!, claims: 2 }], dead, null), 0);
  assert.equal(await keep.store.complete([{ id: id!, claims: 2 }], successor, null), 1);
});

needTest(["postgres"], "two leaders at once rescue each task once", async () => {
  await using keep = await Keep.make();
  const dead = await keep.engine(60);
  const ids = await publish(keep.store, 300);
  await keep.store.claim(ids, dead);
  await Promise.all([new Recoverer(keep).runOnce(), new Recoverer(keep).runOnce()]);
  for (const task of await keep.store.get(ids)) {
    assert.deepEqual([task.state, task.attempts, task.claims], [0, 0, 1]);
  }
});

needTest(
  ["postgres"],
  "after an error the log says that it works again when it has asked the record, not before",
  async () => {
    await using keep = await Keep.make();
    await using log = await captureLog();
    const clock = new TestClock();
    let isAway = true;
    const store = Object.assign(Object.create(keep.store), {
      deadEngines: () => isAway ? Promise.reject(new Error("no record")) : Promise.resolve([]),
    });
    await using recoverer = new Recoverer(Object.assign(Object.create(keep), { clock, store }));
    recoverer.start();
    await clock.advance(0);
    const said = ['WARNING upkeep: cannot work for now loop=Recoverer error="no record"'];
    assert.deepEqual(log.lines, said);
    keep.gaplessFor = 0;
    await clock.advance(10_000);
    assert.deepEqual(log.lines, said, "it has asked nobody");
    keep.gaplessFor = Infinity;
    isAway = false;
    await clock.advance(10_000);
    assert.deepEqual(log.lines, [...said, "INFO    upkeep: works again loop=Recoverer"]);
  },
);
