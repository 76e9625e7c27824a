import assert from "node:assert/strict";
import { PREPARES } from "../support/servers.ts";
import { BadValueError, SchemaError } from "../../src/errors.ts";
import { eventually } from "../support/fixtures.ts";
import { storeSuite } from "../support/store_suite.ts";
import { CHANNEL, fieldsOf, kindOf, publishOne, recordOf } from "../support/tasks.ts";

const ENGINE = crypto.randomUUID();

storeSuite((test) => {
  test("drawIds() gives each caller rising ids of its own", async ({ store, another }) => {
    const drawn = await Promise.all([store.drawIds(100), another().drawIds(100), store.drawIds(1)]);
    for (const ids of drawn) assert.deepEqual(ids, [...ids].sort((a, b) => a - b));
    assert.equal(new Set(drawn.flat()).size, 201);
    assert.ok(Math.max(...drawn.flat()) < await publishOne(store));
  });

  test("insert() writes rows of many kinds, each with its own", async ({ store }) => {
    const ids = await store.drawIds(30);
    const later = (n: number) => n % 3 === 0 ? 100 + n : null;
    const batch = {
      kinds: ids.map((_, n) => kindOf({ priority: n, publish_key: `k "${n}", {}\\`, delay: later(n) })),
      rows: ids.map((id, n) => ({ id, kind: n, data: `{"n": ${n}}` })),
    };
    const check = async () => {
      for (const [n, id] of ids.entries()) {
        const { priority, data, state, scheduledFor, created } = await recordOf(store, id);
        assert.deepEqual([priority, data, state], [n, { n }, later(n) === null ? 0 : 2]);
        if (later(n) !== null) assert.equal(scheduledFor!.getTime() - created.getTime(), later(n)! * 1000);
      }
    };
    await store.insert(batch, true);
    await check();
    await store.insert(batch, false);
    await check();
    const more = await store.drawIds(30);
    const again = { kinds: batch.kinds, rows: more.map((id, kind) => ({ id, kind, data: "{}" })) };
    assert.deepEqual(await store.insertKeyed(again, true), ids, "the keys are theirs");
    const fresh = batch.kinds.map((kind, n) => ({ ...kind, publish_key: `other ${n % 25}` }));
    const given = await store.insertKeyed({ ...again, kinds: fresh }, false);
    assert.deepEqual(given, more.map((_, n) => more[n % 25]), "one of each key, and its id for the others");
  });

  test("insert() writes each row with what its kind says", async ({ store }) => {
    const [plain, full] = await store.drawIds(2);
    const at = Date.UTC(2100, 0, 2, 3, 4, 5, 678);
    await store.insert({
      kinds: [
        kindOf(),
        kindOf({
          channel: "o'clock",
          model: "app",
          fname: "run",
          priority: -100,
          max_attempts: 1000,
          timeout_seconds: 2_592_000,
          at,
          stale_at: at + 1000,
          publish_key: `k "1", {}\\`,
          unique_key: "ü",
          trace_parent: "00-1-2-03",
        }),
      ],
      rows: [{ id: full!, kind: 1, data: '{"n": 2}' }, { id: plain!, kind: 0, data: "{}" }],
    }, false);
    const one = await recordOf(store, plain!);
    assert.ok(Math.abs(one.created.getTime() - Date.now()) < 60_000);
    assert.deepEqual(one, {
      id: plain,
      state: 0,
      channel: CHANNEL,
      model: "myapp.Report",
      fname: "summary",
      data: {},
      priority: 0,
      claims: 0,
      attempts: 0,
      maxAttempts: 5,
      deaths: 0,
      timeoutSeconds: 1800,
      cancelRequested: false,
      reason: null,
      result: null,
      progress: null,
      created: one.created,
      modified: one.created,
      startedAt: null,
      completedAt: null,
      scheduledFor: null,
      staleAfter: null,
      engineId: null,
      codeVersion: null,
      traceParent: null,
      publishKey: null,
      uniqueKey: null,
    });
    const two = await recordOf(store, full!);
    assert.deepEqual(
      [
        two.state,
        two.channel,
        two.model,
        two.fname,
        two.data,
        two.priority,
        two.maxAttempts,
        two.timeoutSeconds,
      ],
      [2, "o'clock", "app", "run", { n: 2 }, -100, 1000, 2_592_000],
    );
    assert.deepEqual(
      [two.scheduledFor, two.staleAfter, two.publishKey, two.uniqueKey, two.traceParent],
      [new Date(at), new Date(at + 1000), `k "1", {}\\`, "ü", "00-1-2-03"],
    );
  });

  test("insert() counts delays and staleness by the database's clock", async ({ store }) => {
    const id = await publishOne(store, { delay: 90.5, stale_in: 3600 });
    const { state, created, scheduledFor, staleAfter } = await recordOf(store, id);
    assert.equal(state, 2);
    assert.equal(scheduledFor!.getTime() - created.getTime(), 90_500);
    assert.equal(staleAfter!.getTime() - created.getTime(), 3_600_000);
  });

  test("insert() makes ready at once what is due already", async ({ store }) => {
    for (const when of [{ delay: 0 }, { at: Date.UTC(2020, 0, 1) }]) {
      assert.equal((await recordOf(store, await publishOne(store, when))).state, 0, JSON.stringify(when));
    }
  });

  test("insert() keeps any JSON as it is", async ({ store }) => {
    const data = {
      text: `quotes ' " \\ { } , NULL \n\t 😀 \u2028`,
      list: [1, -0.5, 1e300, [], {}, null, true, "[]"],
      $1: "$1",
      nested: { "": { "a.b": [[["deep"]]] } },
    };
    const [id] = await store.drawIds(1);
    await store.insert(
      { kinds: [kindOf()], rows: [{ id: id!, kind: 0, data: JSON.stringify(data) }] },
      false,
    );
    assert.deepEqual((await recordOf(store, id!)).data, data);
  });

  test("insert() takes 1,000 rows of many kinds at once", async ({ store, sql }) => {
    const ids = await store.drawIds(1000);
    const kinds = Array.from({ length: 40 }, (_, n) => kindOf({ fname: `f${n}`, priority: n }));
    const rows = ids.map((id, i) => ({ id, kind: i % 40, data: `{"i":${i}}` }));
    await store.insert({ kinds, rows }, false);
    const found = await sql<{ id: number; fname: string; priority: number; data: { i: number } }>(
      "select id, fname, priority, data from :schema.tasks order by id",
    );
    assert.deepEqual(
      found.map((row) => ({ ...row })),
      ids.map((id, i) => ({ id, fname: `f${i % 40}`, priority: i % 40, data: { i } })),
    );
  });

  test("insert() sent again doubles nothing and changes nothing", async ({ store, sql }) => {
    const ids = await store.drawIds(3);
    const batch = { kinds: [kindOf()], rows: ids.map((id) => ({ id, kind: 0, data: '{"try":1}' })) };
    await store.insert({ ...batch, rows: batch.rows.slice(0, 2) }, false);
    await store.claim([ids[0]!], ENGINE);
    const again = { ...batch, rows: ids.map((id) => ({ id, kind: 0, data: '{"try":2}' })) };
    await store.insert(again, false);
    await store.insert(again, true);
    const rows = await sql<{ state: number; data: unknown }>(
      "select state, data from :schema.tasks order by id",
    );
    assert.deepEqual(rows.map(({ state, data }) => [state, data]), [[1, { try: 1 }], [0, { try: 1 }], [0, {
      try: 2,
    }]]);
  });

  test("insert() with a bad value writes none of its rows", async ({ store, sql }) => {
    const [good, bad] = await store.drawIds(2);
    const insert = (kind: Parameters<typeof kindOf>[0], data: string) =>
      store.insert({
        kinds: [kindOf(), kindOf(kind)],
        rows: [{ id: good!, kind: 0, data: "{}" }, { id: bad!, kind: 1, data }],
      }, false);
    await assert.rejects(insert({}, '{"nul": "\\u0000"}'), BadValueError);
    await assert.rejects(insert({}, '{"half": "\\ud800"}'), BadValueError);
    await assert.rejects(insert({ priority: 101 }, "{}"), BadValueError);
    await assert.rejects(insert({ max_attempts: 40_000 }, "{}"), BadValueError);
    await assert.rejects(insert({ publish_key: random(6000) }, "{}"), BadValueError);
    assert.equal((await sql("select from :schema.tasks")).count, 0);
  });

  test("a program without the schema is told to migrate", async ({ store, sql }) => {
    await sql("alter table :schema.tasks rename to away");
    try {
      await assert.rejects(
        publishOne(store),
        (error) => error instanceof SchemaError && error.remedy === "run tq migrate",
      );
    } finally {
      await sql("alter table :schema.away rename to tasks");
    }
  });

  // Behind a pooler nothing is heard.
  if (PREPARES) {
    test("insert() wakes listeners only when it is asked to", async ({ store, another }) => {
      let heard = 0;
      const stop = await store.listen(() => heard++);
      const insert = async (notify: boolean) => {
        const [id] = await store.drawIds(1);
        await another().insert({ kinds: [kindOf()], rows: [{ id: id!, kind: 0, data: "{}" }] }, notify);
      };
      await insert(false);
      await insert(true);
      await eventually(() => heard > 0, { what: "the notification" });
      assert.equal(heard, 1); // In order: the first insert's would have come before.
      stop!();
    }, "Postgres");
  }

  test("listen() says that nothing can be heard", async ({ store }) => {
    assert.equal(await store.listen(() => assert.fail()), undefined);
  }, "embedded");

  test("insertInto() commits and rolls back with the caller's transaction", async ({ store, sql }) => {
    const ids = await store.drawIds(2);
    const batch = (id: number) => ({ kinds: [kindOf()], rows: [{ id, kind: 0, data: "{}" }] });
    await store.transaction((tx) => store.insertInto(tx, batch(ids[0]!)), 10_000);
    await assert.rejects(
      store.transaction(async (tx) => {
        await store.insertInto(tx, batch(ids[1]!));
        throw new Error("changed my mind");
      }, 10_000),
      { message: "changed my mind" },
    );
    assert.deepEqual((await sql<{ id: number }>("select id from :schema.tasks")).map((row) => row.id), [
      ids[0],
    ]);
    assert.deepEqual(await fieldsOf(store, ids[0]!, "state", "channel"), { state: 0, channel: CHANNEL });
  });
});

/** Text that does not compress. */
function random(length: number): string {
  return Array.from({ length }, () => Math.floor(Math.random() * 36).toString(36)).join("");
}
