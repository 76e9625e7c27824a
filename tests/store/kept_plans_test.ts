import assert from "node:assert/strict";
import { claim } from "../../src/store/claim.ts";
import { complete, finish } from "../../src/store/finish.ts";
import { writeNotes } from "../../src/store/log.ts";
import { release } from "../../src/store/release.ts";
import { needTest } from "../support/need.ts";
import { PlanGround } from "../support/plan_ground.ts";

const ENGINE = crypto.randomUUID();
const LEASES = [1, 2, 3].map((id) => ({ id, claims: 1 }));

needTest(["postgres"], "plans that were made while the table was empty stay good as it grows", async () => {
  await using ground = await PlanGround.make();
  const { pool, schema, db } = ground;
  // From the sixth time on Postgres keeps one plan.
  for (let i = 0; i < 8; i++) {
    await claim(db, [1, 2, 3], ENGINE, {});
    await complete(db, LEASES, ENGINE, null, {});
    const endings = LEASES.map((one) => ({ ...one, state: -1, reason: "r", result: null, delay: null }));
    await finish(db, endings as never, ENGINE, null, {});
    await release(db, LEASES, ENGINE, null, {});
    await writeNotes(
      db,
      LEASES.map(({ id, claims }) => ({ task_id: id, kind: "progress", text: "", progress: 0.5, claims })),
      ENGINE,
      {},
    );
  }
  await pool.run(
    `insert into ${schema}.tasks (channel, model, fname) select 'c', 'm', 'f' from generate_series(1, 20000)`,
  );
  const kept = await pool.run<{ name: string; types: number; statement: string }>(
    `select name, cardinality(parameter_types) as types, statement from pg_prepared_statements
     where statement like '%update ${schema}.tasks%'`,
  );
  assert.ok(kept.length >= 5, `${kept.length} statements`);
  for (const { name, types, statement } of kept) {
    const values = Array.from({ length: types }, () => "null").join(", ");
    const plan = await pool.run<{ "QUERY PLAN": string }>(`explain execute "${name}"(${values})`);
    const text = plan.map((row) => row["QUERY PLAN"]).join("\n");
    assert.match(text, /Index Cond: \(+(\w+\.)?id = /, `${statement}\n${text}`);
    assert.doesNotMatch(text, /Seq Scan on tasks/, `${statement}\n${text}`);
  }
});

needTest(["postgres"], "connections that keep plans compile no statement", async () => {
  await using ground = await PlanGround.make();
  assert.deepEqual((await ground.pool.run<{ jit: string }>("show jit")).map(({ jit }) => jit), ["off"]);
});
