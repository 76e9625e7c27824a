import assert from "node:assert/strict";
import { join } from "node:path";
import postgres from "npm:postgres@3.4.9";
import { systemClock } from "../../src/clock.ts";
import { loadSettings, type Settings } from "../../src/config.ts";
import type { Finding } from "../../src/doctor/finding.ts";
import {
  clockDifference,
  examinePostgres,
  judgeClock,
  judgeServer,
  judgeTransactions,
} from "../../src/doctor/postgres.ts";
import { rememberDatabase } from "../../src/store/connect.ts";
import { tempFolder, TestClock } from "../support/fixtures.ts";
import { needTest } from "../support/need.ts";
import { PrivatePostgres } from "../support/servers.ts";
import { TestRecord } from "../support/test_record.ts";

async function examined(settings: Settings, clock = systemClock): Promise<Finding[]> {
  const findings: Finding[] = [];
  await examinePostgres(settings, (...found) => void findings.push(...found), clock);
  return findings;
}

/** The level of each check; the worst where a check has several findings. */
function levels(findings: readonly Finding[]): Record<string, string> {
  const order = ["ok", "note", "warning", "bad"];
  const worst = findings.toSorted((a, b) => order.indexOf(a.level) - order.indexOf(b.level));
  return Object.fromEntries(worst.map(({ check, level }) => [check, level]));
}

needTest(["postgres-binaries"], "postgres: a server that is as it should be", async () => {
  await using server = await PrivatePostgres.started();
  await using record = await TestRecord.make({ url: server.url() });
  const findings = await examined(record.settings());
  assert.deepEqual(levels(findings), {
    postgres: "ok",
    schema: "ok",
    clock: "ok",
    transactions: "ok",
    autovacuum: "ok",
    "dead rows": "ok",
    bloat: "ok",
  });
  const [first] = findings;
  assert.match(
    first!.found,
    new RegExp(`^postgres://127.0.0.1:${server.port}/postgres schema ${record.schema}: Postgres \\d`),
  );
});

needTest(
  ["postgres-binaries"],
  "postgres: no autovacuum is bad, dead rows and old transactions are warned of",
  async () => {
    await using server = await PrivatePostgres.started({ autovacuum: "off" });
    await using record = await TestRecord.make({ url: server.url() });
    {
      // A session tells what it has counted when it ends.
      const short = postgres(server.url(), { max: 1, fetch_types: false });
      await short.unsafe(
        `insert into ${record.schema}.tasks (model, fname) select 'a.B', 'c' from generate_series(1, 12000)`,
      );
      await short.unsafe(`delete from ${record.schema}.tasks`);
      await short.end();
    }
    const findings = await examined(record.settings());
    const of = (check: string) => findings.find((finding) => finding.check === check);
    assert.equal(of("autovacuum")?.level, "bad");
    assert.match(of("autovacuum")?.remedy ?? "", /autovacuum/);
    assert.equal(of("dead rows")?.level, "warning");
    assert.match(
      of("dead rows")?.found ?? "",
      /^12000 in tasks, which has 0 live ones and was never vacuumed$/,
    );
    assert.equal(of("dead rows")?.remedy, `vacuum (analyze) ${record.schema}.tasks`);
    await record.run("vacuum (analyze) :schema.tasks");
    assert.equal(levels(await examined(record.settings()))["dead rows"], "ok", "the remedy mends it");
  },
);

needTest(["postgres"], "postgres: a schema that is missing is bad, and the rest is looked at", async () => {
  await using record = await TestRecord.make();
  const findings = await examined(record.settings({ TQ_SCHEMA: `${record.schema}_none` }));
  assert.deepEqual(findings.map(({ check }) => check), ["postgres", "schema", "clock", "transactions"]);
  assert.equal(findings[1]?.level, "bad");
  assert.equal(findings[1]?.remedy, "run tq migrate");
  await record.run("update :schema.migrations set min_program = 99");
  const outdated = (await examined(record.settings())).find(({ check }) => check === "schema");
  assert.equal(outdated?.level, "bad");
  assert.equal(outdated.remedy, "upgrade tq");
});

needTest(["postgres"], "postgres: clocks that are apart are warned of", async () => {
  await using record = await TestRecord.make();
  const behind = { ...systemClock, now: () => Date.now() - 5000 };
  const clock = (await examined(record.settings(), behind)).find(({ check }) => check === "clock");
  assert.equal(clock?.level, "warning");
  assert.match(clock.found, /^Postgres' clock is [45]\.\d s ahead of this host's$/);
});

