import assert from "node:assert/strict";
import { claim } from "../../src/store/claim.ts";
import { Database } from "../../src/store/database.ts";
import { complete, finish } from "../../src/store/finish.ts";
import { migrate } from "../../src/store/migrate.ts";
import { Pool } from "../../src/store/pool.ts";
import { release } from "../../src/store/release.ts";
import { dropSchema, testSchema } from "../support/fixtures.ts";
import { needTest } from "../support/need.ts";
import { postgresUrl } from "../support/servers.ts";

const ENGINE = crypto.randomUUID();
const LEASES = [1, 2, 3].map((id) => ({ id, claims: 1 }));

needTest(["session"], "plans that were made while the table was empty stay good as it grows", async () => {
  const [url, schema] = [await postgresUrl() ?? "", testSchema()];
  await using pool = new Pool({
    url: () => Promise.resolve(url),
    size: 1,
    prepare: true,
    applicationName: "tq plans",
  });
  const db = new Database(pool, schema);
  await migrate(db);
  try {
    await pool.run(`alter table ${schema}.tasks set (autovacuum_enabled = off)`);
    // From the sixth time on Postgres keeps one plan.
    for (let i = 0; i < 8; i++) {
      await claim(db, [1, 2, 3], ENGINE, {});
      await complete(db, LEASES, ENGINE, null, {});
      const endings = LEASES.map((one) => ({ ...one, state: -1, reason: "r", result: null, delay: null }));
      await finish(db, endings as never, ENGINE, null, {});
      await release(db, LEASES, ENGINE, null, {});
    }
    await pool.run(
      `insert into ${schema}.tasks (channel, model, fname) select 'c', 'm', 'f' from generate_series(1, 20000)`,
    );
    const kept = await pool.run<{ name: string; types: number; statement: string }>(
      `select name, cardinality(parameter_types) as types, statement from pg_prepared_statements
       where statement like '%update ${schema}.tasks%'`,
    );
    assert.ok(kept.length >= 4, `${kept.length} statements`);
    for (const { name, types, statement } of kept) {
      const values = Array.from({ length: types }, () => "null").join(", ");
      const plan = await pool.run<{ "QUERY PLAN": string }>(`explain execute "${name}"(${values})`);
      const text = plan.map((row) => row["QUERY PLAN"]).join("\n");
      assert.match(text, /Index Cond: \(+(\w+\.)?id = /, `${statement}\n${text}`);
      assert.doesNotMatch(text, /Seq Scan on tasks/, `${statement}\n${text}`);
    }
  } finally {
    await dropSchema(schema, url);
  }
});
