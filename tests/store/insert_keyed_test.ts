import assert from "node:assert/strict";
import type { InsertKind, Store } from "../../src/store/mod.ts";
import { storeSuite } from "../support/store_suite.ts";
import { claimOne, fieldsOf, kindOf, recordOf } from "../support/tasks.ts";

const ENGINE = crypto.randomUUID();

/** Publishes a batch with a row for each kind; returns the ids that were drawn and those that stand. */
async function publishKeyed(
  store: Store,
  ...kinds: Partial<InsertKind>[]
): Promise<{ drawn: number[]; ids: number[] }> {
  const drawn = await store.drawIds(kinds.length);
  const rows = drawn.map((id, kind) => ({ id, kind, data: `{"id":${id}}` }));
  return { drawn, ids: await store.insertKeyed({ kinds: kinds.map(kindOf), rows }) };
}

storeSuite((test) => {
  test("a second publish with the same key gets the first task's id, even after its end", async ({ store, sql }) => {
    const key = { publish_key: "daily" };
    const first = await publishKeyed(store, key);
    assert.deepEqual(first.ids, first.drawn);
    const id = first.ids[0]!;
    assert.deepEqual((await publishKeyed(store, { ...key, fname: "another" })).ids, [id]);
    const [row] = await store.claim([id], ENGINE);
    await store.complete([row!], ENGINE, null);
    assert.deepEqual((await publishKeyed(store, key)).ids, [id]);
    assert.equal((await sql("select from :schema.tasks")).count, 1);
    assert.deepEqual(await fieldsOf(store, id, "fname", "state", "data", "publishKey"), {
      fname: "summary",
      state: 10,
      data: { id },
      publishKey: "daily",
    });
  });

  test("one batch may name a key twice, and mixes rows with and without keys", async ({ store, sql }) => {
    const { drawn, ids } = await publishKeyed(
      store,
      { publish_key: "a" },
      {},
      { publish_key: "a" },
      {
        publish_key: "b",
      },
      { unique_key: "a" },
      { unique_key: "a", publish_key: "c" },
    );
    assert.deepEqual(ids, [drawn[0], drawn[1], drawn[0], drawn[3], drawn[4], drawn[4]]);
    assert.equal((await sql("select from :schema.tasks")).count, 4);
  });

  test("of many publishers with one key at once one writes, and all get its id", async ({ store, another, sql }) => {
    const stores = [store, another(), another()];
    for (const kind of [{ publish_key: "p" }, { unique_key: "u" }]) {
      const ids = await Promise.all(
        Array.from({ length: 24 }, async (_, i) => (await publishKeyed(stores[i % 3]!, kind)).ids[0]),
      );
      assert.equal(new Set(ids).size, 1);
    }
    assert.equal((await sql("select from :schema.tasks")).count, 2);
  });

  test("batches that name the same keys in opposite order both succeed", async ({ store, another, sql }) => {
    const keys = Array.from({ length: 100 }, (_, i) => ({ publish_key: `k${i}` }));
    const [one, two] = await Promise.all([
      publishKeyed(store, ...keys),
      publishKeyed(another(), ...[...keys].reverse()),
    ]);
    assert.deepEqual(one.ids, [...two.ids].reverse());
    assert.equal((await sql("select from :schema.tasks")).count, 100);
  });

  test("a unique key is held while its task waits, is ready or runs, and free after its end", async ({ store }) => {
    const key = { unique_key: "sync" };
    const waiting = (await publishKeyed(store, { ...key, delay: 3600 })).ids[0]!;
    assert.deepEqual((await publishKeyed(store, key)).ids, [waiting]);
    await store.cancel([waiting], null);
    const { id } = await claimOneKeyed(store, key);
    assert.notEqual(id, waiting);
    assert.deepEqual((await publishKeyed(store, key)).ids, [id]);
    const [{ claims }] = [await recordOf(store, id)];
    await store.finish(
      [{ id, claims, state: 2, reason: "later", result: null, delay: 3600 }],
      ENGINE,
      null,
    );
    assert.deepEqual((await publishKeyed(store, key)).ids, [id]);
    await store.cancel([id], null);
    for (const state of [10, -1] as const) {
      const row = await claimOneKeyed(store, key);
      await store.finish([{ ...row, state, reason: null, result: null, delay: null }], ENGINE, null);
    }
    const next = await publishKeyed(store, key);
    assert.deepEqual(next.ids, next.drawn);
  });

  test("insertKeyed() sent again gives the same ids, although the task has ended meanwhile", async ({ store, sql }) => {
    for (const kind of [{ publish_key: "again" }, { unique_key: "again" }]) {
      const [id] = await store.drawIds(1);
      const batch = { kinds: [kindOf(kind)], rows: [{ id: id!, kind: 0, data: "{}" }] };
      assert.deepEqual(await store.insertKeyed(batch), [id]);
      const [row] = await store.claim([id!], ENGINE);
      await store.complete([row!], ENGINE, null);
      assert.deepEqual(await store.insertKeyed(batch), [id]);
    }
    assert.equal((await sql("select from :schema.tasks")).count, 2);
  });

  test("publishers get a task of their unique key while its holders end under them", async ({ store, another }) => {
    const [key, publishers, rounds] = [{ unique_key: "hot" }, [another(), another()], 25];
    let publishing = true;
    const ending = (async () => {
      let ended = 0;
      while (publishing) {
        const rows = await store.claimNext([{ channel: "tests", room: 1 }], 1, ENGINE);
        ended += await store.complete(rows, ENGINE, null);
      }
      return ended;
    })();
    const ids = (await Promise.all(publishers.map(async (publisher) => {
      const mine: number[] = [];
      for (let i = 0; i < rounds; i++) mine.push((await publishKeyed(publisher, key)).ids[0]!);
      return mine;
    }))).flat();
    publishing = false;
    assert.ok(await ending > 1);
    const records = await store.get([...new Set(ids)]);
    assert.equal(records.length, new Set(ids).size);
    assert.ok(records.every((record) => record.uniqueKey === "hot"));
  });
});

async function claimOneKeyed(
  store: Store,
  key: Partial<InsertKind>,
): Promise<{ id: number; claims: number }> {
  const { id, claims } = await claimOne(store, ENGINE, key);
  return { id, claims };
}
