/**
 * The schema: made, brought up to date, and checked against what this program can work with.
 *
 * @module
 */

import { OutdatedError, SchemaError } from "../errors.ts";
import { type Database, type Patience, type Statement, strings } from "./database.ts";
import { isDuplicate } from "./errors.ts";

/** The level of the schema that this program is written for: the number of its last migration. */
export const SCHEMA_LEVEL = 2;

/** What handlers say of themselves, by model. */
export type HandlerDefaultsByModel = Readonly<
  Record<string, { readonly timeout?: number; readonly maxAttempts?: number; readonly channel?: string }>
>;

/** What a program learns when it opens the record. */
export interface Opened {
  /** The record's id, made by its first migration. */
  readonly install: string;
  readonly handlerDefaults: HandlerDefaultsByModel;
  /** Ids drawn for the first tasks to publish. */
  readonly ids: readonly number[];
}

interface Migration {
  readonly version: number;
  readonly name: string;
  readonly text: string;
  readonly checksum: string;
  readonly minProgram: number;
  readonly inTransaction: boolean;
}

/** Migrations change tables of any size: they may take this long, milliseconds. */
const MIGRATION_DEADLINE = 3_600_000;

const OPEN: Statement = (schema) =>
  `select i.id as install, i.handler_defaults, m.version, m.min_program,
     array(select nextval(pg_get_serial_sequence('${schema}.tasks', 'id')) from generate_series(1, $1::text::integer))::text as ids
   from ${schema}.install i,
     (select max(version) as version, max(min_program) as min_program from ${schema}.migrations) m`;

const APPLIED: Statement = (schema) =>
  `select version, name, checksum, min_program from ${schema}.migrations order by version`;

const EXISTS: Statement = (schema) => `select to_regclass('${schema}.migrations') is not null as there`;

const SET_DEFAULTS: Statement = (schema) =>
  `update ${schema}.install set handler_defaults = handler_defaults - $2::text::text[] || $1::text::jsonb
   where handler_defaults <> handler_defaults - $2::text::text[] || $1::text::jsonb`;

/**
 * Checks that this program may work with the schema, and draws `count` ids for the first tasks, in one statement.
 *
 * @throws {SchemaError} when the schema is missing or older than this program
 * @throws {OutdatedError} when this program is older than the schema allows
 */
export async function open(db: Database, count: number, how: Patience): Promise<Opened> {
  type Row = {
    install: string;
    handler_defaults: HandlerDefaultsByModel;
    version: number;
    min_program: number;
    ids: string;
  };
  let row: Row | undefined;
  try {
    row = (await db.run<Row>(OPEN, [count], how))[0];
  } catch (error) {
    if (!(error instanceof SchemaError)) throw error;
    throw new SchemaError(`Postgres has no tq tables in the schema ${db.schema}`, {
      cause: error,
      remedy: "run tq migrate",
    });
  }
  if (row === undefined) {
    throw new SchemaError(`the schema ${db.schema} is incomplete`, { remedy: "run tq migrate" });
  }
  check(db.schema, row.version, row.min_program);
  if (row.version < SCHEMA_LEVEL) {
    throw new SchemaError(
      `the schema ${db.schema} is at level ${row.version}, this tq needs ${SCHEMA_LEVEL}`,
      {
        remedy: "run tq migrate",
      },
    );
  }
  return {
    install: row.install,
    handlerDefaults: row.handler_defaults,
    ids: row.ids === "{}" ? [] : row.ids.slice(1, -1).split(",").map(Number),
  };
}

/**
 * Writes what handlers say of themselves, for publishers to read. Of models that are not in `loaded` it says nothing:
 * they may be another project's, or in a module that does not import now.
 */
export async function setHandlerDefaults(
  db: Database,
  defaults: HandlerDefaultsByModel,
  loaded: readonly string[],
): Promise<void> {
  await db.run(SET_DEFAULTS, [JSON.stringify(defaults), strings(loaded)]);
}

