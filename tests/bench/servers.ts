/**
 * The Postgres and the Redis that all contestants share: a database of its own for each run, made from a prepared
 * one and dropped afterwards, and one Redis database that was empty before.
 *
 * @module
 */

import postgres from "npm:postgres@3.4.9";
import { Redis } from "npm:ioredis@6.0.0";
import { answersPostgres, answersRedis } from "../support/probe.ts";
import { PrivatePostgres, PrivateRedis } from "../support/servers.ts";

const USUAL_POSTGRES = [
  "postgres://postgres@127.0.0.1:5432/postgres",
  "postgres://postgres@127.0.0.1:5432/test",
];
const USUAL_REDIS = ["redis://127.0.0.1:6379"];
/** Connections left for everybody else: our own looks, autovacuum, whoever uses the server meanwhile. */
const SPARE = 15;
/** Redis has these databases unless it is told otherwise. */
const LAST_REDIS_DATABASE = 15;

type Sql = postgres.Sql;

/** The servers, for as long as the benchmark runs. */
export class Servers implements AsyncDisposable {
  /** The Redis database of this benchmark. */
  readonly redis: Redis;
  readonly redisUrl: string;
  /** A connection beside all contestants' databases. */
  readonly sql: Sql;
  /** Connections that a contestant may have. */
  readonly connections: number;
  readonly #postgresUrl: string;
  readonly #databases = new Set<string>();
  readonly #prefix = `tqbench_${crypto.randomUUID().slice(0, 8)}`;
  readonly #looking = new Map<string, Sql>();
  readonly #own: AsyncDisposable[];
  #made = 0;

  private constructor(
    postgresUrl: string,
    sql: Sql,
    connections: number,
    redis: Redis,
    redisUrl: string,
    own: AsyncDisposable[],
  ) {
    this.#postgresUrl = postgresUrl;
    this.sql = sql;
    this.connections = connections;
    this.redis = redis;
    this.redisUrl = redisUrl;
    this.#own = own;
  }

  /**
   * Finds the servers: those that are given, else the usual local ones, else private ones are started.
   *
   * @param given.own start private ones although there are others
   */
  static async find(
    given: { postgres?: string | undefined; redis?: string | undefined; own?: boolean },
  ): Promise<Servers> {
    const own: AsyncDisposable[] = [];
    let postgresUrl = given.own ? undefined : await firstOf(given.postgres, USUAL_POSTGRES, answersPostgres);
    if (postgresUrl === undefined) {
      // Durable, as the contestants promise: those of tests are not.
      const server = await PrivatePostgres.started({ fsync: "on", max_connections: 200 });
      own.push(server);
      postgresUrl = server.url();
    }
    let redisUrl = given.own ? undefined : await firstOf(given.redis, USUAL_REDIS, answersRedis);
    if (redisUrl === undefined) {
      const server = await PrivateRedis.started();
      own.push(server);
      redisUrl = server.url();
    }
    const { redis, url } = await emptyDatabase(redisUrl);
    const sql = connect(postgresUrl);
    const [row] = await sql`
      select current_setting('max_connections')::integer - (select count(*)::integer from pg_stat_activity) as free`;
    return new Servers(postgresUrl, sql, Number(row?.free) - SPARE, redis, url, own);
  }

  /** Makes an empty database; returns its name. */
  async create(template?: string): Promise<string> {
    const name = `${this.#prefix}_${++this.#made}`;
    await this.sql.unsafe(`create database ${name}${template === undefined ? "" : ` template ${template}`}`);
    this.#databases.add(name);
    return name;
  }

  /** Drops a database, whoever is connected to it. */
  async drop(name: string): Promise<void> {
    await this.#looking.get(name)?.end({ timeout: 1 });
    this.#looking.delete(name);
    await this.sql.unsafe(`drop database ${name} with (force)`);
    this.#databases.delete(name);
  }

  /** The address of a database. */
  urlOf(name: string): string {
    const url = new URL(this.#postgresUrl);
    url.pathname = `/${name}`;
    return url.href;
  }

  /** A connection for looking into a database. */
  look(name: string): Sql {
    let sql = this.#looking.get(name);
    if (sql === undefined) this.#looking.set(name, sql = connect(this.urlOf(name)));
    return sql;
  }

  /** The one number that a statement gives. */
  async count(name: string, statement: string): Promise<number> {
    const [row] = await this.look(name).unsafe(statement);
    return Number(Object.values(row ?? {})[0]);
  }

  /** Drops everything that was made. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const name of [...this.#databases]) {
      await this.drop(name).catch((error) => console.error(String(error)));
    }
    await this.redis.flushdb().catch(() => {});
    this.redis.disconnect();
    await this.sql.end({ timeout: 1 });
    for (const server of this.#own) await server[Symbol.asyncDispose]();
  }
}

function connect(url: string): Sql {
  return postgres(url, { max: 1, fetch_types: false, prepare: false, onnotice() {} });
}

async function firstOf(
  given: string | undefined,
  usual: readonly string[],
  answers: (url: string) => Promise<boolean>,
): Promise<string | undefined> {
  if (given !== undefined) {
    if (await answers(given)) return given;
    throw new Error(`no server answers at ${URL.canParse(given) ? new URL(given).host : given}`);
  }
  for (const url of usual) if (await answers(url)) return url;
  return undefined;
}

/** The last Redis database that holds nothing: it is emptied between runs. */
async function emptyDatabase(server: string): Promise<{ redis: Redis; url: string }> {
  for (let number = LAST_REDIS_DATABASE; number > 0; number--) {
    const url = new URL(server);
    url.pathname = `/${number}`;
    const redis = new Redis(url.href, { maxRetriesPerRequest: 3 });
    redis.on("error", () => {}); // Whoever asks is told.
    if (await redis.dbsize() === 0) return { redis, url: url.href };
    redis.disconnect();
  }
  throw new Error(
    `every database of the Redis at ${new URL(server).host} holds something: give another with --redis`,
  );
}
