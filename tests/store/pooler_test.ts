import assert from "node:assert/strict";
import { Pool } from "../../src/store/pool.ts";
import { available } from "../support/available.ts";
import { needTest } from "../support/need.ts";
import { PrivatePgBouncer } from "../support/private_pgbouncer.ts";
import { postgresUrl } from "../support/servers.ts";
import { REPOSITORY } from "../support/tq.ts";
import { TestRecord } from "../support/test_record.ts";

const NEEDS = ["postgres", "pgbouncer"] as const;
/** Of the store, what changes the record: as many files as do not make the run much longer. */
const VERBS = ["cancel", "claim", "due", "finish", "insert", "lease", "log", "prune", "release", "rescue"];

needTest(NEEDS, "a pooler that takes no startup parameters is done without, by callers at once", async () => {
  await using bouncer = await PrivatePgBouncer.started(await postgresUrl() ?? "", "session");
  await using pool = new Pool({
    url: () => Promise.resolve(bouncer.url()),
    size: 3,
    prepare: true,
    applicationName: "tq pool",
  });
  const ask = (n: number) => pool.run<{ n: number }>("select $1::text::integer as n", [n]);
  const answers = await Promise.all([1, 2, 3, 4, 5].map(ask));
  assert.deepEqual(answers.map(([row]) => row!.n), [1, 2, 3, 4, 5]);
  assert.ok(pool.size <= 3);
});

needTest(NEEDS, "a task goes its whole way through PgBouncer in transaction mode", async () => {
  await using bouncer = await PrivatePgBouncer.started(await postgresUrl() ?? "", "transaction");
  await using record = await TestRecord.make({ url: bouncer.url(), settings: { TQ_PREPARE: false } });
  const [queue, store, engine] = [record.queue(), record.store(), crypto.randomUUID()];
  const ids = await Promise.all(Array.from({ length: 50 }, () => queue.publish("myapp.Report", "run")));
  const rows = await store.claim(ids, engine);
  assert.equal(rows.length, 50);
  assert.equal(await store.complete(rows, engine, null), 50);
  await queue.transaction(async (_tx, publish) => void await publish("myapp.Report", "run"));
  assert.equal((await store.list({ states: [0, 10], size: 100 })).length, 51);
});

needTest(
  [...NEEDS, "redis"],
  "the tests of store and upkeep pass through PgBouncer in transaction mode",
  async () => {
    await using bouncer = await PrivatePgBouncer.started(await postgresUrl() ?? "", "transaction");
    const { success, stdout } = await new Deno.Command(Deno.execPath(), {
      args: [
        "test",
        "-A",
        "--no-check",
        "tests/upkeep",
        ...VERBS.map((verb) => `tests/store/${verb}_test.ts`),
      ],
      cwd: REPOSITORY,
      env: {
        TQ_TEST_POOLER: `127.0.0.1:${bouncer.port}`,
        TQ_TEST_AVAILABLE: [...await available()].filter((need) => need !== "session").join(","),
      },
      stderr: "null",
    }).output();
    assert.ok(success, new TextDecoder().decode(stdout));
  },
);
