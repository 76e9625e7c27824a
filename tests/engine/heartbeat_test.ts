import assert from "node:assert/strict";
import { Heartbeat } from "../../src/engine/heartbeat.ts";
import type { Beat, HeldRow } from "../../src/store/mod.ts";
import { TestClock } from "../support/fixtures.ts";
import { needTest } from "../support/need.ts";
import { publish } from "../support/tasks.ts";
import { TestRecord } from "../support/test_record.ts";

const NOTHING: Beat = { at: 0, held: new Map(), ready: [], hasSuspects: false };

Deno.test("beats come every 5 s, and six times a lease when that is shorter", async () => {
  const store = { beat: () => Promise.resolve(NOTHING) };
  const make = (lease: number) =>
    new Heartbeat({ store, lease, engineIds: () => [], heard() {}, clock: new TestClock() });
  assert.equal(await make(3600).runOnce(), 5_000);
  assert.equal(await make(30).runOnce(), 5_000);
  assert.equal(await make(6).runOnce(), 1_000);
});

Deno.test("gapless grows from the first beat, and starts again after a beat was missed", async () => {
  const clock = new TestClock();
  let away = false;
  const store = {
    beat: () => away ? Promise.reject(new Error("away")) : Promise.resolve({ ...NOTHING, at: clock.now() }),
  };
  await using heart = new Heartbeat({ store, lease: 30, engineIds: () => ["e"], heard() {}, clock });
  assert.equal(heart.gapless, 0);
  heart.start();
  await clock.advance(0);
  assert.equal(heart.gapless, 0);
  await clock.advance(31_000);
  assert.equal(heart.gapless, 31_000);
  away = true;
  await clock.advance(8_000);
  assert.equal(heart.gapless, 39_000, "one beat may be late");
  await clock.advance(5_000);
  assert.equal(heart.gapless, 0, "but not two");
  away = false;
  await clock.advance(1_000);
  const again = heart.gapless;
  assert.ok(again < 1_000, `${again}`);
  await clock.advance(30_000);
  assert.equal(heart.gapless, again + 30_000, "from the first beat after the outage");
});

Deno.test("gaps are measured by the database's clock: a step of it, or a sleep of this machine, is one", async () => {
  const clock = new TestClock();
  let database = Date.UTC(2026, 0, 1);
  const store = { beat: () => Promise.resolve({ ...NOTHING, at: database }) };
  const heart = new Heartbeat({ store, lease: 30, engineIds: () => ["e"], heard() {}, clock });
  const beat = async (local: number, there = local) => {
    await clock.advance(local);
    database += there;
    await heart.runOnce();
    return heart.gapless;
  };
  assert.equal(await beat(0), 0);
  for (let n = 1; n <= 8; n++) assert.equal(await beat(5_000), 5_000 * n);
  assert.equal(heart.gaplessUntil, database + 10_000);
  // This machine was suspended, and its clock with it; or the database's was set forward.
  assert.equal(await beat(5_000, 60_000), 0);
  assert.equal(await beat(5_000), 5_000);
  assert.equal(await beat(5_000, -3_600_000), 0, "set back");
  assert.equal(heart.gaplessUntil, database + 10_000);
  assert.equal(await beat(5_000), 5_000);
});

needTest(
  ["postgres"],
  "a beat renews leases and tells each engine what the record says it holds",
  async () => {
    await using record = await TestRecord.make();
    const store = record.store();
    const [mine, idle, dead] = [crypto.randomUUID(), crypto.randomUUID(), crypto.randomUUID()];
    for (const id of [mine, idle]) {
      await store.registerEngine({ id, host: "h", pid: 1, codeVersion: null, channels: ["c"] });
    }
    const engines = record.sql(`${record.schema}.engines`);
    await record.sql`update ${engines} set beat_at = now() - interval '1 hour'`;
    const ids = await publish(store, 3);
    await store.claim(ids, mine);
    await record.sql`update ${
      record.sql(`${record.schema}.tasks`)
    } set started_at = now() - interval '3 seconds'
    where id <> ${ids[2]!}`;
    await store.cancel([ids[1]!], null);
    const heard = new Map<string, readonly HeldRow[] | undefined>();
    const heart = new Heartbeat({
      store,
      lease: 30,
      engineIds: () => [mine, idle, dead],
      heard: (id, rows) => heard.set(id, rows?.toSorted((a, b) => a.id - b.id)),
    });
    const before = await databaseTime(record);
    await heart.runOnce();
    const at = heart.gaplessUntil - 10_000;
    assert.ok(before <= at && at <= await databaseTime(record), "it tells when it was");
    assert.deepEqual(heard.get(mine), [
      { id: ids[0], claims: 1, cancel_requested: false, is_old: true },
      { id: ids[1], claims: 1, cancel_requested: true, is_old: true },
    ], "a claim younger than two seconds may be on its way");
    assert.deepEqual(heard.get(idle), []);
    assert.equal(heard.has(dead), true);
    assert.equal(heard.get(dead), undefined, "declared dead: it has no row");
    assert.deepEqual([...await store.deadEngines(60)], []);
  },
);

/** What the database's clock shows, in milliseconds since the epoch. */
async function databaseTime({ sql }: TestRecord): Promise<number> {
  const [row] = await sql`select (1000 * date_part('epoch', clock_timestamp()))::float8 as now`;
  return row!.now;
}
