import assert from "node:assert/strict";
import type { Clock } from "../../src/clock.ts";
import { Completer } from "../../src/engine/completer.ts";
import { Held } from "../../src/engine/held.ts";
import { COMPLETED, failed, putOff } from "../../src/engine/outcome.ts";
import { Store } from "../../src/store/mod.ts";
import { captureLog } from "../support/capture_log.ts";
import { eventually, tcpProxy, TestClock } from "../support/fixtures.ts";
import { needTest } from "../support/need.ts";
import { postgresUrl } from "../support/servers.ts";
import { publish, recordOf } from "../support/tasks.ts";
import { TestRecord } from "../support/test_record.ts";

const CODE = "c0de";

/** A completer on a record, and the tasks that it records. */
class Ends implements AsyncDisposable {
  readonly record: TestRecord;
  readonly store: Store;
  readonly engineId = crypto.randomUUID();
  readonly stop = new AbortController();
  readonly completer: Completer;
  /** Ids of what it let go of. */
  readonly recorded: number[] = [];

  private constructor(record: TestRecord, { kind = Store, clock }: { kind?: typeof Store; clock?: Clock }) {
    this.record = record;
    this.store = record.storeOf(kind, clock === undefined ? {} : { clock });
    this.completer = new Completer({
      store: this.store,
      engineId: this.engineId,
      codeVersion: CODE,
      recorded: (held) => this.recorded.push(...held.map((one) => one.row.id)),
      signal: this.stop.signal,
    });
  }

  /** `url` and `clock` are the store's; `kind` is a store that watches or disturbs. */
  static async make(options: { url?: string; kind?: typeof Store; clock?: Clock } = {}): Promise<Ends> {
    return new Ends(await TestRecord.make(options.url === undefined ? {} : { url: options.url }), options);
  }

  /** Publishes and claims tasks. */
  async held(count: number): Promise<Held[]> {
    const rows = await this.store.claim(await publish(this.store, count), this.engineId);
    assert.equal(rows.length, count);
    return rows.toSorted((a, b) => a.id - b.id).map((row) => new Held(row, Infinity));
  }

  /** How many tasks are in each state. */
  async states(): Promise<Record<string, number>> {
    const rows = await this.record.sql`
      select state, count(*)::integer as count from ${
      this.record.sql(this.record.schema)
    }.tasks group by state`;
    return Object.fromEntries(rows.map(({ state, count }) => [state, count]));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stop.abort();
    await this.record[Symbol.asyncDispose]();
  }
}

needTest(
  ["postgres"],
  "every way a run can end is in the record, charged, with its code's version",
  async () => {
    await using ends = await Ends.make();
    const held = await ends.held(4);
    ends.completer.add(held[0]!, COMPLETED);
    ends.completer.add(held[1]!, { ...COMPLETED, result: '{"lines":[1,"ü"]}' });
    ends.completer.add(held[2]!, failed("no such report"));
    ends.completer.add(held[3]!, { state: 2, reason: "try again", result: null, delay: 60 });
    await ends.completer.idle();
    const tasks = await ends.store.get(held.map((one) => one.row.id));
    tasks.sort((a, b) => a.id - b.id);
    assert.deepEqual(
      tasks.map(({ state, reason, result, attempts, codeVersion }) => [
        state,
        reason,
        result,
        attempts,
        codeVersion,
      ]),
      [
        [10, null, null, 1, CODE],
        [10, null, { lines: [1, "ü"] }, 1, CODE],
        [-1, "no such report", null, 1, CODE],
        [2, "try again", null, 1, CODE],
      ],
    );
    const wait = tasks[3]!.scheduledFor!.getTime() - tasks[3]!.modified.getTime();
    assert.equal(wait, 60_000);
    assert.deepEqual(ends.recorded.toSorted(), held.map((one) => one.row.id));
  },
);

