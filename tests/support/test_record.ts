/**
 * A record of a test's own: a migrated schema in the shared Postgres, a prefix in the shared Redis, and whatever is
 * made on them.
 *
 * @module
 */

import assert from "node:assert/strict";
import postgres from "npm:postgres@3.4.9";
import { loadSettings, type Settings, type SettingsInput } from "../../src/config.ts";
import { createDispatch } from "../../src/dispatch/mod.ts";
import { TaskQueue } from "../../src/publish/queue.ts";
import { connectStore } from "../../src/store/connect.ts";
import { Store, type StoreOptions } from "../../src/store/mod.ts";
import { dropPrefix, dropSchema, testPrefix, testSchema } from "./fixtures.ts";
import { postgresUrl, redisUrl } from "./servers.ts";

/** How a record is made. */
export interface TestRecordOptions {
  /** Its Postgres. @default the shared one */
  readonly url?: string;
  /** Its Redis, or null for none. @default none */
  readonly redis?: string | null;
}

/** See the module. `await using record = await TestRecord.make()`. */
export class TestRecord implements AsyncDisposable {
  readonly schema = testSchema();
  readonly prefix = testPrefix();
  readonly url: string;
  /** For looking at it, and for standing in its way. */
  readonly sql: postgres.Sql;
  /** The record's id. */
  install = "";
  readonly #redis: string | undefined;
  readonly #made: AsyncDisposable[] = [];

  private constructor(url: string, redis: string | undefined) {
    this.url = url;
    this.#redis = redis;
    this.sql = postgres(url, { max: 3, fetch_types: false, onnotice() {} });
  }

  /** Makes and migrates one. Without `redis` the dispatch is Postgres'; `"shared"` means the Redis that tests share. */
  static async make(options: { url?: string; redis?: "shared" | (string & {}) } = {}): Promise<TestRecord> {
    const url = options.url ?? await postgresUrl();
    const redis = options.redis === "shared" ? await redisUrl() : options.redis;
    assert.ok(url !== undefined, "no Postgres");
    const record = new TestRecord(url, redis);
    const store = record.store();
    await store.migrate();
    record.install = (await store.open()).install;
    return record;
  }

  /** Its settings, and `more`; nothing comes from the environment or from a file. */
  settings(more: SettingsInput = {}): Settings {
    return loadSettings({
      flags: {
        TQ_DATABASE_URL: this.url,
        TQ_REDIS_URL: this.#redis,
        TQ_SCHEMA: this.schema,
        TQ_REDIS_PREFIX: this.prefix,
        ...more,
      },
      environment: {},
      folder: "/",
    });
  }

  /** A store, closed with the record. */
  store(more: SettingsInput = {}): Store {
    return this.#keep(connectStore(this.settings(more), { applicationName: "tq test", connections: 3 }));
  }

  /** A store of a class that watches or disturbs it. */
  storeOf<S extends Store>(kind: new (options: StoreOptions) => S, more: Partial<StoreOptions> = {}): S {
    return this.#keep(
      new kind({
        url: () => Promise.resolve(this.url),
        schema: this.schema,
        connections: 3,
        prepare: true,
        applicationName: "tq test",
        notifies: true,
        poll: { first: 50, longest: 5000 },
        ...more,
      }),
    );
  }

  /** A queue, closed with the record. */
  queue(more: SettingsInput = {}): TaskQueue {
    return this.#keep(new TaskQueue(this.settings(more)));
  }

  /** A queue on a store that somebody watches, with a dispatch of its own. */
  queueOn(store: Store, more: SettingsInput = {}): TaskQueue {
    const settings = this.settings(more);
    const dispatch = this.#keep(createDispatch(settings, this.install, store.wakeup));
    return this.#keep(new TaskQueue(settings, { parts: { store, dispatch } }));
  }

  /** The number of its tasks. */
  async count(): Promise<number> {
    const [row] = await this.sql`select count(*)::integer as count from ${this.sql(this.schema)}.tasks`;
    return row?.count;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // The last first: a queue waits for its pushes, and needs its store for that.
    for (const one of this.#made.reverse()) await one[Symbol.asyncDispose]();
    await this.sql.end({ timeout: 1 });
    await dropSchema(this.schema, this.url);
    if (this.#redis !== undefined) await dropPrefix(this.prefix, this.#redis).catch(() => {});
  }

  #keep<T extends AsyncDisposable>(one: T): T {
    this.#made.push(one);
    return one;
  }
}
