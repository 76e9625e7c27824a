import assert from "node:assert/strict";
import { BadValueError } from "../../src/errors.ts";
import type { Ending, Lease } from "../../src/store/mod.ts";
import { storeSuite } from "../support/store_suite.ts";
import { claimOne, fieldsOf, publish, recordOf } from "../support/tasks.ts";

const ENGINE = crypto.randomUUID();
const OTHER = crypto.randomUUID();

function ending({ id, claims }: Lease, changes: Partial<Ending> = {}): Ending {
  return { id, claims, state: 10, reason: null, result: null, delay: null, ...changes };
}

storeSuite((test) => {
  test("complete() ends runs and charges the attempt", async ({ store }) => {
    const ids = await publish(store, 3);
    const rows = await store.claim(ids, ENGINE);
    assert.equal(await store.complete(rows, ENGINE, "abc123"), 3);
    for (const id of ids) {
      const record = await recordOf(store, id);
      assert.deepEqual(
        [record.state, record.attempts, record.claims, record.codeVersion, record.engineId, record.reason],
        [10, 1, 1, "abc123", ENGINE, null],
      );
      assert.ok(record.completedAt !== null && record.completedAt >= record.startedAt!);
      assert.equal(record.modified.getTime(), record.completedAt.getTime());
    }
    assert.equal(await store.complete([], ENGINE, null), 0);
  });

  test("complete() forgets why an earlier attempt failed", async ({ store }) => {
    const first = await claimOne(store, ENGINE);
    await store.finish([ending(first, { state: 2, reason: "flaky", delay: 0 })], ENGINE, null);
    await store.promoteDue(10);
    const rows = await store.claim([first.id], ENGINE);
    await store.complete(rows, ENGINE, null);
    assert.deepEqual(await fieldsOf(store, first.id, "state", "attempts", "claims", "reason"), {
      state: 10,
      attempts: 2,
      claims: 2,
      reason: null,
    });
  });

  test("no end is written without the lease", async ({ store }) => {
    const row = await claimOne(store, ENGINE);
    const before = await recordOf(store, row.id);
    const refused = async (lease: Lease, engine: string) => {
      assert.equal(await store.complete([lease], engine, "x"), 0);
      assert.equal(await store.finish([ending(lease, { state: -1, reason: "x" })], engine, "x"), 0);
      assert.equal((await store.release([lease], engine, "x")).length, 0);
    };
    await refused(row, OTHER);
    await refused({ id: row.id, claims: 0 }, ENGINE);
    await refused({ id: row.id, claims: 2 }, ENGINE);
    await refused({ id: row.id + 1000, claims: 1 }, ENGINE);
    assert.deepEqual(await recordOf(store, row.id), before);
  });

  test("no end is written over another state, nor after the task was claimed anew", async ({ store, sql }) => {
    const row = await claimOne(store, ENGINE);
    for (const state of [0, 2, 10, -1, -2]) {
      await sql("update :schema.tasks set state = $1::text::smallint", [state]);
      const before = await recordOf(store, row.id);
      assert.equal(await store.complete([row], ENGINE, "x"), 0, `complete from ${state}`);
      assert.equal(await store.finish([ending(row, { state: -1 })], ENGINE, "x"), 0, `finish from ${state}`);
      assert.equal((await store.release([row], ENGINE, "x")).length, 0, `release from ${state}`);
      assert.deepEqual(await recordOf(store, row.id), before);
    }
    await sql("update :schema.tasks set state = 0");
    await store.claim([row.id], ENGINE); // The same engine, a later lease: the earlier one is void.
    assert.equal(await store.complete([row], ENGINE, "x"), 0);
    assert.equal(await store.complete([{ id: row.id, claims: 2 }], ENGINE, "x"), 1);
  });

  test("complete() checks each lease, whether all were claimed for the same time or not", async ({ store }) => {
    const again = await claimOne(store, ENGINE);
    await store.release([again], ENGINE, null);
    await store.claim([again.id], ENGINE);
    const [first, stolen] = [await claimOne(store, ENGINE), await claimOne(store, ENGINE)];
    const wrong = { id: stolen.id, claims: stolen.claims + 1 };
    assert.equal(await store.complete([wrong, { id: again.id, claims: 2 }], ENGINE, null), 1, "all alike");
    assert.equal(await store.complete([wrong, first], ENGINE, null), 1, "not alike");
    for (const [id, state] of [[again.id, 10], [first.id, 10], [stolen.id, 1]] as const) {
      assert.equal((await recordOf(store, id)).state, state);
    }
  });

  test("complete() sent again changes nothing", async ({ store }) => {
    const row = await claimOne(store, ENGINE);
    await store.complete([row], ENGINE, "one");
    const before = await recordOf(store, row.id);
    assert.equal(await store.complete([row], ENGINE, "two"), 0);
    assert.deepEqual(await recordOf(store, row.id), before);
  });

  test("finish() ends many runs, each in its way", async ({ store }) => {
    const ids = await publish(store, 4);
    const leases = ids.map((id) => ({ id, claims: 1 }));
    await store.claim(ids, ENGINE);
    const endings = [
      ending(leases[0]!, { result: '{"rows": [1, "two"], "quote": "\\""}' }),
      ending(leases[1]!, { state: -1, reason: `could not find "transactions" \\ 😀` }),
      ending(leases[2]!, { state: 2, reason: "later", delay: 90.5 }),
      ending(leases[3]!, { result: "null", reason: "with a word" }),
      ending({ id: leases[3]!.id, claims: 9 }, { state: -1 }),
    ];
    assert.equal(await store.finish(endings, ENGINE, "abc"), 4);
    const records = await Promise.all(ids.map((id) => recordOf(store, id)));
    assert.deepEqual(
      records.map(({ state, attempts, reason, result }) => ({ state, attempts, reason, result })),
      [
        { state: 10, attempts: 1, reason: null, result: { rows: [1, "two"], quote: '"' } },
        { state: -1, attempts: 1, reason: `could not find "transactions" \\ 😀`, result: null },
        { state: 2, attempts: 1, reason: "later", result: null },
        { state: 10, attempts: 1, reason: "with a word", result: null },
      ],
    );
    assert.deepEqual(records.map((record) => record.completedAt !== null), [true, true, false, true]);
    const [, , retry] = records;
    assert.equal(retry!.scheduledFor!.getTime() - retry!.modified.getTime(), 90_500);
    assert.equal(retry!.codeVersion, "abc");
  });

  test("a retry of a task that is to be canceled is canceled, other ends stand", async ({ store }) => {
    const rows = await Promise.all([1, 2, 3].map(() => claimOne(store, ENGINE)));
    const ids = rows.map((row) => row.id);
    await store.cancel(ids, "not wanted");
    const [retry, failed, completed] = rows.map((row) => row);
    const count = await store.finish(
      [
        ending(retry!, { state: 2, reason: "later", delay: 5 }),
        ending(failed!, { state: -1, reason: "broken" }),
      ],
      ENGINE,
      null,
    );
    assert.equal(count, 2);
    assert.equal(await store.complete([completed!], ENGINE, null), 1);
    const records = await Promise.all(ids.map((id) => recordOf(store, id)));
    assert.deepEqual(records.map(({ state, reason }) => [state, reason]), [
      [-2, "not wanted"],
      [-1, "broken"],
      [10, null],
    ]);
    assert.ok(records.every((record) => record.completedAt !== null && record.attempts === 1));
  });

  test("finish() with a result that cannot be stored writes none of its ends", async ({ store }) => {
    const rows = await Promise.all([claimOne(store, ENGINE), claimOne(store, ENGINE)]);
    const endings = [ending(rows[0]!), ending(rows[1]!, { result: '"\\u0000"' })];
    await assert.rejects(store.finish(endings, ENGINE, null), BadValueError);
    assert.deepEqual((await store.get(rows.map((row) => row.id))).map((record) => record.state), [1, 1]);
  });

  test("finish() and complete() of the same runs at once write each end once", async ({ store, another }) => {
    const ids = await publish(store, 100);
    const rows = await store.claim(ids, ENGINE);
    const [one, two] = await Promise.all([
      store.complete(rows, ENGINE, "complete"),
      another().finish([...rows].reverse().map((row) => ending(row, { state: -1 })), ENGINE, "finish"),
    ]);
    assert.equal(one + two, 100);
    const records = await store.get(ids);
    assert.equal(records.filter((record) => record.state === 10).length, one);
    assert.ok(records.every((record) => record.attempts === 1));
  });
});
