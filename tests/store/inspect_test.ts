import assert from "node:assert/strict";
import { COUNT_LIMIT, type ListFilter, type ListSort } from "../../src/store/mod.ts";
import { State } from "../../src/task.ts";
import { type Bench, storeSuite } from "../support/store_suite.ts";
import { CHANNEL, claimOne, idsOf, publish, publishOne } from "../support/tasks.ts";

const ENGINE = crypto.randomUUID();

/** The ids of all rows of a list, fetched page by page. */
async function paged(
  { store }: Bench,
  sort: ListSort,
  size: number,
  filter: ListFilter = {},
): Promise<number[]> {
  const ids: number[] = [];
  for (;;) {
    const page = await store.list({ ...filter, sort, size, start: ids.length });
    ids.push(...page.map((record) => record.id));
    if (page.length < size) return ids;
  }
}

/** Writes rows in a state, by hand. */
async function load({ sql }: Bench, count: number, state: State, channel = CHANNEL): Promise<void> {
  await sql(
    `insert into :schema.tasks (state, channel, model, fname, scheduled_for)
     select $1::text::smallint, $2, 'myapp.Report', 'summary', now() from generate_series(1, $3::text::integer)`,
    [state, channel, count],
  );
}

storeSuite((test) => {
  test("get() gives the records that exist", async ({ store }) => {
    const ids = await publish(store, 3);
    assert.deepEqual(idsOf(await store.get([...ids, 999_999])), ids);
    assert.deepEqual(await store.get([]), []);
    const [record] = await store.get([ids[0]!]);
    assert.ok(record!.created instanceof Date && typeof record!.id === "number");
  });

  test("list() gives the newest 25 by id, unless it is told otherwise", async (bench) => {
    const { store } = bench;
    const ids = await publish(store, 30);
    const newest = [...ids].reverse();
    assert.deepEqual((await store.list()).map((record) => record.id), newest.slice(0, 25));
    assert.deepEqual((await store.list({ start: 25 })).map((record) => record.id), newest.slice(25));
    assert.deepEqual(
      (await store.list({ sort: "id", size: 2, start: 1 })).map((record) => record.id),
      ids.slice(1, 3),
    );
    assert.deepEqual(await store.list({ size: 0 }), []);
    assert.deepEqual(await paged(bench, "-id", 7), newest);
    assert.deepEqual(await paged(bench, "id", 7), ids);
  });

  test("extent() and idsAfter() walk through what a filter means, and no further", async (bench) => {
    const { store } = bench;
    const filter = { states: [State.failed], channel: CHANNEL };
    assert.deepEqual({ ...await store.extent(filter) }, { count: 0, last: 0 });
    await load(bench, 5, State.failed);
    await load(bench, 2, State.failed, "other");
    await load(bench, 2, State.completed);
    const { count, last } = await store.extent(filter);
    assert.equal(count, 5);
    await load(bench, 3, State.failed);
    const walked: number[][] = [];
    for (let after = 0;;) {
      const ids = await store.idsAfter(filter, { after, last, limit: 2 });
      if (ids.length === 0) break;
      walked.push(ids);
      after = ids.at(-1)!;
    }
    assert.deepEqual(walked.map((ids) => ids.length), [2, 2, 1]);
    assert.equal(walked.at(-1)![0], last);
    assert.deepEqual(walked.flat(), [...new Set(walked.flat())].sort((a, b) => a - b));
  });

  test("newest() names the newest tasks", async ({ store }) => {
    assert.equal((await store.newest(2)).length, 0);
    const ids = await publish(store, 3);
    const [task, ...more] = await store.newest(2);
    assert.deepEqual([task!.id, ...more.map(({ id }) => id)], [ids[2], ids[1]]);
    assert.deepEqual(Object.keys(task!), ["id", "state", "channel", "model", "fname"]);
    assert.deepEqual([task!.state, task!.channel], [State.scheduled, CHANNEL]);
  });

  test("list() filters by states, channel, model and function, alone and together", async ({ store }) => {
    const report = await publishOne(store);
    const mail = await publishOne(store, { model: "mail.Digest", fname: "send", channel: "mail" });
    const later = await publishOne(store, { delay: 60, channel: "mail" });
    const running = (await claimOne(store, ENGINE)).id;
    const found = async (filter: ListFilter) => idsOf(await store.list(filter));
    assert.deepEqual(await found({ states: [State.retry] }), [later]);
    assert.deepEqual(await found({ states: [State.scheduled, State.started] }), [report, mail, running]);
    assert.deepEqual(await found({ states: [] }), [report, mail, later, running]);
    assert.deepEqual(await found({ channel: "mail" }), [mail, later]);
    assert.deepEqual(await found({ model: "mail.Digest" }), [mail]);
    assert.deepEqual(await found({ fname: "summary" }), [report, later, running]);
    assert.deepEqual(await found({ fname: "summary", channel: "mail", states: [State.retry] }), [later]);
    assert.deepEqual(await found({ fname: "send", states: [State.failed] }), []);
    assert.deepEqual(await found({ channel: "' or true --" }), []);
    for (const sort of ["-modified", "modified", "id"] as const) {
      assert.deepEqual(await found({ channel: "mail", sort }), [mail, later], sort);
    }
  });

  test("list() searches in names and reasons in any case, and for an id", async ({ store }) => {
    const ids = await publish(store, 2);
    const digest = await publishOne(store, { model: "mail.Digest", fname: "send_all" });
    await store.cancel([ids[0]!], "100% of the QUOTA_is used");
    const found = async (search: string) => idsOf(await store.list({ search }));
    assert.deepEqual(await found("digest.SEND"), [digest]);
    assert.deepEqual(await found("quota_IS"), [ids[0]]);
    assert.deepEqual(await found("%"), [ids[0]]); // Not a pattern.
    assert.deepEqual(await found("d_gest"), []);
    assert.deepEqual(await found(String(ids[1])), [ids[1]]);
    assert.deepEqual(await found("no such thing"), []);
  });

  test("list() by time of change mixes all states in one order", async (bench) => {
    const { store, sql } = bench;
    const ready = await publish(store, 4);
    const waiting = await publish(store, 4, { delay: 60 });
    const running = [await claimOne(store, ENGINE), await claimOne(store, ENGINE)].map((row) => row.id);
    const ended = await publish(store, 4);
    await store.cancel(ended, null);
    const all = [...ready, ...waiting, ...running, ...ended];
    // Changed in an order that has nothing to do with their ids, as by retries and releases.
    const order = all.map((_, i) => all[(i * 5) % all.length]!);
    assert.equal(new Set(order).size, all.length);
    for (const [i, id] of order.entries()) {
      await sql(
        "update :schema.tasks set modified = now() - $1::text::float8 * interval '1 second' where id = $2::text::bigint",
        [i, id],
      );
    }
    for (const size of [3, 5, 100]) {
      assert.deepEqual(await paged(bench, "-modified", size), order, `pages of ${size}`);
      assert.deepEqual(await paged(bench, "modified", size), [...order].reverse(), `pages of ${size}`);
    }
    assert.deepEqual(
      await paged(bench, "-modified", 3, { states: [State.canceled] }),
      order.filter((id) => ended.includes(id)),
    );
  });

  test("pages show every task once, although many changed at the same moment", async (bench) => {
    const { store } = bench;
    const ids = await publish(store, 120);
    const shuffled = ids.map((_, i) => ids[(i * 7) % ids.length]!);
    await store.cancel(shuffled.slice(0, 60), null);
    await store.claim(shuffled.slice(60, 90), ENGINE);
    for (const sort of ["-modified", "modified"] as const) {
      const seen = await paged(bench, sort, 7);
      assert.equal(seen.length, 120);
      assert.deepEqual([...seen].sort((a, b) => a - b), ids, sort);
    }
  });

  test("readyCounts() counts the ready tasks of each channel, up to its limit", async (bench) => {
    const { store } = bench;
    await load(bench, 3, State.scheduled, "few");
    await load(bench, 5, State.retry, "waits");
    await load(bench, COUNT_LIMIT + 500, State.scheduled, "many");
    const counts = await store.readyCounts(["few", "waits", "many", "none", `"{}'`]);
    assert.deepEqual(Object.fromEntries(counts), {
      few: 3,
      waits: 0,
      many: COUNT_LIMIT + 1,
      none: 0,
      [`"{}'`]: 0,
    });
    assert.equal((await store.readyCounts([])).size, 0);
  });

  test("activeChannels() names the channels with ready tasks, each once", async (bench) => {
    assert.deepEqual(await bench.store.activeChannels(), []);
    for (const [channel, count] of [["b", 3], ["a", 2], ["c d", 1]] as const) {
      await load(bench, count, State.scheduled, channel);
    }
    await load(bench, 2, State.retry, "waits");
    assert.deepEqual(await bench.store.activeChannels(), ["a", "b", "c d"]);
  });

  test("untouchedReady() finds ready rows that nothing has touched, among the first ones", async ({ store, sql }) => {
    const ids = await publish(store, 4);
    const high = await publishOne(store, { priority: 5 });
    await publish(store, 1, { channel: "another" });
    await sql(
      "update :schema.tasks set modified = now() - interval '6 seconds' where id <> $1::text::bigint",
      [ids[1]!],
    );
    const found = async (limit: number, seconds: number) =>
      (await store.untouchedReady(CHANNEL, limit, seconds)).map((row) => row.id);
    assert.deepEqual((await found(10, 5)).sort(), [ids[0], ids[2], ids[3], high].sort());
    assert.deepEqual((await found(3, 5)).sort(), [high, ids[0]].sort());
    assert.deepEqual(await found(10, 60), []);
    const [row] = await store.untouchedReady(CHANNEL, 1, 5);
    assert.deepEqual({ ...row }, { id: high, channel: CHANNEL, priority: 5 });
  });

  test("readyAfter() pages through all ready rows once, in the order they run", async (bench) => {
    const { store, sql } = bench;
    for (const priority of [0, 7, -100, 100, 7]) await publish(store, 11, { priority });
    await publish(store, 3, { delay: 60 });
    await publish(store, 3, { channel: "another" });
    await sql(
      "update :schema.tasks set deaths = 1 where id = (select max(id) from :schema.tasks where priority = 7)",
    );
    const seen: { id: number; priority: number }[] = [];
    for (let after = { priority: 101, id: 0 };;) {
      const rows = await store.readyAfter(CHANNEL, after, 6);
      seen.push(...rows);
      if (rows.length < 6) break;
      after = rows.at(-1)!;
    }
    const claimed = await store.claimNext([{ channel: CHANNEL, room: 1000 }], 1000, ENGINE);
    assert.equal(seen.length, 54);
    assert.deepEqual(seen.map((row) => row.id), claimed.map((row) => row.id));
  });
});
