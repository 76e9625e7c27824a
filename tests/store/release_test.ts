import assert from "node:assert/strict";
import { storeSuite } from "../support/store_suite.ts";
import { CHANNEL, claimOne, fieldsOf, idsOf, publish, recordOf } from "../support/tasks.ts";

const ENGINE = crypto.randomUUID();

storeSuite((test) => {
  test("release() makes rows ready again, uncharged, and says which to push", async ({ store }) => {
    const row = await claimOne(store, ENGINE, { priority: 3 });
    const released = await store.release([row], ENGINE, "worker engine restarting");
    assert.deepEqual(released.map(({ id, channel, priority }) => ({ id, channel, priority })), [
      { id: row.id, channel: CHANNEL, priority: 3 },
    ]);
    const record = await recordOf(store, row.id);
    assert.deepEqual(
      [record.state, record.attempts, record.claims, record.startedAt, record.completedAt, record.reason],
      [0, 0, 1, null, null, "worker engine restarting"],
    );
    assert.ok(record.modified > record.created);
    assert.deepEqual(idsOf(await store.claimNext([{ channel: CHANNEL, room: 5 }], 5, ENGINE)), [row.id]);
  });

  test("release() without a reason leaves the one that is there", async ({ store }) => {
    const row = await claimOne(store, ENGINE);
    await store.release([row], ENGINE, "first");
    await store.claim([row.id], ENGINE);
    await store.release([{ id: row.id, claims: 2 }], ENGINE, null);
    assert.deepEqual(await fieldsOf(store, row.id, "state", "reason"), { state: 0, reason: "first" });
  });

  test("release() of a task that is to be canceled cancels it, and keeps why", async ({ store }) => {
    const row = await claimOne(store, ENGINE);
    await store.cancel([row.id], "not wanted");
    assert.deepEqual(idsOf(await store.release([row], ENGINE, "worker engine restarting")), []);
    const record = await recordOf(store, row.id);
    assert.deepEqual([record.state, record.reason, record.attempts], [-2, "not wanted", 0]);
    assert.ok(record.completedAt !== null);
  });

  test("release() of many rows leaves out those whose lease is gone", async ({ store }) => {
    const ids = await publish(store, 5);
    const leases = ids.map((id) => ({ id, claims: 1 }));
    await store.claim(ids, ENGINE);
    await store.complete([leases[1]!], ENGINE, null);
    assert.deepEqual(idsOf(await store.release(leases, ENGINE, null)), ids.filter((id) => id !== ids[1]));
    assert.deepEqual(idsOf(await store.release(leases, ENGINE, null)), []);
  });

  test("release() of a suspect makes it ready, but not to be pushed", async ({ store, sql }) => {
    const row = await claimOne(store, ENGINE);
    await sql("update :schema.tasks set deaths = 1");
    assert.deepEqual(idsOf(await store.release([row], ENGINE, null)), []);
    assert.equal((await recordOf(store, row.id)).state, 0);
  });
});
