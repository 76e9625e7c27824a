import assert from "node:assert/strict";
import type { Store } from "../../src/store/mod.ts";
import type { TaskRecord } from "../../src/task.ts";
import { storeSuite } from "../support/store_suite.ts";
import { CHANNEL, claimOne, fieldsOf, idsOf, publish, recordOf } from "../support/tasks.ts";

const OTHER = crypto.randomUUID();

/** An engine that is registered and holds `count` tasks. */
async function engineWith(
  store: Store,
  count: number,
  kind: Parameters<typeof claimOne>[2] = {},
): Promise<{ engine: string; ids: number[] }> {
  const engine = crypto.randomUUID();
  await store.registerEngine({ id: engine, host: "h", pid: 1, codeVersion: "v7", channels: [CHANNEL] });
  const ids = await publish(store, count, kind);
  await store.claim(ids, engine);
  return { engine, ids };
}

function shown({ state, attempts, deaths, claims, reason }: TaskRecord) {
  return { state, attempts, deaths, claims, reason };
}

storeSuite((test) => {
  test("rescue() charges suspects, and gives the others back uncharged", async ({ store }) => {
    const { engine, ids } = await engineWith(store, 3, { priority: 2 });
    const [waited, suspect, ended] = ids as [number, number, number];
    await store.complete([{ id: ended, claims: 1 }], engine, null);
    const others = await claimOne(store, OTHER);
    const { ready, moved } = await store.rescue(engine, {
      reason: "engine lost",
      suspects: [suspect, others.id],
    });
    assert.equal(moved, 2);
    assert.deepEqual(ready.map(({ id, channel, priority }) => ({ id, channel, priority })), [
      { id: waited, channel: CHANNEL, priority: 2 },
    ]);
    const back = await recordOf(store, waited);
    assert.deepEqual(shown(back), { state: 0, attempts: 0, deaths: 0, claims: 1, reason: "engine lost" });
    assert.deepEqual([back.startedAt, back.completedAt, back.codeVersion], [null, null, null]);
    const retry = await recordOf(store, suspect);
    assert.deepEqual(shown(retry), { state: 2, attempts: 1, deaths: 1, claims: 1, reason: "engine lost" });
    assert.equal(retry.scheduledFor!.getTime() - retry.modified.getTime(), 1000);
    assert.deepEqual([retry.startedAt !== null, retry.codeVersion], [true, "v7"]);
    assert.equal((await recordOf(store, ended)).state, 10);
    assert.deepEqual(await fieldsOf(store, others.id, "state", "engineId"), { state: 1, engineId: OTHER });
  });

  test("bury() leaves an engine alone that has beaten since it was looked for", async ({ store, sql }) => {
    const { engine } = await engineWith(store, 1);
    await sql("update :schema.engines set beat_at = now() - interval '31 seconds'");
    assert.equal((await store.deadEngines(30)).length, 1);
    await store.beat([engine]);
    assert.equal(await store.bury(engine, 30), false);
    assert.equal((await store.claim(await publish(store, 1), engine)).length, 1);
    assert.equal((await store.beat([engine])).held.has(engine), true);
  });

  test("rescue() of an engine that is buried bars it from claims, also when it has no row", async ({ store }) => {
    const [registered, unknown] = [(await engineWith(store, 1)).engine, crypto.randomUUID()];
    await claimOne(store, unknown);
    for (const engine of [registered, unknown]) {
      assert.equal(await store.bury(engine, 0), true);
      assert.equal((await store.rescue(engine, { isCertain: false, reason: "engine lost" })).moved, 1);
      assert.equal((await store.claim(await publish(store, 1), engine)).length, 0);
      assert.equal((await store.beat([engine])).held.has(engine), false);
    }
    assert.equal((await store.deadEngines(30)).length, 0);
  });

  test("rescue() writes a line for each attempt that ended with its engine", async ({ store, sql }) => {
    const { engine, ids } = await engineWith(store, 5);
    const [waited, suspect, last, overdue, canceled] = ids as [number, number, number, number, number];
    await sql("update :schema.tasks set max_attempts = 1 where id = $1::text::bigint", [last]);
    await sql("update :schema.tasks set started_at = null where id = $1::text::bigint", [overdue]);
    await store.cancel([canceled], "no more");
    await store.rescue(engine, {
      reason: "engine died",
      suspects: [suspect, last, canceled],
      overdue: [overdue],
    });
    const lines = async (id: number) =>
      (await store.readLog(id)).map(({ kind, text }) => `${kind}: ${text.replace(/\d+\.\d{3} s/, "… s")}`);
    const at = `engine ${engine}, commit v7`;
    assert.deepEqual(await lines(waited), []);
    assert.deepEqual(await lines(suspect), [
      `attempt: attempt 1 retry_later after … s, ${at}: engine died`,
    ]);
    assert.deepEqual(await lines(last), [`attempt: attempt 1 failed after … s, ${at}: engine died`]);
    assert.deepEqual(await lines(overdue), [`attempt: attempt 1 failed after 0 s, ${at}: timed out`]);
    assert.deepEqual(await lines(canceled), [`attempt: attempt 1 canceled after … s, ${at}: no more`]);
  });

  test("rescue() voids the leases of the dead engine", async ({ store }) => {
    const { engine, ids } = await engineWith(store, 2);
    const leases = ids.map((id) => ({ id, claims: 1 }));
    await store.rescue(engine, { reason: "engine lost", suspects: [ids[1]!] });
    assert.equal(await store.complete(leases, engine, null), 0);
    await store.claim([ids[0]!], OTHER);
    assert.equal(await store.complete(leases, engine, null), 0);
    assert.equal((await recordOf(store, ids[0]!)).state, 1);
  });

  test("rescue() forgets the engine, and a second one finds nothing", async ({ store, sql }) => {
    const { engine } = await engineWith(store, 1);
    const { engine: other } = await engineWith(store, 1);
    assert.equal((await store.rescue(engine, { reason: "engine lost" })).moved, 1);
    assert.deepEqual((await sql<{ id: string }>("select id from :schema.engines")).map((row) => row.id), [
      other,
    ]);
    assert.deepEqual(await store.rescue(engine, { reason: "engine lost" }), { ready: [], moved: 0 });
  });

  test("rescue() of a suspect's last attempt fails it, with the reason", async ({ store }) => {
    const { engine, ids: [id] } = await engineWith(store, 1, { max_attempts: 1 });
    const { ready, moved } = await store.rescue(engine, { reason: "engine lost", suspects: [id!] });
    assert.deepEqual([ready, moved], [[], 1]);
    const record = await recordOf(store, id!);
    assert.deepEqual(shown(record), { state: -1, attempts: 1, deaths: 1, claims: 1, reason: "engine lost" });
    assert.ok(record.completedAt !== null);
  });

  test("rescue() of one that was not started does not fail it, however many attempts it had", async ({ store, sql }) => {
    const { engine, ids: [id] } = await engineWith(store, 1, { max_attempts: 1 });
    await sql("update :schema.tasks set attempts = 5");
    assert.deepEqual(idsOf((await store.rescue(engine, { reason: "engine lost" })).ready), [id]);
    assert.deepEqual(await fieldsOf(store, id!, "state", "attempts"), { state: 0, attempts: 5 });
  });

  test("rescue() cancels what was to be canceled, and keeps why", async ({ store }) => {
    const { engine, ids } = await engineWith(store, 2);
    await store.cancel(ids, "not wanted");
    assert.deepEqual(await store.rescue(engine, { reason: "engine lost", suspects: [ids[0]!] }), {
      ready: [],
      moved: 2,
    });
    const records = await Promise.all(ids.map((id) => recordOf(store, id)));
    assert.deepEqual(records.map((record) => [record.state, record.reason, record.completedAt !== null]), [
      [-2, "not wanted", true],
      [-2, "not wanted", true],
    ]);
  });

  test("rescue() fails what is past its time limit as timed out", async ({ store }) => {
    const { engine, ids } = await engineWith(store, 2);
    const death = { reason: "engine ended", overdue: [ids[0]!] };
    assert.deepEqual(idsOf((await store.rescue(engine, death)).ready), [ids[1]]);
    const record = await recordOf(store, ids[0]!);
    assert.deepEqual([record.state, record.reason, record.attempts], [-1, "timed out", 1]);
  });

  test("a task that ends one engine after the other is failed at last", async ({ store, sql }) => {
    const { engine, ids: [id] } = await engineWith(store, 1, { max_attempts: 100 });
    let holder = engine;
    const states: number[] = [];
    for (let deaths = 1; states.at(-1) !== -1 && deaths < 10; deaths++) {
      await store.rescue(holder, { reason: "engine lost", suspects: [id!] });
      states.push((await recordOf(store, id!)).state);
      await sql("update :schema.tasks set scheduled_for = now() where state = 2");
      assert.deepEqual(idsOf((await store.promoteDue(10)).ready), []); // A suspect is not pushed: it runs alone.
      holder = crypto.randomUUID();
      assert.deepEqual(idsOf(await store.claim([id!], holder)), []);
      assert.deepEqual(idsOf(await store.claimSuspect(id!, holder)), states.at(-1) === 2 ? [id] : []);
    }
    // Once in company, three times alone.
    assert.deepEqual(states, [2, 2, 2, -1]);
    const record = await recordOf(store, id!);
    assert.deepEqual([record.deaths, record.attempts], [4, 4]);
    assert.match(record.reason!, /ended its engine 4 times/);
    assert.deepEqual(idsOf(await store.retryNow([id!])), [id]);
    assert.equal((await recordOf(store, id!)).deaths, 0);
  });

  test("readySuspects() names ready suspects of the channels, the oldest first", async ({ store, sql }) => {
    const suspects = await publish(store, 3);
    const others = await publish(store, 1, { channel: "another" });
    const waiting = await publish(store, 1, { delay: 60 });
    await sql("update :schema.tasks set deaths = 1");
    await publish(store, 1);
    assert.deepEqual(await store.readySuspects([CHANNEL], 2), suspects.slice(0, 2));
    assert.deepEqual(await store.readySuspects([CHANNEL, "another"], 10), [...suspects, ...others]);
    assert.deepEqual(await store.readySuspects([], 10), []);
    assert.equal((await recordOf(store, waiting[0]!)).state, 2);
  });

  test("rescue() moves thousands of rows", async ({ store, sql }) => {
    const { engine, ids } = await engineWith(store, 1000);
    const more = await publish(store, 300);
    await store.claim(more, engine);
    const suspects = [ids[0]!, more[299]!];
    const { ready, moved } = await store.rescue(engine, { reason: "engine lost", suspects });
    assert.deepEqual([moved, ready.length], [1300, 1298]);
    const counts = await sql<{ state: number; n: number }>(
      "select state, count(*) as n from :schema.tasks group by 1 order by 1",
    );
    assert.deepEqual(counts.map(({ state, n }) => [state, n]), [[0, 1298], [2, 2]]);
  });

  test("two rescues at once move each row once", async ({ store, another }) => {
    const { engine, ids } = await engineWith(store, 200);
    const death = { reason: "engine lost", suspects: ids };
    const results = await Promise.all([store.rescue(engine, death), another().rescue(engine, death)]);
    assert.equal(results[0].moved + results[1].moved, 200);
    assert.ok((await store.get(ids)).every((record) => record.attempts === 1 && record.deaths === 1));
  });
});
