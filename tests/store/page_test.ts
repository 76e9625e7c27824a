import assert from "node:assert/strict";
import { InputError, TooSlowError, UnreachableError } from "../../src/errors.ts";
import { BoundedReads } from "../../src/store/bounded.ts";
import { COUNT_LIMIT, type Page, PAGE_SORTS, type PageFilter } from "../../src/store/mod.ts";
import { State, type TaskRecord } from "../../src/task.ts";
import { eventually } from "../support/fixtures.ts";
import { type Bench, storeSuite } from "../support/store_suite.ts";
import { publish, publishOne } from "../support/tasks.ts";

const ALL: PageFilter = { states: [], sort: "id", descending: false, start: 0, size: 25 };

function pageOf(
  { store }: Pick<Bench, "store">,
  filter: Partial<PageFilter> = {},
): Promise<Page<TaskRecord>> {
  return store.page({ ...ALL, ...filter });
}

function ids(page: Page<TaskRecord>): number[] {
  return page.rows.map(({ id }) => id);
}

/** Rows of every state, some with the same times. */
async function mixed({ sql }: Bench, count: number): Promise<void> {
  await sql(
    `insert into :schema.tasks (state, channel, model, fname, priority, attempts, created, modified, started_at)
     select (array[0, 1, 2, 10, -1, -2])[1 + g % 6], 'c' || g % 2, 'shop.Model' || g % 3, 'run' || g % 4, g % 5, g % 7,
       t - g % 11 * interval '1 hour', t + g % 4 * interval '1 second',
       case when g % 6 in (1, 3, 4) then t + g % 3 * interval '1 second' end
     from generate_series(1, $1::text::integer) g, (select now() - interval '2 days' as t) now`,
    [count],
  );
}

