/**
 * The store's tests, run against Postgres and against the embedded database.
 *
 * @module
 */

import { join } from "node:path";
import { Database } from "../../src/store/database.ts";
import { EMBEDDED_TRAITS, embeddedUrl, stopEmbedded } from "../../src/store/embedded.ts";
import { Store } from "../../src/store/mod.ts";
import { type Parameter, Pool, type Rows } from "../../src/store/pool.ts";
import { dropSchema, eventually, testSchema } from "./fixtures.ts";
import { type Need, needTest } from "./need.ts";
import { forTq, postgresUrl, PREPARES } from "./servers.ts";

/** What a store is tested on. */
export type Ground = "Postgres" | "embedded";

/** What a test works with: an empty record of the file's own. */
export interface Bench {
  readonly ground: Ground;
  readonly schema: string;
  /** The address of the server. */
  readonly url: string;
  readonly store: Store;
  /** The same schema, for what takes a database. */
  readonly db: Database;
  /** Another program's store on the same record. */
  another(): Store;
  /** Runs a statement of the test's own; `:schema` stands for the schema. */
  sql<Row>(text: string, parameters?: readonly Parameter[]): Promise<Rows<Row>>;
}

/** Registers one test; `only` for what the other ground cannot do. */
export type StoreTest = (name: string, fn: (bench: Bench) => Promise<void>, only?: Ground) => void;

/** Registers the tests of one file, for each ground. */
export function storeSuite(register: (test: StoreTest) => void): void {
  suiteOn(new PostgresPlace(), register);
  // No pooler stands before it.
  if (PREPARES) suiteOn(new EmbeddedPlace(), register);
}

/** The same on one ground alone. */
export function postgresSuite(register: (test: StoreTest) => void): void {
  suiteOn(new PostgresPlace(), register);
}

/** Where a ground's server is, from the first test of a file to its last. */
interface Place {
  readonly ground: Ground;
  readonly needs: readonly Need[];
  url(schema: string): Promise<string>;
  leave(): Promise<void>;
}

function suiteOn(place: Place, register: (test: StoreTest) => void): void {
  const schema = testSchema();
  let url = "";
  let store: Store | undefined;
  let count = 0;
  register((name, fn, only) => {
    if (only !== undefined && only !== place.ground) return;
    count++;
    needTest(place.needs, `${name} (${place.ground})`, () => runOn(place.ground, url, schema, fn), {
      sanitizeOps: true,
      sanitizeResources: true,
    });
  });
  if (count === 0) return;
  // Outside the tests, whose sanitizers would take the embedded database's process for a leak.
  Deno.test.beforeAll(async () => {
    url = await place.url(schema) ?? "";
    if (url === "") return;
    // Kept until the last test: an embedded database without a client ends.
    store = makeStore(place.ground, url, schema, "tq test");
    await store.migrate();
  });
  Deno.test.afterAll(async () => {
    if (url !== "") await dropSchema(schema, url);
    await store?.close();
    await place.leave();
  });
}

async function runOn(
  ground: Ground,
  url: string,
  schema: string,
  fn: (bench: Bench) => Promise<void>,
): Promise<void> {
  const applicationName = `tq test ${crypto.randomUUID().slice(0, 8)}`;
  const tqUrl = await forTq(url);
  const give = () => Promise.resolve(tqUrl);
  await using own = new Pool({
    url: () => Promise.resolve(url),
    size: 2,
    prepare: true,
    applicationName: "tq test itself",
  });
  const sql: Bench["sql"] = (text, parameters) => own.run(text.replaceAll(":schema", schema), parameters);
  await sql("truncate :schema.tasks, :schema.task_logs, :schema.engines");
  await sql("update :schema.leader set holder = null, until = '-infinity'");
  {
    await using stores = new AsyncDisposableStack();
    const another = () => stores.use(makeStore(ground, tqUrl, schema, applicationName));
    const pool = stores.use(new Pool({ url: give, size: 4, prepare: PREPARES, applicationName }));
    await fn({
      ground,
      schema,
      url,
      store: another(),
      db: new Database(pool, schema),
      another,
      sql,
    });
  }
  // It is one session, whoever connects; and a pooler keeps connections.
  if (ground === "embedded" || !PREPARES) return;
  await eventually(
    async () =>
      (await own.run("select from pg_stat_activity where application_name = $1", [applicationName]))
        .length === 0,
    { what: "the end of the test's connections" },
  );
}

function makeStore(ground: Ground, url: string, schema: string, applicationName: string): Store {
  const traits = ground === "embedded"
    ? EMBEDDED_TRAITS
    : { prepare: PREPARES, notifies: PREPARES, poll: { first: 50, longest: 5000 } };
  return new Store({
    url: () => Promise.resolve(url),
    schema,
    connections: 4,
    applicationName,
    ...traits,
  });
}

class PostgresPlace implements Place {
  readonly ground = "Postgres";
  readonly needs = ["postgres"] as const;

  async url(): Promise<string> {
    return await postgresUrl() ?? "";
  }

  leave(): Promise<void> {
    return Promise.resolve();
  }
}

/** One embedded database serves all files of a run: it ends by itself some seconds after the last of them. */
class EmbeddedPlace implements Place {
  readonly ground = "embedded";
  readonly needs = [];
  #own: string | undefined;

  async url(schema: string): Promise<string> {
    const run = Deno.env.get("TQ_TEST_RUN_FOLDER");
    if (run === undefined) this.#own = await Deno.makeTempDir({ prefix: "tq_test_" });
    return await embeddedUrl(this.#own ?? join(run ?? "", "embedded"), schema);
  }

  async leave(): Promise<void> {
    if (this.#own === undefined) return;
    await stopEmbedded(this.#own);
    await Deno.remove(this.#own, { recursive: true });
  }
}
