import assert from "node:assert/strict";
import { dumpSchema } from "../support/schema_dump.ts";
import { storeSuite } from "../support/store_suite.ts";

const FILE = new URL("../schema.sql", import.meta.url);
const COMMAND = "TQ_TEST_WRITE_SCHEMA=1 deno task test tests/store/schema_test.ts";
const HEAD = `-- What the migrations make, read from the catalogs. Not to be edited:\n-- ${COMMAND}\n\n`;

storeSuite((test) => {
  test("the migrations make the schema that tests/schema.sql shows", async ({ sql, schema }) => {
    const dump = HEAD + await dumpSchema(sql, schema);
    if (Deno.env.get("TQ_TEST_WRITE_SCHEMA") === "1") await Deno.writeTextFile(FILE, dump);
    const kept = await Deno.readTextFile(FILE).catch(() => "");
    assert.equal(
      dump,
      kept,
      `the schema is not that of tests/schema.sql. If it is meant to be so: ${COMMAND}`,
    );
  });

  test("the dump shows what a migration changes", async ({ sql, schema }) => {
    const before = await dumpSchema(sql, schema);
    const changes: readonly (readonly [string, string, RegExp])[] = [
      [
        "alter table :schema.tasks add column extra text default 'x'",
        "alter table :schema.tasks drop column extra",
        /^ {2}extra text default 'x'::text,$/m,
      ],
      [
        "alter table :schema.tasks alter column reason set not null",
        "alter table :schema.tasks alter column reason drop not null",
        /^ {2}reason text not null,$/m,
      ],
      [
        "create index extra on :schema.engines (host)",
        "drop index :schema.extra",
        /^CREATE INDEX extra ON tq\.engines USING btree \(host\);$/m,
      ],
      [
        "alter table :schema.engines add constraint extra check (pid > 0)",
        "alter table :schema.engines drop constraint extra",
        /^ {2}constraint extra CHECK \(\(pid > 0\)\)/m,
      ],
      [
        "alter table :schema.engines set (fillfactor = 50)",
        "alter table :schema.engines reset (fillfactor)",
        /^ {2}fillfactor=50/m,
      ],
      [
        "create function :schema.extra() returns integer language sql as 'select 1'",
        "drop function :schema.extra()",
        /FUNCTION tq\.extra\(\)/,
      ],
    ];
    for (const [change, undo, shows] of changes) {
      await sql(change);
      try {
        assert.match(await dumpSchema(sql, schema), shows);
      } finally {
        await sql(undo);
      }
      assert.equal(await dumpSchema(sql, schema), before);
    }
  });
});
