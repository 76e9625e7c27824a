import assert from "node:assert/strict";
import { join } from "node:path";
import { OutdatedError, SchemaError } from "../../src/errors.ts";
import { Database } from "../../src/store/database.ts";
import { migrate, open, SCHEMA_LEVEL } from "../../src/store/migrate.ts";
import { Pool } from "../../src/store/pool.ts";
import { dropSchema, tempFolder, testSchema } from "../support/fixtures.ts";
import { PREPARES } from "../support/servers.ts";
import { type Bench, storeSuite } from "../support/store_suite.ts";

const FOLDER = new URL("../../migrations/", import.meta.url);
const FIRST = "create table :schema.tasks (id bigint generated always as identity primary key);" +
  " create table :schema.install (id text default 'x', handler_defaults jsonb default '{}');" +
  " insert into :schema.install default values;";

/** Runs `fn` on a schema of its own, which is dropped afterwards. */
async function onFreshSchema({ url }: Bench, fn: (db: Database) => Promise<void>): Promise<void> {
  const schema = testSchema();
  await using pool = new Pool({
    url: () => Promise.resolve(url),
    size: 4,
    prepare: PREPARES,
    applicationName: "tq migrate",
  });
  try {
    await fn(new Database(pool, schema));
  } finally {
    await dropSchema(schema, url);
  }
}

/** A folder of migrations. */
async function migrations(folder: string, files: Record<string, string>): Promise<string> {
  for (const [name, text] of Object.entries(files)) await Deno.writeTextFile(join(folder, name), text);
  return folder;
}

async function applied(db: Database): Promise<string[]> {
  return (await db.run<{ name: string }>((schema) =>
    `select name from ${schema}.migrations order by version`
  ))
    .map((row) => row.name);
}

async function exists(db: Database, table: string): Promise<boolean> {
  const text = `select to_regclass('${db.schema}.${table}') is not null as there`;
  return (await db.run<{ there: boolean }>(() => text))[0]!.there;
}

Deno.test("SCHEMA_LEVEL is the number of migrations, which are numbered without a gap", () => {
  const names = [...Deno.readDirSync(FOLDER)].map((entry) => entry.name).sort();
  assert.equal(names.length, SCHEMA_LEVEL);
  for (const [i, name] of names.entries()) {
    assert.match(name, new RegExp(`^${String(i + 1).padStart(4, "0")}_[a-z0-9_]+\\.sql$`));
  }
});

