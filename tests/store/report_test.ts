import assert from "node:assert/strict";
import { BoundedReads } from "../../src/store/bounded.ts";
import { dayStats, totals } from "../../src/store/report.ts";
import { type Bench, storeSuite } from "../support/store_suite.ts";

/** Ended rows, each so many seconds ago, after a run of so many seconds. */
async function ended({ sql }: Bench, state: -2 | -1 | 10, ago: number, run = 1, count = 1): Promise<void> {
  await sql(
    `insert into :schema.tasks (state, model, fname, created, started_at, completed_at, modified)
     select $1::text::smallint, 'app', 'run', t, t - $3::text::float8 * interval '1 second', t, t
     from (select now() - $2::text::float8 * interval '1 second' as t) t, generate_series(1, $4::text::integer)`,
    [state, ago, run, count],
  );
}

async function waiting({ sql }: Bench, state: 0 | 1 | 2, count: number): Promise<void> {
  await sql(
    `insert into :schema.tasks (state, model, fname, scheduled_for)
     select $1::text::smallint, 'app', 'run', now() from generate_series(1, $2::text::integer)`,
    [state, count],
  );
}

const DAY = 86_400;

storeSuite((test) => {
  test("totals() counts what is now, and what ended within the window", async (bench) => {
    await waiting(bench, 0, 3);
    await waiting(bench, 1, 2);
    await waiting(bench, 2, 1);
    await ended(bench, 10, 30, 1, 4);
    await ended(bench, -1, 40, 1, 5);
    await ended(bench, -2, 50, 1, 6);
    await ended(bench, 10, 100);
    const found = await bench.store.totals(60);
    const { lastCompleted, lastScheduled, ...counts } = found;
    assert.deepEqual(counts, {
      retry: 1,
      running: 2,
      backlog: 3,
      completed: 4,
      failed: 5,
      canceled: 6,
      isEstimate: false,
    });
    assert.ok(Math.abs(Date.now() - 30_000 - lastCompleted!.getTime()) < 20_000);
    assert.ok(lastScheduled instanceof Date);
    assert.equal((await bench.store.totals(3600)).completed, 5);
  });

  test("totals() of an empty record are nothing", async ({ store }) => {
    assert.deepEqual(await store.totals(60), {
      retry: 0,
      running: 0,
      backlog: 0,
      completed: 0,
      failed: 0,
      canceled: 0,
      lastCompleted: null,
      lastScheduled: null,
      isEstimate: false,
    });
  });

  test("totals() of more than can be counted are taken from the newest, and say so", async (bench) => {
    // 100 in each of the last ten minutes; the newest 250 stand for all.
    for (let minute = 0; minute < 10; minute++) await ended(bench, 10, 60 * minute + 30, 1, 100);
    const found = await totals(bench.db, new BoundedReads(bench.db), 600, 250);
    assert.equal(found.isEstimate, true);
    assert.ok(found.completed > 700 && found.completed < 1300, String(found.completed));
  });

  test("totals() of a backlog above 10,000 say that it is an estimate", async (bench) => {
    await waiting(bench, 0, 10_500);
    await bench.sql("analyze :schema.tasks");
    const found = await bench.store.totals(60);
    assert.equal(found.isEstimate, true);
    assert.ok(found.backlog > 10_000 && found.backlog < 12_000, String(found.backlog));
  });

  test("dayStats() gives each day in UTC, the oldest first", async (bench) => {
    const sinceMidnight = (Date.now() / 1000) % DAY;
    await ended(bench, 10, Math.min(1, sinceMidnight / 2), 7.5, 2);
    await ended(bench, 10, sinceMidnight + 60, 3);
    await ended(bench, -1, sinceMidnight + 60, 9);
    await ended(bench, 10, sinceMidnight + DAY + 60, 3);
    await ended(bench, 10, sinceMidnight + 3 * DAY + 60, 3);
    await waiting(bench, 0, 3);
    const { days, isEstimate } = await bench.store.dayStats(3);
    const day = (back: number) => new Date(Date.now() - back * DAY * 1000).toISOString().slice(0, 10);
    assert.deepEqual([days, isEstimate], [[
      { day: day(2), completed: 1, failed: 0, longest: 3 },
      { day: day(1), completed: 1, failed: 1, longest: 9 },
      { day: day(0), completed: 2, failed: 0, longest: 7.5 },
    ], false]);
  });

  test("dayStats() of very many ended tasks is told from a sample, and says so", async (bench) => {
    const sinceMidnight = (Date.now() / 1000) % DAY;
    await ended(bench, 10, sinceMidnight + 60, 3, 500);
    await ended(bench, -1, sinceMidnight + 60, 5, 50);
    await bench.sql("analyze :schema.tasks");
    const { days, isEstimate } = await dayStats(bench.db, new BoundedReads(bench.db), 2, 100);
    assert.equal(isEstimate, true);
    // Of so few all are in the sample.
    assert.deepEqual(days.map(({ completed, failed, longest }) => [completed, failed, longest]), [
      [500, 50, 5],
      [0, 0, null],
    ]);
  });
});
