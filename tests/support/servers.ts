/**
 * The Postgres and the Redis that tests share: given, found, or started for the run.
 *
 * They belong to everybody: a test keeps to its own schema and its own prefix there. Whoever wants to restart,
 * kill, empty or fill a server starts a private one.
 *
 * @module
 */

import { PrivatePostgres } from "./private_postgres.ts";
import { PrivateRedis } from "./private_redis.ts";
import type { PrivateServer } from "./private_server.ts";
import { answersPostgres, answersRedis } from "./probe.ts";

export { PrivatePostgres, PrivateRedis };
export type { Ending, Settings } from "./private_server.ts";
export { chromiumBinary } from "./binaries.ts";

/**
 * `host:port` of a PgBouncer in transaction mode (`TQ_TEST_POOLER`): tq reaches the shared Postgres through it, while
 * a test looks at it directly.
 */
const POOLER = Deno.env.get("TQ_TEST_POOLER");

/** Whether tq prepares statements on the shared Postgres, and hears notifications. */
export const PREPARES: boolean = POOLER === undefined;

/** The address under which tq is to use the server of `url`. */
export async function forTq(url: string): Promise<string> {
  if (POOLER === undefined || url !== await postgresUrl()) return url;
  const pooled = new URL(url);
  pooled.host = POOLER;
  return pooled.href;
}

/** Where the shared servers are, and who must be disposed of when they are no longer needed. */
export interface SharedServer extends AsyncDisposable {
  readonly url: string | undefined;
  /** How it was found, for people. */
  readonly how: "given" | "found" | "started for this run" | "none";
  /** Ends a server that was started for this run, without waiting. */
  abandon(): void;
}

/** Finds the shared Postgres: of `TQ_TEST_DATABASE_URL` (`none`: do without), else on the usual port, else starts one. */
export async function findPostgres(): Promise<SharedServer> {
  const usual = ["test", "postgres"].map((database) => `postgres://postgres@127.0.0.1:5432/${database}`);
  return await find("TQ_TEST_DATABASE_URL", usual, answersPostgres, PrivatePostgres);
}

/** Finds the shared Redis: of `TQ_TEST_REDIS_URL` (`none`: do without), else on the usual port, else starts one. */
export async function findRedis(): Promise<SharedServer> {
  return await find("TQ_TEST_REDIS_URL", ["redis://127.0.0.1:6379"], answersRedis, PrivateRedis);
}

let postgres: Promise<SharedServer> | undefined;
let redis: Promise<SharedServer> | undefined;

/** The address of the shared Postgres, or undefined when this machine has none. */
export async function postgresUrl(): Promise<string | undefined> {
  return (await (postgres ??= keep(findPostgres()))).url;
}

/** The address of the shared Redis, or undefined when this machine has none. */
export async function redisUrl(): Promise<string | undefined> {
  return (await (redis ??= keep(findRedis()))).url;
}

/** Without the runner nobody ends a server that was started here: it goes when the test file does. */
async function keep(found: Promise<SharedServer>): Promise<SharedServer> {
  const server = await found;
  globalThis.addEventListener("unload", () => server.abandon());
  return server;
}

async function find(
  variable: string,
  usual: readonly string[],
  answers: (url: string) => Promise<boolean>,
  kind: { available(): boolean; started(): Promise<PrivateServer & { url(): string }> },
): Promise<SharedServer> {
  const given = Deno.env.get(variable);
  if (given === "none") return shared(undefined, "none");
  if (given !== undefined && given !== "") {
    // The runner has asked it already.
    if (Deno.env.has("TQ_TEST_AVAILABLE") || await answers(given)) return shared(given, "given");
    throw new Error(`${variable} names a server that does not answer: ${withoutPassword(given)}`);
  }
  for (const url of usual) if (await answers(url)) return shared(url, "found");
  if (!kind.available()) return shared(undefined, "none");
  const server = await kind.started();
  return {
    url: server.url(),
    how: "started for this run",
    abandon: () => server.abandon(),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

function shared(url: string | undefined, how: SharedServer["how"]): SharedServer {
  return { url, how, abandon() {}, [Symbol.asyncDispose]: () => Promise.resolve() };
}

/** An address as it may be shown. */
export function withoutPassword(url: string): string {
  if (!URL.canParse(url)) return "(not a URL)";
  const shown = new URL(url);
  if (shown.password !== "") shown.password = "***";
  return shown.href;
}
