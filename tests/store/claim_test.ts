import assert from "node:assert/strict";
import { storeSuite } from "../support/store_suite.ts";
import {
  CHANNEL,
  claimOne,
  fieldsOf,
  idsOf,
  publish,
  publishOne,
  recordOf,
  whileLocked,
} from "../support/tasks.ts";

const ENGINE = crypto.randomUUID();
const OTHER = crypto.randomUUID();

storeSuite((test) => {
  test("claim() makes ready rows the engine's and counts the claim", async ({ store }) => {
    const ids = await publish(store, 3, {
      priority: 7,
      max_attempts: 2,
      timeout_seconds: 60,
      trace_parent: "00-a",
    });
    const rows = await store.claim(ids, ENGINE);
    assert.deepEqual(idsOf(rows), ids);
    const { waited_ms, ...row } = rows.find((row) => row.id === ids[0])!;
    assert.ok(waited_ms >= 0 && waited_ms < 60_000, `${waited_ms} ms`);
    assert.deepEqual(row, {
      id: ids[0],
      claims: 1,
      attempts: 0,
      max_attempts: 2,
      timeout_seconds: 60,
      channel: CHANNEL,
      model: "myapp.Report",
      fname: "summary",
      data: `{"id": ${ids[0]}}`,
      trace_parent: "00-a",
    });
    const record = await recordOf(store, ids[0]!);
    assert.deepEqual([record.state, record.claims, record.engineId, record.attempts], [1, 1, ENGINE, 0]);
    assert.ok(record.startedAt !== null && record.startedAt >= record.created);
    assert.equal(record.modified.getTime(), record.startedAt.getTime());
  });

  test("claim() counts every claim, whoever makes it", async ({ store }) => {
    const first = await claimOne(store, ENGINE);
    await store.release([first], ENGINE, null);
    const [second] = await store.claim([first.id], OTHER);
    assert.equal(second?.claims, 2);
    await store.release([second], OTHER, null);
    assert.equal((await store.claim([first.id], ENGINE))[0]?.claims, 3);
    assert.deepEqual(await fieldsOf(store, first.id, "claims", "engineId", "attempts"), {
      claims: 3,
      engineId: ENGINE,
      attempts: 0,
    });
  });

  test("claim() skips what is not ready, is stale, is a suspect, or does not exist", async ({ store, sql }) => {
    const ready = await publishOne(store);
    const waiting = await publishOne(store, { delay: 60 });
    const taken = await claimOne(store, OTHER);
    const ended = await publish(store, 3);
    for (const [i, state] of [10, -1, -2].entries()) {
      await sql("update :schema.tasks set state = $1::text::smallint where id = $2::text::bigint", [
        state,
        ended[i]!,
      ]);
    }
    const stale = await publishOne(store, { stale_in: 60 });
    await sql("update :schema.tasks set stale_after = now() where id = $1::text::bigint", [stale]);
    const fresh = await publishOne(store, { stale_in: 60 });
    const suspect = await publishOne(store);
    await sql("update :schema.tasks set deaths = 1 where id = $1::text::bigint", [suspect]);
    const all = [ready, ready, waiting, taken.id, ...ended, stale, fresh, suspect, 999_999_999];
    assert.deepEqual(idsOf(await store.claim(all, ENGINE)), [ready, fresh]);
    assert.deepEqual(idsOf(await store.claim(all, OTHER)), []);
    assert.equal((await recordOf(store, ready)).claims, 1);
    assert.equal((await recordOf(store, taken.id)).engineId, OTHER);
    assert.deepEqual(idsOf(await store.claim([], ENGINE)), []);
  });

  test("claim() hands over a row that somebody wrote by hand as it is", async ({ store, sql }) => {
    const model = `../../etc/passwd'; drop table "tasks"; --`;
    const [row] = await sql<{ id: number }>(
      `insert into :schema.tasks (model, fname, channel, data) values ($1, '__proto__', $2, $3::text::jsonb) returning id`,
      [model, CHANNEL, '{"__proto__": {"a": 1}, "text": "\\" \\\\ 😀 {}"}'],
    );
    const [claimed] = await store.claim([row!.id], ENGINE);
    assert.deepEqual([claimed?.model, claimed?.fname], [model, "__proto__"]);
    assert.equal(JSON.parse(claimed!.data).text, '" \\ 😀 {}');
  });

  test("claim() by two engines at once gives each row to one of them", async ({ store, another }) => {
    const ids = await publish(store, 200);
    const reversed = [...ids].reverse();
    const [one, two] = await Promise.all([store.claim(ids, ENGINE), another().claim(reversed, OTHER)]);
    assert.deepEqual(idsOf([...one, ...two]), ids);
  });

  test("claimNext() takes by priority, then age, up to its count", async ({ store }) => {
    const [old] = await publish(store, 1);
    const [low] = await publish(store, 1, { priority: -5 });
    const high = await publish(store, 2, { priority: 9 });
    const [young] = await publish(store, 1);
    await publish(store, 1, { channel: "another" });
    const next = async (count: number) =>
      (await store.claimNext([{ channel: CHANNEL, room: count }], count, ENGINE)).map((row) => row.id);
    assert.deepEqual(await next(3), [...high, old]);
    assert.deepEqual(await next(5), [young, low]);
    assert.deepEqual(await next(5), []);
    assert.deepEqual(await fieldsOf(store, high[0]!, "state", "claims", "engineId"), {
      state: 1,
      claims: 1,
      engineId: ENGINE,
    });
    assert.equal((await store.claimNext([{ channel: "another", room: 1 }], 1, ENGINE)).length, 1);
    assert.deepEqual(await store.claimNext([{ channel: "x' or true --", room: 1 }], 1, ENGINE), []);
  });

  test("claimNext() goes from channel to channel, each up to its room, all up to its count", async ({ store }) => {
    const a = await publish(store, 4, { channel: "a" });
    const b = await publish(store, 4, { channel: "b", priority: 9 });
    const c = await publish(store, 4, { channel: "c" });
    const next = async (count: number, ...rooms: [string, number][]) =>
      (await store.claimNext(rooms.map(([channel, room]) => ({ channel, room })), count, ENGINE)).map((row) =>
        row.id
      );
    assert.deepEqual(await next(4, ["c", 2], ["b", 1], ["a", 10]), [...c.slice(0, 2), b[0], a[0]]);
    assert.deepEqual(await next(2, ["a", 10], ["b", 10]), a.slice(1, 3), "the last ones wait");
    assert.deepEqual(await next(10, ["none", 10], ["b", 10], ["c", 1]), [...b.slice(1), c[2]]);
    assert.deepEqual(await next(10), []);
  });

  test("claimNext() passes over stale rows and suspects", async ({ store, sql }) => {
    const [stale, suspect, ready] = await publish(store, 3);
    await sql("update :schema.tasks set stale_after = now() where id = $1::text::bigint", [stale!]);
    await sql("update :schema.tasks set deaths = 1 where id = $1::text::bigint", [suspect!]);
    assert.deepEqual(idsOf(await store.claimNext([{ channel: CHANNEL, room: 10 }], 10, ENGINE)), [ready]);
  });

  test("claimNext() by several claimers at once takes every row, and none twice", async ({ store, another }) => {
    const ids = await publish(store, 300);
    const claimers = [store, another(), another()];
    const taken = await Promise.all(claimers.map(async (one) => {
      const mine: number[] = [];
      for (;;) {
        const rows = await one.claimNext([{ channel: CHANNEL, room: 7 }], 7, crypto.randomUUID());
        if (rows.length === 0) return mine;
        mine.push(...rows.map((row) => row.id));
      }
    }));
    assert.deepEqual(taken.flat().sort((a, b) => a - b), ids);
    assert.ok(taken.filter((mine) => mine.length > 0).length > 1);
  });

  test("claimNext() does not wait for rows that somebody else is about to take", async (bench) => {
    const ids = await publish(bench.store, 4);
    await whileLocked(bench, ids.slice(0, 2), async () => {
      const rows = await bench.store.claimNext([{ channel: CHANNEL, room: 10 }], 10, ENGINE, {
        deadline: 2000,
      });
      assert.deepEqual(idsOf(rows), ids.slice(2));
    });
  }, "Postgres");

  test("claimSuspect() takes a ready suspect, and nothing else", async ({ store, sql }) => {
    const [plain, suspect, stale, waiting] = await publish(store, 4);
    await sql("update :schema.tasks set deaths = 2 where id <> $1::text::bigint", [plain!]);
    await sql("update :schema.tasks set stale_after = now() where id = $1::text::bigint", [stale!]);
    await sql("update :schema.tasks set state = 2 where id = $1::text::bigint", [waiting!]);
    for (const id of [plain!, stale!, waiting!]) {
      assert.deepEqual(idsOf(await store.claimSuspect(id, ENGINE)), []);
    }
    const [row] = await store.claimSuspect(suspect!, ENGINE);
    assert.deepEqual([row?.id, row?.claims], [suspect, 1]);
    assert.deepEqual(idsOf(await store.claimSuspect(suspect!, OTHER)), []);
  });
});