needTest(
  ["postgres"],
  "ends that come together travel in two batches, the next ones when those are answered",
  async () => {
    const sizes: number[] = [];
    const { promise: answer, resolve: letAnswer } = Promise.withResolvers<void>();
    class Counting extends Store {
      override async complete(...args: Parameters<Store["complete"]>): ReturnType<Store["complete"]> {
        sizes.push(args[0].length);
        await answer;
        return await super.complete(...args);
      }
    }
    await using ends = await Ends.make({ kind: Counting });
    const held = await ends.held(2_500);
    for (const one of held.slice(0, 1_200)) ends.completer.add(one, COMPLETED);
    await eventually(() => sizes.length > 1, { what: "the first statements" });
    for (const one of held.slice(1_200)) ends.completer.add(one, COMPLETED);
    letAnswer();
    await ends.completer.idle();
    assert.deepEqual(sizes, [600, 600, 1_000, 300]);
    assert.deepEqual(await ends.states(), { 10: 2_500 });
  },
);

needTest(
  ["postgres"],
  "results that Postgres cannot store fail their own tasks and hold up nobody",
  async () => {
    await using ends = await Ends.make();
    await using log = await captureLog("warning");
    const held = await ends.held(1_000);
    const bad = [held[0]!, held[332]!, held[334]!, held[999]!];
    for (const one of held) {
      const result = bad.includes(one) ? '"\\u0000"' : one.row.id % 2 === 0 ? "[true]" : null;
      ends.completer.add(one, { ...COMPLETED, result });
    }
    await ends.completer.idle();
    assert.deepEqual(await ends.states(), { "-1": 4, "10": 996 });
    for (const one of bad) {
      const task = await recordOf(ends.store, one.row.id);
      assert.equal(task.reason, "result cannot be stored");
      assert.equal(task.attempts, 1);
    }
    assert.equal(new Set(ends.recorded).size, 1_000);
    assert.equal(log.lines.length, 4, "nothing else is said");
    assert.equal(log.count(/A result was refused task=\d+ error="Postgres cannot store a value/), 4);
  },
);

needTest(["postgres"], "an outage of Postgres loses no end", async () => {
  await using proxy = tcpProxy((await postgresUrl())!);
  const clock = new class extends TestClock {
    pauses = 0;
    override sleep(...args: Parameters<TestClock["sleep"]>): Promise<void> {
      this.pauses++;
      return super.sleep(...args);
    }
  }();
  await using ends = await Ends.make({ url: proxy.url, clock });
  const held = await ends.held(300);
  for (const one of held.slice(0, 100)) ends.completer.add(one, COMPLETED);
  await ends.completer.idle();
  await proxy.refuse();
  proxy.cut();
  for (const one of held.slice(100, 200)) ends.completer.add(one, { ...COMPLETED, result: "1" });
  for (const one of held.slice(200)) ends.completer.add(one, COMPLETED);
  for (let tries = 2; tries < 20; tries += 2) {
    await eventually(() => clock.pauses >= tries, { what: `try ${tries}` });
    await clock.advance(1_000);
  }
  assert.equal(ends.recorded.length, 100);
  await proxy.resume();
  await eventually(async () => {
    await clock.advance(1_000);
    return ends.recorded.length === 300;
  }, { what: "all ends" });
  assert.deepEqual(await ends.states(), { 10: 300 });
  assert.equal(ends.recorded.length, 300);
});

needTest(["postgres"], "an end whose answer was lost on the way is recorded once", async () => {
  await using proxy = tcpProxy((await postgresUrl())!);
  let cut = true;
  class Cut extends Store {
    override async complete(...args: Parameters<Store["complete"]>): ReturnType<Store["complete"]> {
      const [leases, engineId, code, how = {}] = args;
      if (!cut) return await super.complete(...args);
      cut = false;
      // What the database does of itself when the connection goes after the commit.
      await super.complete(leases, engineId, code, { ...how });
      proxy.cut();
      return await super.complete(...args);
    }
  }
  await using ends = await Ends.make({ url: proxy.url, kind: Cut });
  const [held] = await ends.held(1);
  ends.completer.add(held!, COMPLETED);
  await ends.completer.idle();
  assert.deepEqual(ends.recorded, [held!.row.id]);
  assert.equal((await recordOf(ends.store, held!.row.id)).attempts, 1);
});

needTest(["postgres"], "the end of a run whose lease was lost is dropped, and said", async () => {
  await using ends = await Ends.make();
  await using log = await captureLog();
  const [mine, lost, again] = await ends.held(3);
  const other = crypto.randomUUID();
  await ends.store.release(
    [{ id: lost!.row.id, claims: 1 }, { id: again!.row.id, claims: 1 }],
    ends.engineId,
    null,
  );
  await ends.store.claim([lost!.row.id], other);
  // Claimed again by this engine, which was not told: the fence is the count of claims, not the engine.
  await ends.store.claim([again!.row.id], ends.engineId);
  for (const one of [mine!, lost!, again!]) ends.completer.add(one, failed("mine"));
  await ends.completer.idle();
  assert.equal((await recordOf(ends.store, mine!.row.id)).state, -1);
  for (const one of [lost!, again!]) {
    const task = await recordOf(ends.store, one.row.id);
    assert.deepEqual([task.state, task.attempts, task.reason, task.claims], [1, 0, null, 2]);
  }
  assert.equal(log.count(/Ends of runs were not recorded: .* dropped=2$/), 1);
  assert.equal(ends.recorded.length, 3, "the engine holds them no more");
});

needTest(["postgres"], "a lease that is adopted before the end is sent is the one that counts", async () => {
  await using ends = await Ends.make();
  const [held] = await ends.held(1);
  await ends.store.release([{ id: held!.row.id, claims: 1 }], ends.engineId, null);
  await ends.store.claim([held!.row.id], ends.engineId);
  held!.claims = 2;
  ends.completer.add(held!, COMPLETED);
  await ends.completer.idle();
  assert.equal((await recordOf(ends.store, held!.row.id)).state, 10);
});

needTest(
  ["postgres"],
  "an engine that must end while Postgres is away gives up, and says for whom",
  async () => {
    await using proxy = tcpProxy((await postgresUrl())!);
    await using ends = await Ends.make({ url: proxy.url });
    await using log = await captureLog();
    const [held] = await ends.held(1);
    await proxy.refuse();
    proxy.cut();
    ends.completer.add(held!, COMPLETED);
    ends.stop.abort();
    await ends.completer.idle();
    assert.equal(log.count(new RegExp(`could not be recorded; it will run again task=${held!.row.id}$`)), 1);
    assert.deepEqual(ends.recorded, []);
    await proxy.resume();
    assert.equal((await recordOf(ends.store, held!.row.id)).state, 1);
  },
);

needTest(
  ["postgres"],
  "a statement that Postgres refuses for a while fails no task and keeps its result",
  async () => {
    await using ends = await Ends.make();
    await using log = await captureLog();
    const held = await ends.held(3);
    const { sql, schema } = ends.record;
    const tasks = sql(schema);
    const waiting = async () =>
      (await sql`select pid from pg_stat_activity
      where wait_event_type = 'Lock' and query like ${`%${schema}.tasks%`} and pid <> pg_backend_pid()`).map((
        { pid },
      ) => pid as number);
    await sql.begin(async (tx) => {
      await tx`select 1 from ${tasks}.tasks for update`;
      ends.completer.add(held[0]!, { ...COMPLETED, result: "1" });
      ends.completer.add(held[1]!, failed("no such report"));
      ends.completer.add(held[2]!, COMPLETED);
      // As an administrator does, or a statement_timeout: no value is wrong, and no connection is lost.
      await eventually(async () => (await waiting()).length === 2, { what: "both statements" });
      for (const pid of await waiting()) await sql`select pg_cancel_backend(${pid})`;
      await eventually(() => log.count(/Ends of runs cannot be recorded; tried until they are/) === 2, {
        what: "both refusals",
      });
    });
    await ends.completer.idle();
    const records = await ends.store.get(held.map((one) => one.row.id));
    assert.deepEqual(
      records.toSorted((a, b) => a.id - b.id).map(({ state, reason, result, attempts }) => [
        state,
        reason,
        result,
        attempts,
      ]),
      [[10, null, 1, 1], [-1, "no such report", null, 1], [10, null, null, 1]],
    );
    assert.equal(log.count(/Ends of runs are recorded again/), 2);
    assert.equal(log.count(/A result was refused/), 0);
  },
);

needTest(["postgres"], "a task that was put off is not charged", async () => {
  await using ends = await Ends.make();
  const [held] = await ends.held(1);
  ends.completer.add(held!, putOff("its module does not import", 30));
  await ends.completer.idle();
  const task = await recordOf(ends.store, held!.row.id);
  assert.deepEqual([task.state, task.attempts, task.reason], [2, 0, "its module does not import"]);
  assert.equal(task.scheduledFor!.getTime() - task.modified.getTime(), 30_000);
});