storeSuite((test) => {
  test("page() gives every row once, in every order", async (bench) => {
    await mixed(bench, 60);
    const key = (task: TaskRecord, sort: string): number | string | Date | null => {
      const name = sort.replaceAll(/_(\w)/g, (_, letter: string) => letter.toUpperCase()) as keyof TaskRecord;
      return task[name] as number | string | Date | null;
    };
    for (const sort of PAGE_SORTS) {
      for (const descending of [false, true]) {
        const rows: TaskRecord[] = [];
        for (;;) {
          const page = await pageOf(bench, { sort, descending, size: 7, start: rows.length });
          rows.push(...page.rows);
          assert.deepEqual([page.count, page.isEstimate], [60, false], sort);
          if (page.rows.length < 7) break;
        }
        assert.equal(new Set(rows.map(({ id }) => id)).size, 60, sort);
        // Rows without a value stand together; the others are in order, and those that are alike by id.
        const valued = rows.filter((row) => key(row, sort) !== null);
        for (let i = 1; i < valued.length; i++) {
          const [a, b] = descending ? [valued[i]!, valued[i - 1]!] : [valued[i - 1]!, valued[i]!];
          const [x, y] = [key(a, sort)!, key(b, sort)!];
          assert.ok(
            x < y || (Number(x) === Number(y) || x === y) && a.id < b.id,
            `${sort}: ${a.id} before ${b.id}`,
          );
        }
      }
    }
  });

  test("page() filters by each field, and by all of them", async (bench) => {
    const { store } = bench;
    const report = await publishOne(store);
    const mail = await publishOne(store, { model: "mail.Digest", fname: "send", channel: "mail" });
    const later = await publishOne(store, { delay: 60, channel: "mail" });
    await bench.sql("update :schema.tasks set reason = 'No such User' where id = $1::text::bigint", [report]);
    const found = async (filter: Partial<PageFilter>) => ids(await pageOf(bench, filter));
    assert.deepEqual(await found({ states: [State.retry] }), [later]);
    assert.deepEqual(await found({ states: [State.scheduled, State.retry] }), [report, mail, later]);
    assert.deepEqual(await found({ states: [State.failed], sort: "modified" }), []);
    assert.deepEqual(await found({ channel: "mail" }), [mail, later]);
    assert.deepEqual(await found({ model: "mail.Digest" }), [mail]);
    assert.deepEqual(await found({ fname: "send" }), [mail]);
    assert.deepEqual(await found({ search: "SUCH user" }), [report]);
    assert.deepEqual(await found({ search: String(later) }), [later]);
    assert.deepEqual(await found({ search: "%" }), []);
    assert.deepEqual(await found({ channel: "mail", states: [State.retry], search: "my" }), [later]);
    assert.deepEqual(await found({ channel: "mail", sort: "modified", descending: true }), [later, mail]);
    const wild = `'; drop table tasks; -- " \\ $1 ? ?`;
    assert.deepEqual(await found({ channel: wild, model: wild, fname: wild, search: wild }), []);
  });

  test("page() tells tasks apart by when they were published", async (bench) => {
    const { store, sql } = bench;
    const [first = 0, second = 0, third = 0] = await publish(store, 3);
    const at = (day: number) => new Date(Date.UTC(2026, 0, day));
    for (const [id, day] of [[first, 1], [second, 2], [third, 3]] as const) {
      await sql("update :schema.tasks set created = $2::text::timestamptz where id = $1::text::bigint", [
        id,
        at(day).toISOString(),
      ]);
    }
    const found = async (filter: Partial<PageFilter>) => ids(await pageOf(bench, filter));
    assert.deepEqual(await found({ createdFrom: at(2) }), [second, third]);
    assert.deepEqual(await found({ createdBefore: at(2) }), [first]);
    assert.deepEqual(await found({ createdFrom: at(2), createdBefore: at(3) }), [second]);
  });

  test("page() counts to the last row, also from beyond it", async (bench) => {
    await publish(bench.store, 30);
    assert.deepEqual((await pageOf(bench)).count, 30);
    assert.deepEqual((await pageOf(bench, { start: 25 })).count, 30);
    const beyond = await pageOf(bench, { start: 1000 });
    assert.deepEqual([beyond.rows, beyond.count, beyond.isEstimate], [[], 30, false]);
    assert.deepEqual((await pageOf(bench, { states: [State.failed] })).count, 0);
  });

  test("page() estimates above 10,000, and says so", async (bench) => {
    const { sql } = bench;
    await sql(
      `insert into :schema.tasks (state, model, fname, channel)
       select 10, 'app', 'run', case when g % 4 = 0 then 'few' else 'many' end from generate_series(1, 14000) g`,
    );
    await sql("analyze :schema.tasks");
    for (const sort of ["id", "modified"] as const) {
      const all = await pageOf(bench, { sort, descending: true });
      assert.equal(all.isEstimate, true);
      assert.ok(Math.abs(all.count - 14_000) < 1400, String(all.count));
      const many = await pageOf(bench, { sort, channel: "many" });
      assert.equal(many.isEstimate, true);
      assert.ok(Math.abs(many.count - 10_500) < 1050, String(many.count));
      const few = await pageOf(bench, { sort, channel: "few" });
      assert.deepEqual([few.count, few.isEstimate], [3500, false]);
    }
    assert.equal(COUNT_LIMIT, 10_000);
  });

  test("page() refuses what would not fit, and gives one task of any size", async (bench) => {
    const { store, sql } = bench;
    const [first = 0, second = 0, third = 0] = await publish(store, 3);
    const weigh = (column: "data" | "result", id: number, mib: number) =>
      sql(
        `update :schema.tasks set ${column} = jsonb_build_object('x', repeat('x', $2::text::integer * 1048576))
         where id = $1::text::bigint`,
        [id, mib],
      );
    await weigh("data", first, 33);
    await weigh("result", second, 20);
    await weigh("data", third, 11);
    for (const sort of ["id", "modified"] as const) {
      await assert.rejects(
        pageOf(bench, { sort }),
        (error) =>
          error instanceof InputError && error.remedy === "ask for fewer" &&
          /these 3 tasks are 65 MiB, above the 64/.test(error.message),
      );
      const brief = await store.briefPage({ ...ALL, sort });
      assert.deepEqual([brief.rows.length, brief.count], [3, 3]);
    }
    assert.deepEqual(ids(await pageOf(bench, { size: 1 })), [first]);
    assert.deepEqual(ids(await pageOf(bench, { size: 2, start: 1 })), [second, third]);
  });

  test("briefPage() gives the same without data and results", async (bench) => {
    await mixed(bench, 20);
    for (const sort of ["id", "modified"] as const) {
      const filter: PageFilter = { ...ALL, sort, descending: true, size: 7 };
      const whole = await bench.store.page(filter);
      const brief = await bench.store.briefPage(filter);
      assert.deepEqual(brief, { ...whole, rows: whole.rows.map(({ data: _, result: __, ...row }) => row) });
    }
  });

  test("logPage() gives lines in both orders, page by page", async ({ store }) => {
    const id = await publishOne(store);
    const other = await publishOne(store);
    const engine = crypto.randomUUID();
    const note = (task_id: number, text: string) => ({ task_id, kind: "log", text, progress: null });
    await store.writeNotes([..."abcde"].map((text) => note(id, text)), engine);
    await store.writeNotes([note(other, "x")], engine);
    const texts = async (start: number, size: number, descending: boolean) => {
      const page = await store.logPage(id, { start, size, descending });
      assert.deepEqual([page.count, page.isEstimate], [5, false]);
      return page.rows.map(({ text }) => text).join("");
    };
    assert.equal(await texts(0, 10, false), "abcde");
    assert.equal(await texts(1, 2, false), "bc");
    assert.equal(await texts(0, 2, true), "ed");
    assert.deepEqual((await store.logPage(999_999, { start: 0, size: 5, descending: false })).count, 0);
  });

  test("a bounded read that takes too long is ended, by the server too", async ({ db, sql }) => {
    const reads = new BoundedReads(db);
    await assert.rejects(
      reads.read(50, (bounded) => bounded.run("select pg_sleep(60)")),
      (error) => error instanceof TooSlowError && /takes longer than 0\.05 s/.test(error.message),
    );
    await eventually(
      async () =>
        (await sql(
          "select from pg_stat_activity where state = 'active' and query like 'select pg_sleep(60)%'",
        ))
          .length === 0,
      { what: "the end of the statement" },
    );
    // The next one is none the worse.
    assert.deepEqual(await reads.read(1000, (bounded) => bounded.run("select 1 as one")), [{ one: 1 }]);
  }, "Postgres");

  test("a bounded read changes nothing", async ({ db, sql, schema }) => {
    const reads = new BoundedReads(db);
    await assert.rejects(
      reads.read(
        1000,
        (bounded) => bounded.run(`insert into ${schema}.tasks (model, fname) values ('app', 'x')`),
      ),
      /read-only transaction/,
    );
    assert.equal((await sql("select from :schema.tasks")).length, 0);
  });

  test("few bounded reads run at once; those that would wait too long are refused", async ({ db }) => {
    const reads = new BoundedReads(db);
    const gate = Promise.withResolvers<void>();
    let running = 0;
    let most = 0;
    const read = () =>
      reads.read(30_000, async (bounded) => {
        most = Math.max(most, ++running);
        await gate.promise;
        running--;
        return (await bounded.run<{ one: number }>("select 1 as one"))[0]?.one;
      });
    const started = Array.from({ length: 54 }, read);
    await eventually(() => running === 4, { what: "four reads" });
    await assert.rejects(
      read(),
      (error) => error instanceof UnreachableError && /too many lists/.test(error.message),
    );
    gate.resolve();
    assert.deepEqual(new Set(await Promise.all(started)), new Set([1]));
    assert.equal(most, 4);
    assert.equal(await read(), 1);
  }, "Postgres");
});
