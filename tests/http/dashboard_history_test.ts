/**
 * The last hour, as it is put together from stretches of the record.
 *
 * @module
 */

import assert from "node:assert/strict";
import { History, MINUTES } from "../../src/http/dashboard/history.ts";
import { quantile, Tally } from "../../src/http/dashboard/tally.ts";
import { systemClock } from "../../src/clock.ts";
import { stepSeconds } from "../../src/store/mod.ts";
import { needTest } from "../support/need.ts";
import { TestRecord } from "../support/test_record.ts";
import { seedHour } from "./seed_hour.ts";

const NOTHING = { channels: [], readyMinutes: [] };
const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);

async function now(record: TestRecord): Promise<number> {
  const [row] = await record.run("select extract(epoch from now())::float8 as now");
  return row!.now;
}

/** Looks until the whole hour was read. */
async function readAll(history: History, at: number): Promise<void> {
  do await history.refresh(at); while (history.isBehind);
}

needTest(
  ["postgres"],
  "an hour that was read bit by bit is the same as one that was read at once",
  async () => {
    await using record = await TestRecord.make();
    const store = record.store();
    await seedHour(record);
    const end = await now(record);
    const patient = new History(store, systemClock);
    // As if somebody had looked for two minutes: the oldest part is read first, and what is new settles.
    for (let back = 115; back >= 0; back -= 23) await readAll(patient, end - back);
    const fresh = new History(store, systemClock);
    await readAll(fresh, end);
    assert.deepEqual(patient.minutes(NOTHING), fresh.minutes(NOTHING));
    assert.deepEqual(patient.times(), fresh.times());
    // Whole microseconds, but added in another order: the last digits of a sum differ.
    const handlersOf = (history: History) =>
      [...history.handlers()].map(([key, one]) => [key, { ...one, seconds: Number(one.seconds.toFixed(6)) }]);
    assert.deepEqual(handlersOf(patient), handlersOf(fresh));

    const [count] = await record.run(
      `select count(*)::integer as all, count(*) filter (where state = -1)::integer as failed
     from :schema.tasks where modified >= to_timestamp((floor(${end} / 60) - ${MINUTES - 1}) * 60)`,
    );
    const { completed, failed, waiting, first, known } = fresh.minutes(NOTHING);
    assert.deepEqual([sum(completed) + sum(failed), sum(failed)], [count!.all, count!.failed]);
    assert.deepEqual([completed.length, first, known], [
      MINUTES,
      (Math.floor(end / 60) - MINUTES + 1) * 60,
      0,
    ]);

    // As the record says of the ends of some minutes: ready before, and not taken until after.
    for (const minute of [10, 38, 41, 45]) {
      const at = first + (minute + 1) * 60;
      const [row] = await record.run(
        `select count(*)::integer as waiting from :schema.tasks
       where created < to_timestamp(${at}) and started_at >= to_timestamp(${at})`,
      );
      assert.equal(waiting[minute], row!.waiting, `waiting at the end of minute ${minute}`);
    }
  },
);

needTest(["postgres"], "a first look shows the last minutes, and those after it the rest", async () => {
  await using record = await TestRecord.make();
  await seedHour(record);
  await record.run(
    `insert into :schema.tasks (state, model, fname, claims, attempts, created, started_at, completed_at, modified)
     select 10, 'app', 'busy', 1, 1, at, at, at, at
     from (select now() - g * interval '30 ms' as at from generate_series(1, 90000) g) as past`,
  );
  const history = new History(record.store(), { ...systemClock, monotonic: () => monotonic });
  let monotonic = 0;
  const end = await now(record);
  // A clock that says, after each statement, that the time for older ones is over.
  const slow = new History(
    {
      endedStretch: (...args) => {
        monotonic += 1000;
        return record.store().endedStretch(...args);
      },
    },
    { ...systemClock, monotonic: () => monotonic },
  );
  await slow.refresh(end);
  const early = slow.minutes(NOTHING);
  assert.ok(early.known > 45 && early.known < MINUTES, `${early.known}`);
  assert.ok(sum(early.completed) >= 10_000);
  let looks = 1;
  for (; slow.isBehind; looks++) await slow.refresh(end);
  assert.ok(looks > 2);
  await readAll(history, end);
  assert.deepEqual(slow.minutes(NOTHING), history.minutes(NOTHING));
});

