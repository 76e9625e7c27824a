import assert from "node:assert/strict";
import { join } from "node:path";
import { BadValueError, RefusedError, SchemaError, TqError, UnreachableError } from "../../src/errors.ts";
import { isConflict, isDuplicate, mapError } from "../../src/store/errors.ts";
import { Pool } from "../../src/store/pool.ts";
import { eventually } from "../support/fixtures.ts";
import { freePort } from "../support/free_port.ts";
import { needTest } from "../support/need.ts";
import { PrivatePostgres } from "../support/private_postgres.ts";
import { postgresUrl, PREPARES } from "../support/servers.ts";

/** What a statement there is answered with. */
async function errorAt(
  url: string,
  text = "select 1",
  parameters: readonly string[] = [],
): Promise<unknown> {
  const pool = new Pool({
    url: () => Promise.resolve(url),
    size: 1,
    prepare: PREPARES,
    applicationName: "tq errors",
    connectTimeout: 2000,
  });
  try {
    await pool.run(text, parameters, 5000);
  } catch (error) {
    return error;
  } finally {
    await pool.close();
  }
  assert.fail(`${text} was answered`);
}

function expectError(
  error: unknown,
  kind: new (message: string) => TqError,
  message: RegExp,
  remedy?: string,
): void {
  assert.ok(error instanceof TqError, String(error));
  assert.equal(error.constructor, kind, error.message);
  assert.match(error.message, message);
  if (remedy !== undefined) assert.equal(error.remedy, remedy);
  assert.ok(error.cause instanceof Error);
}

/** A URL with some parts replaced. */
function at(
  url: string,
  changes: { user?: string; password?: string; database?: string; port?: number },
): string {
  const changed = new URL(url);
  if (changes.user !== undefined) changed.username = changes.user;
  if (changes.password !== undefined) changed.password = changes.password;
  if (changes.database !== undefined) changed.pathname = `/${changes.database}`;
  if (changes.port !== undefined) changed.port = String(changes.port);
  return changed.href;
}

needTest(["postgres-binaries"], "a wrong password is refused, and never shown", async () => {
  await using server = await PrivatePostgres.started();
  await using admin = new Pool({
    url: () => Promise.resolve(server.url()),
    size: 1,
    prepare: PREPARES,
    applicationName: "tq admin",
  });
  await admin.run("create role locked login password 'right'");
  await Deno.writeTextFile(
    join(server.folder, "data", "pg_hba.conf"),
    "host all locked 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n",
  );
  await admin.run("select pg_reload_conf()");
  const locked = at(server.url(), { user: "locked" });
  const wrong = await eventually(() => errorAt(at(locked, { password: "secret-guess" })), {
    what: "the server to read its rules again",
  });
  expectError(
    wrong,
    RefusedError,
    /password authentication failed for user "locked"/,
    "correct TQ_DATABASE_URL",
  );
  assert.ok(!JSON.stringify([wrong, String(wrong)]).includes("secret-guess"));
  const allowed = at(locked, { password: "right" });
  expectError(await errorAt(allowed, "create schema mine"), RefusedError, /permission denied/);
  // A role that may not log in, and none at all.
  await admin.run("alter role locked nologin");
  expectError(await errorAt(allowed), RefusedError, /not permitted to log in/);
  expectError(
    await errorAt(at(server.url(), { user: "nobody" })),
    RefusedError,
    /role "nobody" does not exist/,
  );
});

needTest(["postgres-binaries"], "a server that is full, or ends, is unreachable", async () => {
  await using server = await PrivatePostgres.started({
    max_connections: 5,
    superuser_reserved_connections: 0,
  });
  const pools = Array.from(
    { length: 5 },
    () =>
      new Pool({
        url: () => Promise.resolve(server.url()),
        size: 1,
        prepare: PREPARES,
        applicationName: "tq full",
      }),
  );
  await Promise.all(pools.map((pool) => pool.run("select 1")));
  expectError(await errorAt(server.url()), UnreachableError, /too many clients already/);
  const running = assert.rejects(pools[0]!.run("select pg_sleep(5)"), UnreachableError);
  await server.stop("fast");
  await running;
  await Promise.all(pools.map((pool) => pool.close()));
});

needTest(["postgres"], "what cannot be reached is unreachable, with what to look at", async () => {
  const url = await postgresUrl() ?? "";
  const remedy = "see that it runs and that TQ_DATABASE_URL is right";
  expectError(await errorAt(at(url, { port: freePort() })), UnreachableError, /ECONNREFUSED/, remedy);
  expectError(
    await errorAt("postgres://postgres@no-such-host.invalid/test"),
    UnreachableError,
    /no-such-host\.invalid/,
    remedy,
  );
});

needTest(["postgres"], "a database that does not exist is refused", async () => {
  const url = at(await postgresUrl() ?? "", { database: "tq_no_such_database" });
  expectError(
    await errorAt(url),
    RefusedError,
    /database "tq_no_such_database" does not exist/,
    "correct TQ_DATABASE_URL",
  );
});

needTest(["postgres"], "a missing schema, table or column is the schema's error", async () => {
  const url = await postgresUrl() ?? "";
  for (
    const text of [
      "select 1 from tq_no_such_schema.tasks",
      "select 1 from tq_no_such_table",
      "select no_such_column from pg_class",
      "create table tq_no_such_schema.t ()",
    ]
  ) expectError(await errorAt(url, text), SchemaError, /missing or out of date/, "run tq migrate");
});

needTest(["postgres"], "a value that cannot be stored is a bad value", async () => {
  const url = await postgresUrl() ?? "";
  for (
    const [text, value] of [
      ["select $1::text::jsonb", '"\\u0000"'],
      ["select $1::text::jsonb", '"\\ud800"'],
      ["select $1::text::jsonb", "{"],
      ["select $1::text::smallint", "40000"],
      ["select $1::text::uuid", "none"],
      ["select convert_from(decode($1::text, 'hex'), 'utf8')", "ff"],
    ] as const
  ) expectError(await errorAt(url, text, [value]), BadValueError, /^Postgres cannot store a value/);
});

needTest(["postgres"], "a unique violation and a conflict are told apart", async () => {
  const url = await postgresUrl() ?? "";
  const raise = (code: string) =>
    errorAt(url, `do $$ begin raise exception using errcode = '${code}'; end $$`);
  const duplicate = await raise("23505");
  assert.deepEqual([isDuplicate(duplicate), isConflict(duplicate), duplicate instanceof TqError], [
    true,
    false,
    false,
  ]);
  for (const code of ["40001", "40P01", "55P03"]) {
    const conflict = await raise(code);
    assert.deepEqual([isDuplicate(conflict), isConflict(conflict)], [false, true], code);
  }
});

Deno.test("mapError() leaves tq's own errors as they are, and takes those of the driver for a lost connection", () => {
  const own = new RefusedError("as it is");
  assert.equal(mapError(own), own);
  const driver = mapError(new TypeError("Cannot read properties of null (reading 'write')"));
  assert.ok(driver instanceof UnreachableError && driver.cause instanceof TypeError);
});