storeSuite((test) => {
  test("migrate() makes the schema once", async (bench) => {
    await onFreshSchema(bench, async (db) => {
      const names = await migrate(db);
      assert.equal(names.length, SCHEMA_LEVEL);
      assert.equal(names[0], "0001_tasks");
      assert.deepEqual(await migrate(db), []);
      assert.deepEqual(await applied(db), names);
      const { install, ids, handlerDefaults } = await open(db, 3, {});
      assert.match(install, /^[0-9a-f]{12}$/);
      assert.deepEqual(ids, [1, 2, 3]);
      assert.deepEqual(handlerDefaults, {});
      await migrate(db);
      assert.equal((await open(db, 1, {})).install, install);
    });
  });

  test("migrate() by several programs at once runs each migration once", async (bench) => {
    await onFreshSchema(bench, async (db) => {
      const done = await Promise.all([1, 2, 3].map(() => migrate(db)));
      assert.equal(done.flat().length, SCHEMA_LEVEL);
      assert.deepEqual((await applied(db)).length, SCHEMA_LEVEL);
      const rows = await db.run((schema) => `select from ${schema}.install`);
      assert.equal(rows.count, 1);
    });
  });

  test("two records in one database have ids of their own", async (bench) => {
    await onFreshSchema(bench, async (db) => {
      await migrate(db);
      assert.notEqual((await open(db, 1, {})).install, (await bench.store.open()).install);
    });
  });

  test("migrate() runs what is new, in order", async (bench) => {
    await using folder = await tempFolder();
    await onFreshSchema(bench, async (db) => {
      await migrations(folder.path, { "0001_first.sql": FIRST, "README.md": "no migration" });
      assert.deepEqual(await migrate(db, folder.path), ["0001_first"]);
      await migrations(folder.path, {
        "0003_third.sql": "alter table :schema.second rename to third;",
        "0002_second.sql": "create table :schema.second ();",
      });
      assert.deepEqual(await migrate(db, folder.path), ["0002_second", "0003_third"]);
      assert.deepEqual([await exists(db, "second"), await exists(db, "third")], [false, true]);
    });
  });

  test("a migration that fails leaves nothing behind, and runs when it is mended", async (bench) => {
    await using folder = await tempFolder();
    await onFreshSchema(bench, async (db) => {
      await migrations(folder.path, {
        "0001_first.sql": FIRST,
        "0002_second.sql": "create table :schema.second (); select 1 / 0;",
      });
      await assert.rejects(migrate(db, folder.path), /division by zero/);
      assert.deepEqual([await exists(db, "tasks"), await exists(db, "second")], [true, false]);
      assert.deepEqual(await applied(db), ["0001_first"]);
      await migrations(folder.path, { "0002_second.sql": "create table :schema.second ();" });
      assert.deepEqual(await migrate(db, folder.path), ["0002_second"]);
    });
  });

  test("a migration that meets a duplicate of its own fails, and is not tried for ever", async (bench) => {
    await using folder = await tempFolder();
    await onFreshSchema(bench, async (db) => {
      await migrations(folder.path, {
        "0001_first.sql": FIRST + " create table :schema.few (id int);" +
          " insert into :schema.few values (1), (1);",
      });
      await migrate(db, folder.path);
      const second = "create unique index few_id on :schema.few (id);";
      for (const text of [second, `-- no-transaction\n${second}`]) {
        await migrations(folder.path, { "0002_second.sql": text });
        await assert.rejects(migrate(db, folder.path), /could not create unique index/);
        assert.deepEqual(await applied(db), ["0001_first"]);
      }
    });
  });

  test("a migration may run outside a transaction", async (bench) => {
    await using folder = await tempFolder();
    await onFreshSchema(bench, async (db) => {
      await migrations(folder.path, {
        "0001_first.sql": FIRST,
        "0002_outside.sql": "-- no-transaction\nvacuum :schema.tasks",
      });
      assert.deepEqual(await migrate(db, folder.path), ["0001_first", "0002_outside"]);
      assert.deepEqual(await migrate(db, folder.path), []);
      await migrations(folder.path, { "0003_inside.sql": "vacuum :schema.tasks" });
      await assert.rejects(
        migrate(db, folder.path),
        /cannot run inside a transaction block|cannot be executed/,
      );
    });
  });

  test("a migration that was edited after it ran is an error", async (bench) => {
    await using folder = await tempFolder();
    await onFreshSchema(bench, async (db) => {
      await migrations(folder.path, { "0001_first.sql": FIRST });
      await migrate(db, folder.path);
      await migrations(folder.path, {
        "0001_first.sql": FIRST + " ",
        "0002_more.sql": "create table :schema.more ();",
      });
      await assert.rejects(migrate(db, folder.path), {
        name: "SchemaError",
        message: "migration 0001_first was edited after it ran",
        remedy: "put it back as it was and add a new one",
      });
      assert.equal(await exists(db, "more"), false);
    });
  });

  test("a program that is older than the schema allows is refused, an old one that is allowed works", async (bench) => {
    await onFreshSchema(bench, async (db) => {
      await migrate(db);
      const ran = (version: number, minProgram: number) =>
        db.run((schema) =>
          `insert into ${schema}.migrations (version, name, checksum, min_program)
           values (${version}, 'of_the_future', 'x', ${minProgram})`
        );
      await ran(98, SCHEMA_LEVEL);
      assert.equal((await open(db, 1, {})).ids.length, 1);
      assert.deepEqual(await migrate(db), []);
      await ran(99, SCHEMA_LEVEL + 1);
      const refused = (error: unknown) => {
        assert.ok(error instanceof OutdatedError, String(error));
        assert.match(
          error.message,
          new RegExp(`level (99|100) and needs a tq of at least ${SCHEMA_LEVEL + 1}`),
        );
        assert.equal(error.remedy, "upgrade tq");
        return true;
      };
      await assert.rejects(open(db, 1, {}), refused);
      await assert.rejects(migrate(db), refused);
      // Later migrations may lower it, but an earlier one has taken away what this program needs.
      await ran(100, 1);
      await assert.rejects(open(db, 1, {}), refused);
    });
  });

  test("a schema that is missing, empty or behind says to run tq migrate", async (bench) => {
    await onFreshSchema(bench, async (db) => {
      const refused = async (message: RegExp) =>
        await assert.rejects(open(db, 1, {}), (error) => {
          assert.ok(error instanceof SchemaError, String(error));
          assert.match(error.message, message);
          assert.equal(error.remedy, "run tq migrate");
          return true;
        });
      await refused(new RegExp(`no tq tables in the schema ${db.schema}`));
      await db.run((schema) => `create schema ${schema}`);
      await refused(/no tq tables/);
      await migrate(db);
      await open(db, 1, {});
      await db.run((schema) => `update ${schema}.migrations set version = version - 1`);
      await refused(new RegExp(`is at level ${SCHEMA_LEVEL - 1}, this tq needs ${SCHEMA_LEVEL}`));
      await db.run((schema) => `delete from ${schema}.install`);
      await refused(/incomplete/);
    });
  });

  test("an engine changes nothing that was said of models which it has not loaded", async ({ store }) => {
    const [one, another] = [{ "a.One": { timeout: 5 }, "a.Two": { channel: "slow" } }, { b: { timeout: 7 } }];
    await store.setHandlerDefaults(one);
    await store.setHandlerDefaults(another);
    assert.deepEqual((await store.open()).handlerDefaults, { ...one, ...another });
    // The module of a.Two does not import; that of a.One says nothing any more.
    await store.setHandlerDefaults({}, ["a.One"]);
    assert.deepEqual((await store.open()).handlerDefaults, { "a.Two": { channel: "slow" }, ...another });
    await store.setHandlerDefaults({}, ["a.Two", "b"]);
    assert.deepEqual((await store.open()).handlerDefaults, {});
  });

  test("what handlers say of themselves is kept for publishers", async ({ store }) => {
    const defaults = { "myapp.Report": { timeout: 5, maxAttempts: 2, channel: "slow" }, "o'app": {} };
    await store.setHandlerDefaults(defaults);
    assert.deepEqual((await store.open()).handlerDefaults, defaults);
    await store.setHandlerDefaults({}, Object.keys(defaults));
    assert.deepEqual((await store.open()).handlerDefaults, {});
  });
});
