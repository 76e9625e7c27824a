import assert from "node:assert/strict";
import type { Database } from "../../src/store/database.ts";
import { promoteDue } from "../../src/store/due.ts";
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
const DUE = "update :schema.tasks set scheduled_for = now() - interval '1 second' where state = 2";

storeSuite((test) => {
  test("promoteDue() makes due tasks ready and says when the next one is due", async ({ store, sql }) => {
    const due = await publish(store, 2, { delay: 60, priority: 4 });
    await sql(DUE);
    await publish(store, 1, { delay: 500 });
    await publish(store, 1, { delay: 100 });
    const ready = await publishOne(store);
    const promotion = await store.promoteDue(10);
    assert.deepEqual(idsOf(promotion.ready), due);
    assert.deepEqual([promotion.ready[0]?.channel, promotion.ready[0]?.priority], [CHANNEL, 4]);
    assert.ok(promotion.nextSeconds! > 70 && promotion.nextSeconds! <= 100, String(promotion.nextSeconds));
    assert.equal(promotion.more, false);
    const record = await recordOf(store, due[0]!);
    assert.deepEqual([record.state, record.completedAt], [0, null]);
    assert.ok(record.modified > record.created);
    assert.equal(
      (await recordOf(store, ready)).modified.getTime(),
      (await recordOf(store, ready)).created.getTime(),
    );
  });

  test("promoteDue() with nothing due tells the wait, with nothing waiting tells none", async ({ store }) => {
    const view = { channels: [], hasStale: false, silence: undefined };
    assert.deepEqual(await store.promoteDue(10), { ready: [], nextSeconds: undefined, more: false, view });
    const id = await publishOne(store, { delay: 60 });
    const { ready, nextSeconds, more } = await store.promoteDue(10);
    assert.deepEqual([ready, more], [[], false]);
    assert.ok(nextSeconds! > 30 && nextSeconds! <= 60, String(nextSeconds));
    assert.equal((await recordOf(store, id)).state, 2);
  });

  test("promoteDue() tells what else there is to do: channels with ready tasks, stale ones, the longest silence", async ({ store, sql }) => {
    const stale = await publishOne(store, { channel: "a" });
    await publish(store, 2, { channel: "b" });
    await publishOne(store, { channel: "waits", delay: 60 });
    const view = async () => (await store.promoteDue(10)).view;
    assert.deepEqual(await view(), { channels: ["a", "b"], hasStale: false, silence: undefined });
    await sql("update :schema.tasks set stale_after = now() where id = $1::text::bigint", [stale]);
    assert.equal((await view()).hasStale, true);
    for (const silent of [10, 20, 0]) {
      const id = crypto.randomUUID();
      await store.registerEngine({ id, host: "h", pid: 1, codeVersion: null, channels: [] });
      await sql(
        "update :schema.engines set beat_at = now() - $1::text::float8 * interval '1 second' where id = $2::text::uuid",
        [silent, id],
      );
    }
    const { silence } = await view();
    assert.ok(silence! >= 20 && silence! < 30, String(silence));
  });

  test("promoteDue() tells what there is to do once, however many tasks it makes ready", async ({ store, sql, db }) => {
    await publish(store, 300, { delay: 60 });
    await sql(DUE);
    await sql(
      `insert into :schema.tasks (channel, model, fname) select 'channel_' || n, 'm', 'f' from generate_series(1, 500) n`,
    );
    let bytes = 0;
    const watched = {
      run: async (...what: Parameters<typeof db.run>) => {
        const rows = await db.run(...what);
        bytes += JSON.stringify(rows).length;
        return rows;
      },
    } as Database;
    const { ready, view } = await promoteDue(watched, 1000, {});
    assert.deepEqual([ready.length, view.channels.length], [300, 500]);
    assert.ok(bytes < 50_000, `${bytes} bytes`);
  });

  test("promoteDue() hears the silence of an engine that was declared dead only while tasks say that it holds them", async ({ store, sql }) => {
    await store.registerEngine({ id: ENGINE, host: "h", pid: 1, codeVersion: null, channels: [] });
    await sql("update :schema.engines set beat_at = '-infinity'");
    assert.equal((await store.promoteDue(10)).view.silence, undefined);
    await publishOne(store);
    await sql(`update :schema.tasks set state = 1, engine_id = '${ENGINE}'`);
    assert.ok((await store.promoteDue(10)).view.silence! > 1e6);
  });

  test("promoteDue() takes the longest due first, at most its limit, and says that there are more", async ({ store, sql }) => {
    const ids = await publish(store, 5, { delay: 60 });
    const set =
      "update :schema.tasks set scheduled_for = now() - $1::text::float8 * interval '1 second' where id = $2::text::bigint";
    for (const [i, id] of ids.entries()) await sql(set, [i + 1, id]);
    const first = await store.promoteDue(2);
    assert.deepEqual([idsOf(first.ready), first.more], [ids.slice(3), true]);
    assert.deepEqual(idsOf((await store.promoteDue(2)).ready), ids.slice(1, 3));
    const last = await store.promoteDue(2);
    assert.deepEqual([idsOf(last.ready), last.more, last.nextSeconds], [[ids[0]], false, undefined]);
  });

  test("promoteDue() by two leaders at once moves each task once", async ({ store, another, sql }) => {
    const ids = await publish(store, 400, { delay: 60 });
    await sql(DUE);
    const leaders = [store, another()];
    const moved = await Promise.all(leaders.map(async (leader) => {
      const mine: number[] = [];
      for (let more = true; more;) {
        const promotion = await leader.promoteDue(50);
        mine.push(...idsOf(promotion.ready));
        more = promotion.more;
      }
      return mine;
    }));
    assert.deepEqual(moved.flat().sort((a, b) => a - b), ids);
  });

  test("promoteDue() does not wait for rows that somebody else holds", async (bench) => {
    const { store, sql } = bench;
    const ids = await publish(store, 3, { delay: 60 });
    await sql(DUE);
    await whileLocked(bench, ids.slice(0, 1), async () => {
      assert.deepEqual(idsOf((await store.promoteDue(10, { deadline: 2000 })).ready), ids.slice(1));
    });
  }, "Postgres");

  test("promoteDue() cancels what is to be canceled, and does not tell suspects to be pushed", async ({ store, sql }) => {
    const [canceled, suspect] = await publish(store, 2, { delay: 60 });
    await sql(DUE);
    await sql("update :schema.tasks set cancel_requested = true where id = $1::text::bigint", [canceled!]);
    await sql("update :schema.tasks set deaths = 1 where id = $1::text::bigint", [suspect!]);
    assert.deepEqual(idsOf((await store.promoteDue(10)).ready), []);
    assert.deepEqual((await store.get([canceled!, suspect!])).map((one) => one.state).sort(), [-2, 0]);
  });

  test("expireStale() fails ready and waiting tasks past their time, at most its limit", async ({ store, sql }) => {
    const ready = await publish(store, 2, { stale_in: 60 });
    const waiting = await publishOne(store, { stale_in: 60, delay: 3600 });
    const running = await claimOne(store, ENGINE, { stale_in: 60 });
    const fresh = await publishOne(store, { stale_in: 60 });
    const never = await publishOne(store);
    await sql(
      "update :schema.tasks set stale_after = now() where id <> $1::text::bigint and stale_after is not null",
      [
        fresh,
      ],
    );
    assert.equal((await store.expireStale(2)).count, 2);
    assert.equal((await store.expireStale(2)).count, 1);
    assert.equal((await store.expireStale(2)).count, 0);
    for (const id of [...ready, waiting]) {
      const record = await recordOf(store, id);
      assert.deepEqual([record.state, record.attempts], [-1, 0]);
      assert.match(record.reason!, /^stale/);
      assert.ok(record.completedAt !== null);
    }
    assert.equal((await recordOf(store, running.id)).state, 1);
    for (const id of [fresh, never]) assert.deepEqual(await fieldsOf(store, id, "state"), { state: 0 });
  });

  test("expireStale() keeps why the last run of a task did not complete it", async ({ store, sql }) => {
    const [fresh, failed, mute, drained] = await publish(store, 4, { stale_in: 60 });
    const reasons = [null, "x".repeat(1000), null, "worker engine restarting"];
    const runs = [0, 1, 1, 0];
    for (const [i, id] of [fresh!, failed!, mute!, drained!].entries()) {
      await sql(
        `update :schema.tasks set stale_after = now(), attempts = $1::text::smallint, reason = $2
         where id = $3::text::bigint`,
        [runs[i]!, reasons[i]!, id],
      );
    }
    assert.equal((await store.expireStale(10)).count, 4);
    const reasonOf = async (id?: number) => (await recordOf(store, id!)).reason;
    assert.equal(await reasonOf(fresh), "stale: it did not start in time");
    assert.equal(
      await reasonOf(failed),
      `stale: it did not run again in time; before: ${"x".repeat(1000)}`.slice(0, 1000),
    );
    assert.equal(await reasonOf(mute), "stale: it did not run again in time");
    assert.equal(
      await reasonOf(drained),
      "stale: it did not start in time; before: worker engine restarting",
    );
  });
});