needTest(["postgres"], "what is over an hour old is forgotten, and a long pause begins anew", async () => {
  await using record = await TestRecord.make();
  await seedHour(record);
  const history = new History(record.store(), systemClock);
  const end = await now(record);
  await readAll(history, end);
  const before = history.minutes(NOTHING);
  await readAll(history, end + 600);
  assert.deepEqual(history.minutes(NOTHING).completed.slice(0, 50), before.completed.slice(10));
  await readAll(history, end + 7_200);
  assert.deepEqual(
    [sum(history.minutes(NOTHING).completed), history.handlers().size, history.times().run.p50],
    [0, 0, null],
  );
});

needTest(["postgres"], "looks at the same time share one reading", async () => {
  await using record = await TestRecord.make();
  let reads = 0;
  const store = record.store();
  const history = new History({
    endedStretch: (...args) => {
      reads++;
      return store.endedStretch(...args);
    },
  }, systemClock);
  const at = await now(record);
  await Promise.all(Array.from({ length: 10 }, () => history.refresh(at)));
  assert.equal(reads, 2);
});

Deno.test("what waits now is the last minute of the backlog", async () => {
  const nothing = {
    lowest: null,
    rows: 0,
    states: [],
    handlers: [],
    runs: [],
    waits: [],
    spans: [],
    failures: [],
  };
  const history = new History({ endedStretch: () => Promise.resolve(nothing) }, systemClock);
  const minute = 29_000_000;
  await history.refresh(minute * 60 + 30);
  const { waiting } = history.minutes({
    channels: [{ channel: "a", ready: 5, oldest: 0 }],
    readyMinutes: [[minute - 500, 1], [minute - 2, 3], [minute, 1]],
  });
  assert.deepEqual(waiting.slice(-4), [1, 4, 4, 5]);
  assert.equal(waiting[0], 1);
});

Deno.test("quantiles of a histogram are those of its times, to a step", () => {
  const histogram = new Map<number, number>();
  const times = Array.from({ length: 1000 }, (_, i) => 0.001 * 1.01 ** i);
  for (const time of times) {
    const step = Math.floor(8 * Math.log2(time * 1000));
    histogram.set(step, (histogram.get(step) ?? 0) + 1);
  }
  for (const part of [0.01, 0.5, 0.95, 1]) {
    const real = times[Math.ceil(part * 1000) - 1]!;
    const told = quantile(histogram, part)!;
    assert.ok(told / real > 0.9 && told / real < 1.1, `${part}: ${told} for ${real}`);
  }
  assert.equal(quantile(new Map(), 0.5), null);
  assert.ok(stepSeconds(0) > 0.001 && stepSeconds(0) < 0.0011);
});

Deno.test("a million made-up names of handlers take no more memory than some hundreds", () => {
  const tally = new Tally();
  const handlers = Array.from({ length: 5_000 }, (_, i) => [1, "app", `f${i}`, -1, 1, 1, 1] as const);
  const failures = handlers.map(([, model, fname], i) => [model, fname, i, 60, "r"] as const);
  tally.add(
    {
      lowest: null,
      rows: 5_000,
      states: [[1, -1, 5_000]],
      handlers,
      runs: [],
      waits: [],
      spans: [],
      failures,
    },
    0,
  );
  assert.equal(tally.at(1)!.failed, 5_000);
  assert.ok(tally.at(1)!.handlers.size <= 200 && tally.failures.size <= 200);
  tally.drop(2);
  assert.deepEqual([tally.at(1), tally.failures.size], [undefined, 0]);
});
