/**
 * A record of a test's own: a migrated schema in the shared Postgres, a prefix in the shared Redis, and whatever is
 * made on them.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { Redis } from "npm:ioredis@6.0.0";
import postgres from "npm:postgres@3.4.9";
import { loadSettings, type Settings, type SettingsInput } from "../../src/config.ts";
import { type Keys, keysOf } from "../../src/dispatch/keys.ts";
import { createDispatch } from "../../src/dispatch/mod.ts";
import { type QueueOptions, TaskQueue } from "../../src/publish/queue.ts";
import { connectStore } from "../../src/store/connect.ts";
import type { Store, StoreOptions } from "../../src/store/mod.ts";
import { dropPrefix, dropSchema, testPrefix, testSchema } from "./fixtures.ts";
import { redisClient } from "./redis_client.ts";
import { forTq, postgresUrl, PREPARES, redisUrl } from "./servers.ts";

/** How a record is made. */
export interface TestRecordOptions {
  /** Its Postgres. @default the shared one */
  readonly url?: string;
  /** Its Redis: `shared`, or an address. @default none */
  readonly redis?: "shared" | (string & Record<never, never>);
  /** @default a name of its own */
  readonly schema?: string;
  /** For everything that is made of it. */
  readonly settings?: SettingsInput;
}

/** See the module. `await using record = await TestRecord.make()`. */
export class TestRecord implements AsyncDisposable {
  readonly schema: string;
  readonly prefix = testPrefix();
  /** Where it is for the test itself. */
  readonly url: string;
  /** Where it is for tq. */
  readonly tqUrl: string;
  /** For looking at it, and for standing in its way. */
  readonly sql: postgres.Sql<{ bigint: number }>;
  /** The record's id. */
  install = "";
  readonly #redisUrl: string | undefined;
  readonly #made: AsyncDisposable[] = [];
  #redis: Redis | undefined;

  private constructor(
    url: string,
    tqUrl: string,
    redis: string | undefined,
    schema: string,
    readonly ownSettings: SettingsInput,
  ) {
    this.url = url;
    this.tqUrl = tqUrl;
    this.schema = schema;
    this.#redisUrl = redis;
    this.sql = postgres(url, {
      max: 3,
      // Works behind PgBouncer as well.
      prepare: false,
      fetch_types: false,
      onnotice() {},
      types: { bigint: { to: 20, from: [20], parse: Number, serialize: String } },
    });
  }

  /** Makes and migrates one. */
  static async make(options: TestRecordOptions = {}): Promise<TestRecord> {
    const url = options.url ?? await postgresUrl();
    const redis = options.redis === "shared" ? await redisUrl() : options.redis;
    assert.ok(url !== undefined, "no Postgres");
    const record = new TestRecord(
      url,
      await forTq(url),
      redis,
      options.schema ?? testSchema(),
      options.settings ?? {},
    );
    const store = record.store();
    await store.migrate();
    record.install = (await store.open()).install;
    return record;
  }

  /** Its settings, and `more`; nothing comes from the environment or from a file. */
  settings(more: SettingsInput = {}): Settings {
    return loadSettings({
      flags: {
        TQ_DATABASE_URL: this.tqUrl,
        TQ_REDIS_URL: this.#redisUrl,
        TQ_SCHEMA: this.schema,
        TQ_REDIS_PREFIX: this.prefix,
        TQ_PREPARE: PREPARES,
        ...this.ownSettings,
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

  /** A store of a class that watches or disturbs it, or with options that settings do not have. */
  storeOf<S extends Store>(kind: new (options: StoreOptions) => S, more: Partial<StoreOptions> = {}): S {
    return this.#keep(
      new kind({
        url: () => Promise.resolve(this.tqUrl),
        schema: this.schema,
        connections: 3,
        prepare: PREPARES,
        applicationName: "tq test",
        notifies: true,
        poll: { first: 50, longest: 5000 },
        ...more,
      }),
    );
  }

  /** A queue, closed with the record. */
  queue(more: SettingsInput = {}, options: QueueOptions = {}): TaskQueue {
    return this.#keep(new TaskQueue(this.settings(more), options));
  }

  /** A queue on a store that somebody watches, with a dispatch of its own. */
  queueOn(store: Store, more: SettingsInput = {}, options: QueueOptions = {}): TaskQueue {
    const settings = this.settings(more);
    const dispatch = this.#keep(createDispatch(settings, this.install, store.wakeup));
    return this.#keep(new TaskQueue(settings, { ...options, parts: { store, dispatch } }));
  }

  /** The number of its tasks. */
  async count(): Promise<number> {
    const [row] = await this.sql`select count(*)::integer as count from ${this.sql(this.schema)}.tasks`;
    return row?.count;
  }

  /** Runs a statement; `:schema` stands for the schema. */
  async run(text: string): Promise<postgres.Row[]> {
    return await this.sql.unsafe(text.replaceAll(":schema", this.schema));
  }

  /** For looking into its Redis. */
  get redis(): Redis {
    assert.ok(this.#redisUrl !== undefined, "the record has no Redis");
    return this.#redis ??= redisClient(this.#redisUrl);
  }

  /** The names of its keys in Redis. */
  get keys(): Keys {
    return keysOf(this.prefix, this.install);
  }

  /** The ids that Redis holds for a channel, in the order in which they are popped. */
  async hints(channel: string): Promise<number[]> {
    return (await this.redis.zrange(this.keys.queue(channel), "0", "-1")).map(Number);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // The last first: a queue waits for its pushes, and needs its store for that.
    for (const one of this.#made.reverse()) await one[Symbol.asyncDispose]();
    this.#redis?.disconnect();
    await this.sql.end({ timeout: 1 });
    await dropSchema(this.schema, this.url);
    if (this.#redisUrl !== undefined) await dropPrefix(this.prefix, this.#redisUrl).catch(() => {});
  }

  #keep<T extends AsyncDisposable>(one: T): T {
    this.#made.push(one);
    return one;
  }
}
