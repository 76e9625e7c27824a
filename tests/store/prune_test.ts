import assert from "node:assert/strict";
import { prune } from "../../src/store/prune.ts";
import { type Bench, storeSuite } from "../support/store_suite.ts";
import { CHANNEL, publish, whileLocked } from "../support/tasks.ts";

/** Writes a row in a state that last changed so many days ago; returns its id. */
async function aged({ sql }: Bench, state: number, days: number): Promise<number> {
  const [row] = await sql<{ id: number }>(
    `insert into :schema.tasks (state, model, fname, modified)
     values ($1::text::smallint, 'myapp.Report', 'summary', now() - $2::text::float8 * interval '1 day') returning id`,
    [state, days],
  );
  return row!.id;
}

async function left({ sql }: Bench): Promise<number[]> {
  return (await sql<{ id: number }>("select id from :schema.tasks order by id")).map((row) => row.id);
}

storeSuite((test) => {
  test("prune() deletes ended tasks past their age, completed ones sooner", async (bench) => {
    const { store } = bench;
    const kept = [await aged(bench, 10, 6.9), await aged(bench, -1, 29.9), await aged(bench, -2, 8)];
    await aged(bench, 10, 7.1);
    await aged(bench, -1, 30.1);
    await aged(bench, -2, 31);
    assert.equal(await store.prune(7, 30, 100), 3);
    assert.deepEqual(await left(bench), kept);
    assert.equal(await store.prune(7, 30, 100), 0);
    // The other way round: completed ones are kept longer.
    assert.equal(await store.prune(30, 7, 100), 2);
    assert.deepEqual(await left(bench), [kept[0]]);
  });

  test("prunable() counts what prune() deletes", async (bench) => {
    await aged(bench, 10, 6.9);
    await aged(bench, 0, 1000);
    assert.equal(await bench.store.prunable(7, 30), 0);
    for (const [state, days] of [[10, 7.1], [-1, 30.1], [-2, 31]] as const) await aged(bench, state, days);
    assert.equal(await bench.store.prunable(7, 30), 3);
    assert.equal(await bench.store.prunable(30, 7), 2);
  });

  test("prune() leaves ready, running and waiting tasks, however old", async (bench) => {
    const ids = [await aged(bench, 0, 1000), await aged(bench, 1, 1000), await aged(bench, 2, 1000)];
    assert.equal(await bench.store.prune(7, 30, 100), 0);
    assert.deepEqual(await left(bench), ids);
  });

  test("prune() deletes the oldest first, at most its limit, with their logs", async (bench) => {
    const { store, sql } = bench;
    const ids: number[] = [];
    for (const days of [50, 90, 70, 60, 80]) ids.push(await aged(bench, 10, days));
    const young = await aged(bench, 10, 1);
    await store.writeNotes(
      [...ids, young].map((id) => ({ task_id: id, kind: "log", text: "line", progress: null })),
      crypto.randomUUID(),
    );
    assert.equal(await store.prune(7, 30, 3), 3);
    assert.deepEqual(await left(bench), [ids[0], ids[3], young]);
    assert.equal(await store.prune(7, 30, 3), 2);
    const logs = await sql<{ task_id: number }>("select task_id from :schema.task_logs");
    assert.deepEqual(logs.map((row) => row.task_id), [young]);
  });

  test("prune() with a walk goes on where it came to, and reads what stays once", async (bench) => {
    const { db, store, sql } = bench;
    // Completed ones stay for 30 days, others for 7.
    for (let days = 29; days > 10; days--) await aged(bench, 10, days);
    const failed = [await aged(bench, -1, 9), await aged(bench, -2, 8), await aged(bench, -1, 6)];
    const oldest = await aged(bench, 10, 31);
    const walk = { from: "-infinity" };
    let sent = 0;
    const counting = Object.assign(Object.create(db), {
      run: (...args: Parameters<typeof db.run>) => {
        sent++;
        return db.run(...args);
      },
    }) as typeof db;
    assert.equal(await prune(counting, 30, 7, 2, { walk }), 2);
    assert.equal((await left(bench)).includes(oldest), false, "the oldest first");
    // 19 that stay were read, four at a time.
    assert.ok(sent > 5, `${sent} statements`);
    sent = 0;
    assert.equal(await prune(counting, 30, 7, 2, { walk }), 1);
    assert.equal(sent, 2, "they are not read again");
    assert.deepEqual((await left(bench)).filter((id) => failed.includes(id)), [failed[2]]);
    // Time passes: one is past its age, and all that were passed over as well.
    await sql("update :schema.tasks set modified = modified - interval '2 days'");
    assert.equal(await store.prune(30, 7, 100, { walk }), 2);
    assert.equal((await left(bench)).length, 18);
  });

  test("prune() that finds as many of one moment as it reads comes to an end", async (bench) => {
    const { store, sql } = bench;
    for (let n = 0; n < 6; n++) await aged(bench, 10, 20);
    const failed = await aged(bench, -1, 19);
    await sql("update :schema.tasks set modified = now() - interval '20 days' where state = 10");
    assert.equal(await store.prune(30, 7, 3, { walk: { from: "-infinity" } }), 0);
    assert.ok((await left(bench)).includes(failed), "it waits until those are older than both ages");
    assert.equal(await store.prune(30, 7, 10, {}), 1);
  });

  test("prune() leaves a grave for a week from the burial, however old its engine was", async ({ store, sql }) => {
    const engine = crypto.randomUUID();
    await store.registerEngine({ id: engine, host: "h", pid: 1, codeVersion: null, channels: [CHANNEL] });
    const age = (days: number) =>
      sql("update :schema.engines set started_at = started_at - $1::text::float8 * interval '1 day'", [days]);
    await age(30);
    await store.bury(engine, 0);
    const graves = async () => (await sql("select from :schema.engines")).count;
    await age(6.9);
    await store.prune(7, 30, 100);
    assert.equal(await graves(), 1);
    // It was only frozen, and wakes up.
    assert.equal((await store.claim(await publish(store, 1), engine)).length, 0);
    await age(0.2);
    await store.prune(7, 30, 100);
    assert.equal(await graves(), 0);
  });

  test("prune() passes over rows that somebody else holds", async (bench) => {
    const [held, free] = [await aged(bench, 10, 50), await aged(bench, 10, 40)];
    await whileLocked(bench, [held], async () => {
      assert.equal(await bench.store.prune(7, 30, 10, { deadline: 2000 }), 1);
      assert.ok(!(await left(bench)).includes(free));
    });
  }, "Postgres");
});
