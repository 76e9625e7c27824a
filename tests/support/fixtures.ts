/**
 * What tests are made of: names of their own, folders of their own, and ways to wait.
 *
 * @module
 */

import { disconnect } from "../../src/dispatch/connection.ts";
import { mayWrite } from "../../src/posix.ts";
import { postgresUrl, redisUrl } from "./servers.ts";

export { TestClock } from "./test_clock.ts";
export { type Target, TcpProxy, tcpProxy } from "./tcp_proxy.ts";

// Loads libc, once for the process: a sanitizer would take it for a leak of the first test that needs it.
mayWrite("/", "folder");

/** The name of a Postgres schema that nobody else uses. */
export function testSchema(): string {
  return `tq_test_${random()}`;
}

/** Drops a schema and all in it; gives up after 10 s, when a connection that somebody forgot still holds a lock. */
export async function dropSchema(schema: string, url?: string): Promise<void> {
  const address = url ?? await postgresUrl();
  if (address === undefined) return;
  const { default: connect } = await import("npm:postgres@3.4.9");
  // As it must be said behind PgBouncer as well.
  const sql = connect(address, { max: 1, prepare: false, fetch_types: false, onnotice() {} });
  try {
    await sql.begin(async (tx) => {
      await tx`SET LOCAL statement_timeout = 10000`;
      await tx`DROP SCHEMA IF EXISTS ${tx(schema)} CASCADE`;
    });
  } finally {
    await sql.end({ timeout: 1 });
  }
}

/** A prefix of Redis keys that nobody else uses. */
export function testPrefix(): string {
  return `tq_test_${random()}`;
}

/** Deletes the keys that start with `prefix`, or with it in the braces of a hash tag. */
export async function dropPrefix(prefix: string, url?: string): Promise<void> {
  const address = url ?? await redisUrl();
  if (address === undefined) return;
  const { Redis } = await import("npm:ioredis@6.0.0");
  const client = new Redis(address, { retryStrategy: () => null, maxRetriesPerRequest: 0 });
  client.on("error", () => {}); // Whoever asks it something is told.
  try {
    for (const pattern of [`${prefix}*`, `{${prefix}*`]) {
      for await (const keys of client.scanStream({ match: pattern, count: 1000 })) {
        if (Array.isArray(keys) && keys.length > 0) await client.unlink(...keys.map(String));
      }
    }
  } finally {
    await disconnect(client);
  }
}

/** A folder that is removed with all in it. */
export interface TempFolder extends AsyncDisposable {
  readonly path: string;
}

/** Makes a temporary folder: `await using folder = await tempFolder()`. */
export async function tempFolder(): Promise<TempFolder> {
  // The real path: on macOS the temporary folder is behind a link, and programs that resolve it tell another name.
  const path = await Deno.realPath(await Deno.makeTempDir({ prefix: "tq_test_" }));
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}

/** What `if` lets through. */
type Truthy<T> = Exclude<T, false | 0 | 0n | "" | null | undefined>;

/** How long to wait, and for what. */
export interface Patience {
  /** Milliseconds. @default 5000 */
  readonly within?: number;
  /** Ends the sentence "waited in vain for …". */
  readonly what: string;
}

/**
 * Asks `fn` every 10 ms until its answer is truthy, and returns it. An error counts as "not yet", and is the
 * cause of the error that ends the wait.
 */
export async function eventually<T>(fn: () => T | Promise<T>, patience: Patience): Promise<Truthy<T>> {
  const late = tooLate(patience);
  let trouble: unknown;
  try {
    while (!late.passed()) {
      try {
        const answer = await Promise.race([Promise.resolve().then(fn), late.promise]);
        if (answer === TOO_LATE) break;
        if (answer) return answer as Truthy<T>;
        trouble = undefined;
      } catch (error) {
        trouble = error;
      }
      await pause(10);
    }
  } finally {
    late.cancel();
  }
  throw inVain(patience, trouble);
}

/** Something that a test waits to be told. What was told before the test asked is kept, in order. */
export class TestSignal<T = void> {
  readonly #what: string;
  readonly #told: T[] = [];
  readonly #waiting: ((value: T) => void)[] = [];

  /** @param what ends the sentence "waited in vain for …". */
  constructor(what: string) {
    this.#what = what;
  }

  /** Tells the next who asks. An arrow, so that it can be handed over as a callback. */
  readonly fire = (value: T): void => {
    const next = this.#waiting.shift();
    if (next === undefined) this.#told.push(value);
    else next(value);
  };

  /** How often it was told and nobody asked yet. */
  get pending(): number {
    return this.#told.length;
  }

  /** The next that was or will be told. */
  async next(within = 5000): Promise<T> {
    if (this.#told.length > 0) return this.#told.shift() as T;
    const patience = { within, what: this.#what };
    const late = tooLate(patience);
    const { promise, resolve } = Promise.withResolvers<T>();
    this.#waiting.push(resolve);
    try {
      const value = await Promise.race([promise, late.promise]);
      if (value !== TOO_LATE) return value as T;
    } finally {
      late.cancel();
    }
    this.#waiting.splice(this.#waiting.indexOf(resolve), 1);
    throw inVain(patience, undefined);
  }
}

const TOO_LATE = Symbol("too late");

function tooLate(
  patience: Patience,
): { promise: Promise<typeof TOO_LATE>; passed(): boolean; cancel(): void } {
  const { promise, resolve } = Promise.withResolvers<typeof TOO_LATE>();
  let passed = false;
  const timer = setTimeout(() => {
    passed = true;
    resolve(TOO_LATE);
  }, patience.within ?? 5000);
  return { promise, passed: () => passed, cancel: () => clearTimeout(timer) };
}

function inVain(patience: Patience, cause: unknown): Error {
  const message = `waited in vain for ${patience.what} (${patience.within ?? 5000} ms)`;
  return new Error(message, cause === undefined ? undefined : { cause });
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function random(): string {
  return crypto.randomUUID().replaceAll("-", "").slice(0, 12);
}