/**
 * Runs the migrations that the schema does not have yet; returns their names.
 *
 * @throws {SchemaError} when one that ran was edited since
 * @throws {OutdatedError} when this program is older than the schema allows
 */
export async function migrate(db: Database, folder: URL | string = MIGRATIONS): Promise<string[]> {
  const known = await readMigrations(folder);
  const done: string[] = [];
  for (;;) {
    const applied = await readApplied(db);
    for (const row of applied) {
      const same = known.find((migration) => migration.version === row.version);
      if (same !== undefined && same.checksum !== row.checksum) {
        throw new SchemaError(`migration ${same.name} was edited after it ran`, {
          remedy: "put it back as it was and add a new one",
        });
      }
    }
    const highest = applied.at(-1)?.version ?? 0;
    check(db.schema, highest, Math.max(0, ...applied.map((row) => row.min_program)));
    const next = known.find((migration) => migration.version > highest);
    if (next === undefined) return done;
    if (await apply(db, next)) done.push(next.name);
  }
}

const MIGRATIONS = new URL("../../migrations/", import.meta.url);

/** Reads the migrations of this program, in order. */
async function readMigrations(folder: URL | string): Promise<Migration[]> {
  const migrations: Migration[] = [];
  const base = folder instanceof URL ? folder : new URL(`file://${folder}/`);
  for await (const { name } of Deno.readDir(base)) {
    const match = /^(\d{4})_\w+\.sql$/.exec(name);
    if (match === null) continue;
    const text = await Deno.readTextFile(new URL(name, base));
    const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
    migrations.push({
      version: Number(match[1]),
      name: name.replace(/\.sql$/, ""),
      text,
      checksum: [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join(""),
      minProgram: Number(/^-- min_program: (\d+)$/m.exec(text)?.[1] ?? 1),
      inTransaction: !/^-- no-transaction$/m.test(text),
    });
  }
  return migrations.sort((a, b) => a.version - b.version);
}

async function readApplied(
  db: Database,
): Promise<readonly { version: number; name: string; checksum: string; min_program: number }[]> {
  const there = (await db.run<{ there: boolean }>(EXISTS))[0]?.there;
  return there ? await db.run(APPLIED) : [];
}

/**
 * Runs one migration and its line in `migrations` as one message, which Postgres takes as one transaction: no
 * session has to hold anything. Two programs at once: the second waits for the lock, then finds the line there.
 */
async function apply(db: Database, migration: Migration): Promise<boolean> {
  const { schema, pool } = db;
  const record = `insert into ${schema}.migrations (version, name, checksum, min_program)
    values (${migration.version}, '${migration.name}', '${migration.checksum}', ${migration.minProgram});`;
  const text = migration.text.replaceAll(/:schema\b/g, schema);
  try {
    if (migration.inTransaction) {
      await pool.runScript(
        `select pg_advisory_xact_lock(hashtext('tq migrate ${schema}'));
         create schema if not exists ${schema};
         create table if not exists ${schema}.migrations (version integer primary key, name text not null,
           checksum text not null, min_program integer not null, applied_at timestamptz not null default now());
         ${record}
         ${text}`,
        MIGRATION_DEADLINE,
      );
    } else {
      // CREATE INDEX CONCURRENTLY must stand alone; it is written so that it may run again.
      await pool.runScript(text, MIGRATION_DEADLINE);
      await pool.runScript(record, MIGRATION_DEADLINE);
    }
    return true;
  } catch (error) {
    // Its line is there when another program was quicker; else the migration itself met a duplicate.
    const wasQuicker = isDuplicate(error) &&
      (await readApplied(db)).some(({ version }) => version === migration.version);
    if (wasQuicker) return false;
    throw error;
  }
}

function check(schema: string, version: number, minProgram: number): void {
  if (minProgram <= SCHEMA_LEVEL) return;
  throw new OutdatedError(
    `this tq knows the schema up to level ${SCHEMA_LEVEL}, but ${schema} is at level ${version} and needs a tq of at least ${minProgram}`,
    { remedy: "upgrade tq" },
  );
}