needTest(["postgres"], "postgres: no password, no such database and nobody there are bad", async () => {
  await using record = await TestRecord.make();
  const url = new URL(record.url);
  url.pathname = "/tq_no_such_database";
  const refused = await examined(record.settings({ TQ_DATABASE_URL: url.href })).catch((error) => error);
  assert.match(String(refused), /RefusedError: Postgres refused the connection/);
  const started = performance.now();
  const [away, ...more] = await examined(
    record.settings({ TQ_DATABASE_URL: "postgres://127.0.0.1:1/x" }),
  );
  assert.deepEqual(more, []);
  assert.equal(away?.level, "bad");
  assert.match(away.found, /^Postgres is unreachable/);
  assert.match(away.remedy ?? "", /TQ_DATABASE_URL/);
  assert.ok(performance.now() - started < 5000);
});

Deno.test("postgres: a var of another database is told", async () => {
  await using folder = await tempFolder();
  const settings = (url: string | undefined) =>
    loadSettings({ flags: { TQ_ROOT: folder.path, TQ_DATABASE_URL: url }, environment: {}, folder: "/" });
  await rememberDatabase(settings("postgres://db/shop"));
  await assert.rejects(examined(settings(undefined)), /belongs to postgres:\/\/db:5432\/shop schema tq, but/);
});

Deno.test("postgres: an embedded database that does not run is neither started nor made", async () => {
  await using folder = await tempFolder();
  const settings = loadSettings({ flags: { TQ_ROOT: folder.path }, environment: {}, folder: "/" });
  const [only, ...more] = await examined(settings);
  assert.deepEqual(more, []);
  assert.equal(only?.level, "note");
  assert.match(only.found, /does not run/);
  assert.deepEqual([...Deno.readDirSync(folder.path)], []);
  // What a crash leaves behind: an address where nobody is.
  await Deno.mkdir(join(folder.path, "var"));
  await Deno.writeTextFile(join(folder.path, "var/db.address"), '{"port":1,"pid":1}');
  assert.deepEqual((await examined(settings)).map(({ level }) => level), ["note"]);
});

Deno.test("postgres: judges the server's version, and whether it can be written", () => {
  const server = { version: "15.4", versionNumber: 150004, isStandby: false, autovacuum: true };
  assert.equal(judgeServer(server, "here").level, "ok");
  assert.equal(judgeServer(server, "here").found, "here: Postgres 15.4");
  assert.equal(judgeServer({ ...server, versionNumber: 130000 }, "here").level, "ok");
  assert.equal(judgeServer({ ...server, versionNumber: 120022 }, "here").level, "bad");
  assert.equal(judgeServer({ ...server, isStandby: true }, "here").level, "bad");
});

Deno.test("postgres: judges clocks, as exactly as the answer's time allows", () => {
  const level = (offset: number, uncertainty: number) => judgeClock({ offset, uncertainty }).level;
  assert.equal(level(0, 0), "ok");
  assert.equal(level(999, 1), "ok");
  assert.equal(level(-999, 1), "ok");
  assert.equal(level(1100, 1), "warning");
  assert.equal(level(-1100, 1), "warning");
  assert.equal(level(1100, 200), "ok", "the answer took so long that they may agree");
  assert.match(judgeClock({ offset: -2500, uncertainty: 0 }).found, /2\.5 s behind/);
});

Deno.test("clockDifference() takes the quickest of its answers, and the middle of its time", async () => {
  const clock = new TestClock();
  const took = [400, 100, 300];
  const asked: number[] = [];
  const difference = await clockDifference(async () => {
    const there = clock.now() + 2000 + took[asked.length]! / 2;
    asked.push(there);
    await clock.advance(took[asked.length - 1]!);
    return there;
  }, clock);
  assert.equal(asked.length, 3);
  assert.deepEqual(difference, { offset: 2000, uncertainty: 50 });
});

Deno.test("postgres: judges transactions", () => {
  const holder = { pid: 12, name: "psql", state: "idle in transaction", seconds: 605 };
  assert.deepEqual(judgeTransactions({ oldest: [holder], hidden: 0 }), [{
    check: "transactions",
    level: "warning",
    found:
      "process 12 (psql, idle in transaction) has been in a transaction for 10 min: vacuum can remove nothing newer",
    remedy: "end it: select pg_terminate_backend(12)",
  }]);
  const [prepared] = judgeTransactions({
    oldest: [{ pid: null, name: "left", state: "prepared", seconds: 400 }],
    hidden: 3,
  });
  assert.match(prepared!.found, /^the prepared transaction left has been/);
  assert.match(prepared!.remedy!, /roll it back/);
  assert.deepEqual(judgeTransactions({ oldest: [], hidden: 0 }).map(({ level }) => level), ["ok"]);
  const [hidden] = judgeTransactions({ oldest: [], hidden: 3 });
  assert.equal(hidden?.level, "note");
  assert.match(hidden.remedy ?? "", /pg_read_all_stats/);
});
