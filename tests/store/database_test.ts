import assert from "node:assert/strict";
import { UnreachableError } from "../../src/errors.ts";
import { Database, numbers, type Statement, strings } from "../../src/store/database.ts";
import { Pool } from "../../src/store/pool.ts";
import { eventually, tcpProxy, TestClock, testSchema } from "../support/fixtures.ts";
import { needTest } from "../support/need.ts";
import { postgresSuite } from "../support/store_suite.ts";
import { postgresUrl, PREPARES } from "../support/servers.ts";

const ONE: Statement = () => "select 1 as one";

/** Raises a conflict the first `times` times that it is called. */
const CONFLICT = (times: number): Statement => (schema) => `select ${schema}.conflict(${times})`;

async function poolAt(url?: string): Promise<Pool> {
  const address = url ?? await postgresUrl() ?? "";
  return new Pool({
    url: () => Promise.resolve(address),
    size: 2,
    prepare: PREPARES,
    applicationName: "tq database",
  });
}

needTest(["postgres"], "a statement that met another one is sent again, without patience too", async () => {
  await using pool = await poolAt();
  const schema = testSchema();
  await pool.runScript(
    `create schema ${schema}; create sequence ${schema}.calls;
     create function ${schema}.conflict(times integer) returns void language plpgsql as $$ begin
       if nextval('${schema}.calls') <= times then raise exception 'conflict' using errcode = '40P01'; end if;
     end $$`,
    10_000,
  );
  try {
    const db = new Database(pool, schema);
    assert.equal((await db.run(CONFLICT(3))).count, 1);
    // For ever is something else than a conflict.
    const clock = new TestClock();
    const hopeless = assert.rejects(new Database(pool, schema, clock).run(CONFLICT(1_000_000)), {
      code: "40P01",
    });
    let done = false;
    hopeless.finally(() => done = true);
    await eventually(async () => {
      await clock.advance(1000);
      return done;
    }, { what: "the last try" });
    await hopeless;
    const [row] = await pool.run<{ calls: number }>(`select last_value as calls from ${schema}.calls`);
    assert.ok(row!.calls > 10 && row!.calls < 50, String(row!.calls));
  } finally {
    await pool.run(`drop schema ${schema} cascade`);
  }
});

postgresSuite((test) => {
  test("two batches that lock the same rows in opposite order both succeed", async ({ store, another, sql }) => {
    const ids = (await sql<{ id: number }>(
      "insert into :schema.tasks (model, fname) select 'a', 'b' from generate_series(1, 500) returning id",
    )).map((row) => row.id);
    const [one, two, engine] = [another(), another(), crypto.randomUUID()];
    for (let round = 0; round < 2; round++) {
      const rows = [...await store.claim(ids, engine)];
      const released = await Promise.all([
        one.release(rows.slice(0, 400), engine, null),
        two.release(rows.slice(100).reverse(), engine, null),
      ]);
      assert.equal(released[0].length + released[1].length, 500);
    }
  });
});

needTest(
  ["postgres"],
  "an outage is waited out for as long as the patience lasts, and no longer",
  async () => {
    await using proxy = tcpProxy(await postgresUrl() ?? "");
    await using pool = await poolAt(proxy.url);
    const db = new Database(pool, "none");
    await proxy.refuse();
    await assert.rejects(db.run(ONE), UnreachableError);
    const started = performance.now();
    await assert.rejects(db.run(ONE, [], { patience: 300 }), UnreachableError);
    assert.ok(performance.now() - started >= 250);

    let answered = false;
    const patient = db.run(ONE, [], { patience: 20_000 }).finally(() => answered = true);
    const stop = new AbortController();
    const stopped = assert.rejects(
      db.run(ONE, [], { patience: Infinity, signal: stop.signal }),
      UnreachableError,
    );
    stop.abort();
    await stopped;
    assert.equal(answered, false);
    await proxy.resume();
    assert.equal((await patient).count, 1);
  },
);

needTest(["postgres"], "an error of the statement is not waited out", async () => {
  await using pool = await poolAt();
  const db = new Database(pool, "none");
  await assert.rejects(db.run((schema) => `select from ${schema}.tasks`, [], { patience: Infinity }), {
    name: "SchemaError",
  });
});

needTest(["postgres"], "arrays arrive as they were", async () => {
  await using pool = await poolAt();
  const words = ["plain", "", "NULL", null, "null", `q"u'o\\te,{}`, " space ", "line\n", "😀"];
  const [row] = await pool.run<{ words: unknown; ids: unknown }>(
    "select array_to_json($1::text::text[]) as words, array_to_json($2::text::bigint[]) as ids",
    [strings(words), numbers([1, null, 2 ** 44])],
  );
  assert.deepEqual({ ...row }, { words, ids: [1, null, 2 ** 44] });
  assert.deepEqual([numbers([]), strings([])], ["{}", "{}"]);
});

Deno.test("a statement's text is made once for each schema", () => {
  let made = 0;
  const statement: Statement = (schema) => `select ${++made} from ${schema}.tasks`;
  const db = new Database({} as Pool, "one");
  assert.equal(db.text(statement), "select 1 from one.tasks");
  assert.equal(db.text(statement), "select 1 from one.tasks");
  assert.equal(new Database({} as Pool, "two").text(statement), "select 2 from two.tasks");
});
