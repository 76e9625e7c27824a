import assert from "node:assert/strict";
import { storeSuite } from "../support/store_suite.ts";
import { CHANNEL, claimOne, fieldsOf, idsOf, publish, publishOne, recordOf } from "../support/tasks.ts";

const ENGINE = crypto.randomUUID();

storeSuite((test) => {
  test("cancel() cancels ready and waiting tasks at once", async ({ store }) => {
    const ready = await publishOne(store);
    const waiting = await publishOne(store, { delay: 3600 });
    const answer = await store.cancel([ready, waiting], "not wanted");
    assert.deepEqual(idsOf(answer), [ready, waiting]);
    assert.ok(answer.every((one) => one.state === -2));
    assert.deepEqual(answer.map((one) => one.was_ready), [true, false]);
    for (const id of [ready, waiting]) {
      const record = await recordOf(store, id);
      assert.deepEqual([record.state, record.cancelRequested, record.reason], [-2, true, "not wanted"]);
      assert.equal(record.completedAt?.getTime(), record.modified.getTime());
    }
    assert.deepEqual(idsOf(await store.claimNext([{ channel: CHANNEL, room: 5 }], 5, ENGINE)), []);
  });

  test("cancel() asks the engine of a running task, which still ends it", async ({ store }) => {
    const row = await claimOne(store, ENGINE);
    assert.deepEqual((await store.cancel([row.id], null)).map((one) => ({ ...one })), [{
      id: row.id,
      state: 1,
      channel: CHANNEL,
      was_ready: false,
    }]);
    assert.deepEqual(
      await fieldsOf(store, row.id, "state", "cancelRequested", "reason", "completedAt", "claims"),
      { state: 1, cancelRequested: true, reason: "canceled by request", completedAt: null, claims: 1 },
    );
    assert.equal(await store.complete([row], ENGINE, null), 1);
  });

  test("cancel() and retryNow() leave what has left the states that are asked for", async ({ store, sql }) => {
    const { id: running } = await claimOne(store, ENGINE);
    const waiting = await publishOne(store, { delay: 60 });
    assert.deepEqual(idsOf(await store.cancel([running, waiting], null, { states: [0, 2] })), [waiting]);
    assert.deepEqual(idsOf(await store.cancel([running, waiting], null, { states: [1] })), [running]);
    const done = await publishOne(store);
    await sql("update :schema.tasks set state = 10 where id = $1::text::bigint", [done]);
    assert.deepEqual(idsOf(await store.retryNow([waiting, done], { states: [-1, -2] })), [waiting]);
    assert.deepEqual(idsOf(await store.retryNow([done], { states: [10] })), [done]);
  });

  test("cancel() of a task that waits to be run again forgets when its last run began", async ({ store, sql }) => {
    const id = await publishOne(store, { delay: 60 });
    await sql("update :schema.tasks set started_at = now() - interval '1 hour' where id = $1::text::bigint", [
      id,
    ]);
    await store.cancel([id], null);
    const { startedAt, completedAt } = await recordOf(store, id);
    assert.deepEqual([startedAt, completedAt !== null], [null, true], "it ran for no hour");
    const { id: running } = await claimOne(store, ENGINE);
    await store.cancel([running], null);
    assert.notEqual((await recordOf(store, running)).startedAt, null);
  });

  test("cancel() leaves ended and unknown tasks as they are", async ({ store, sql }) => {
    const ids = await publish(store, 3);
    for (const [i, state] of [10, -1, -2].entries()) {
      await sql("update :schema.tasks set state = $1::text::smallint where id = $2::text::bigint", [
        state,
        ids[i]!,
      ]);
    }
    const before = await store.get(ids);
    assert.deepEqual(idsOf(await store.cancel([...ids, 999_999], "x")), []);
    assert.deepEqual(await store.get(ids), before);
    assert.deepEqual(idsOf(await store.cancel([], "x")), []);
  });

  test("cancel() at the same moment as a claim ends in one of the two ways", async ({ store, another }) => {
    const ids = await publish(store, 100);
    const [claimed, canceled] = await Promise.all([
      store.claim(ids, ENGINE),
      another().cancel([...ids].reverse(), null),
    ]);
    assert.equal(canceled.length, 100);
    const asked = canceled.filter((one) => one.state === 1);
    assert.ok(claimed.length <= 100 && asked.length === claimed.length);
    assert.deepEqual(idsOf(asked), idsOf(claimed));
  });

  test("retryNow() makes ended tasks ready again, with all their attempts", async ({ store, sql }) => {
    const ids = await publish(store, 3, { priority: 2, stale_in: 3600, publish_key: null });
    for (const [i, state] of [10, -1, -2].entries()) {
      await sql(
        `update :schema.tasks set state = $1::text::smallint, claims = 4, attempts = 3, deaths = 1, cancel_requested = true,
           reason = 'x', result = '1', progress = 0.5, started_at = now(), completed_at = now(), scheduled_for = now(),
           code_version = 'v', engine_id = gen_random_uuid() where id = $2::text::bigint`,
        [state, ids[i]!],
      );
    }
    const rows = await store.retryNow(ids);
    assert.deepEqual(idsOf(rows), ids);
    assert.deepEqual([rows[0]?.channel, rows[0]?.priority], [CHANNEL, 2]);
    for (const id of ids) {
      const record = await recordOf(store, id);
      assert.deepEqual(
        [record.state, record.attempts, record.deaths, record.cancelRequested, record.claims],
        [0, 0, 0, false, 4],
      );
      const { reason, result, progress, startedAt, completedAt, scheduledFor, staleAfter } = record;
      for (const value of [reason, result, progress, startedAt, completedAt, scheduledFor, staleAfter]) {
        assert.equal(value, null);
      }
    }
    assert.deepEqual((await store.claim(ids, ENGINE)).map((row) => row.claims), [5, 5, 5]);
  });

  test("retryNow() leaves ready, running and waiting tasks as they are", async ({ store }) => {
    const ids = [
      await publishOne(store),
      (await claimOne(store, ENGINE)).id,
      await publishOne(store, { delay: 9 }),
    ];
    const before = await store.get(ids);
    assert.deepEqual(idsOf(await store.retryNow([...ids, 999_999])), []);
    assert.deepEqual(await store.get(ids), before);
  });

  test("retryNow() leaves a task whose unique key another one holds", async ({ store }) => {
    const key = { unique_key: "sync" };
    const ended = await publishOne(store, key);
    await store.cancel([ended], null);
    const holder = await publishOne(store, key);
    assert.deepEqual(idsOf(await store.retryNow([ended])), []);
    assert.equal((await recordOf(store, ended)).state, -2);
    await store.cancel([holder], null);
    assert.deepEqual(idsOf(await store.retryNow([ended])), [ended]);
    assert.equal((await recordOf(store, ended)).uniqueKey, "sync");
  });

  test("retryNow() of several tasks with one unique key makes one of them ready", async ({ store }) => {
    const ids: number[] = [];
    for (let i = 0; i < 3; i++) {
      const id = await publishOne(store, { unique_key: "sync" });
      await store.cancel([id], null);
      ids.push(id);
    }
    const plain = await publishOne(store);
    await store.cancel([plain], null);
    const ready = idsOf(await store.retryNow([...ids, plain]));
    assert.equal(ready.length, 2);
    assert.ok(ready.includes(plain));
    const states = (await store.get(ids)).map((record) => record.state).sort();
    assert.deepEqual(states, [-2, -2, 0]);
  });

  test("retryNow() and a publish with the same unique key at once: one of them gets it", async ({ store, another }) => {
    const [publisher, key] = [another(), { unique_key: "race" }];
    const ended = await publishOne(store, key);
    await store.cancel([ended], null);
    for (let round = 0; round < 20; round++) {
      const [ids, retried] = await Promise.all([publish(publisher, 1, key), store.retryNow([ended])]);
      const live = (await store.get([ended, ...ids])).filter((record) => record.state === 0);
      assert.deepEqual(idsOf(live), retried.length === 1 ? [ended] : ids);
      await store.cancel(live.map((record) => record.id), null);
    }
  });
});
