/**
 * Connections to Postgres. The only file that touches postgres.js.
 *
 * postgres.js 3.4.9 is fast, and breaks under faults when it pools: with `begin` or `reserve` callers were stuck
 * for ever after `pg_terminate_backend` (upstream #1066, #1154, #1186, #1195, #1199). What holds: one client per
 * connection in a pool of our own, one statement at a time on each, a deadline on every statement, and a client
 * that failed is abandoned and replaced, never revived. Stray errors that it throws where nobody can catch them
 * are recognised by a process-wide guard.
 *
 * @module
 */

import postgres from "npm:postgres@3.4.9";
import { type Clock, systemClock } from "../clock.ts";
import { InputError, messageOf, UnreachableError } from "../errors.ts";
import { Client } from "./client.ts";
import { installGuard, strayErrors } from "./driver_errors.ts";
import { isConnectionLoss, mapError } from "./errors.ts";

/** A caller's own postgres.js transaction, or anything that runs a statement like one. */
export interface Transaction {
  /** Runs one statement inside the transaction. */
  unsafe(text: string, parameters?: never[], options?: { prepare?: boolean }): PromiseLike<unknown>;
}

/** A value of a statement's parameter. Everything travels as text, cast in the statement. */
export type Parameter = string | number | boolean | null;

/** The rows of an answer, and how many rows the statement touched. */
export type Rows<Row> = readonly Row[] & { readonly count: number };

/** How a pool is made. */
export interface PoolOptions {
  /** Gives the address of the server; asked for every new connection, so that an embedded one can be started. */
  readonly url: () => Promise<string>;
  /** Connections at most. */
  readonly size: number;
  /** Prepared statements; off for PgBouncer in transaction mode. */
  readonly prepare: boolean;
  /** Shown in `pg_stat_activity`. */
  readonly applicationName: string;
  /** Milliseconds for a connection to be ready. @default 5000 */
  readonly connectTimeout?: number;
  readonly clock?: Clock;
}

/** A statement that has not been answered by then takes its connection with it. Milliseconds. */
const DEADLINE = 30_000;
/**
 * For connections that keep plans. A generic plan stays until the statistics change, and one that was made while the
 * table was small reads the whole table, or the whole of an index for a join, however large it gets: a lone claim took
 * 0.5 ms on an empty table, 1.4 ms after 8,000 tasks, and grew on (2026-11-24, autovacuum off). All that tq asks for
 * is found by an index. A way that is off and taken all the same, as where a table of one row has no index, counts as
 * so much work that Postgres would compile the statement each time (JIT): 14 to 80 ms for 0.1 ms of work.
 */
const PLANNER = { enable_seqscan: "off", enable_hashjoin: "off", enable_mergejoin: "off", jit: "off" };
/**
 * A statement that waits for a lock does not see that nobody listens any more: each that was given up, or whose
 * process was killed, would keep a connection of the server's until the lock is free, and its successor another. Where
 * the server looks (Postgres 14 or later), this is how often, milliseconds.
 */
const LISTENS = { client_connection_check_interval: "2000" };
/** The driver has its own timer for a connection, which says more: ours comes this much later. Milliseconds. */
const CONNECT_MARGIN = 500;

/** Connections, at most `size`, made when needed. */
export class Pool implements AsyncDisposable {
  readonly #options: PoolOptions;
  readonly #clock: Clock;
  readonly #connectTimeout: number;
  readonly #idle: Client[] = [];
  /** Those that run something now. */
  readonly #busy = new Set<Client>();
  readonly #waiting: PromiseWithResolvers<Client>[] = [];
  readonly #closed = new AbortController();
  /** The grace of `close` is over. */
  #isCut = false;
  #count = 0;
  /** What connections start with. */
  #startup: Readonly<Record<string, string>>;

  constructor(options: PoolOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#connectTimeout = options.connectTimeout ?? 5000;
    // Without kept plans each is made for the table as it is.
    this.#startup = options.prepare ? { ...PLANNER, ...LISTENS } : {};
    installGuard();
  }

  /** Whether `close` was called: no statement is answered any more. */
  get isClosed(): boolean {
    return this.#closed.signal.aborted;
  }

  /** Connections that exist now. */
  get size(): number {
    return this.#count;
  }

  /**
   * Runs one statement on a connection of its own.
   *
   * @param deadline milliseconds until its connection is given up
   * @throws {UnreachableError} when the connection is lost or the deadline passes: it may have run, send it again
   */
  async run<Row>(
    text: string,
    parameters: readonly Parameter[] = [],
    deadline = DEADLINE,
  ): Promise<Rows<Row>> {
    let rows: Row[] = [];
    const query = (client: Client) =>
      client.sql.unsafe(text, parameters as never[], { prepare: this.#options.prepare })
        .forEach((row) => void rows.push(row as Row)) as unknown as Promise<{ readonly count: number }>;
    const { count } = await this.#with(query, deadline);
    const answer = Object.defineProperty(rows, "count", { value: count }) as unknown as Rows<Row>;
    // Rows that a query of the driver's can still reach get into V8's old generation with it: see `HeldTable`.
    rows = [];
    return answer;
  }

  /**
   * Runs several statements as one transaction, in one message: they all happen or none does.
   *
   * @returns the rows of the last one
   */
  async runScript<Row>(script: string, deadline: number): Promise<readonly Row[]> {
    type Answer = readonly Row[] | readonly (readonly Row[])[];
    const run = (client: Client) => client.sql.unsafe(script).simple() as unknown as Promise<Answer>;
    const answer = await this.#with(run, deadline);
    const last = answer.at(-1);
    // One answer for each statement that has rows, unless there is one only.
    return Array.isArray(last) ? last : answer as readonly Row[];
  }

  /**
   * Runs `fn` inside a transaction on a connection made for it.
   *
   * @param deadline milliseconds for all of it
   */
  async transaction<T>(fn: (tx: postgres.TransactionSql) => Promise<T>, deadline: number): Promise<T> {
    const client = await this.#connect();
    this.#busy.add(client);
    let thrown: unknown;
    const watched = async (tx: postgres.TransactionSql) => {
      try {
        const result = await fn(tx);
        // Past its deadline its caller has been told that it failed: it must not be committed any more.
        if (!this.#busy.has(client)) throw new UnreachableError("the transaction took too long");
        return result;
      } catch (error) {
        thrown = error;
        throw error;
      }
    };
    try {
      return await this.#bounded(client.sql.begin(watched) as Promise<T>, deadline);
    } catch (error) {
      // What `fn` threw of its own says nothing about Postgres. The driver writes the query onto its errors.
      const own = error === thrown && !(error instanceof Error && "query" in error);
      throw own ? error : mapError(error);
    } finally {
      this.#busy.delete(client);
      client.abandon();
    }
  }

  /**
   * Hears notifications on a connection of its own until the returned function is called. They may be lost:
   * whoever listens looks by itself as well.
   */
  async listen(channel: string, heard: (payload: string) => void): Promise<() => void> {
    const client = await this.#connect();
    this.#closed.signal.addEventListener("abort", () => client.abandon(), { once: true });
    await this.#bounded(client.sql.listen(channel, heard), DEADLINE).catch((error) => {
      client.abandon();
      throw mapError(error);
    });
    return () => client.abandon();
  }

  /** Closes every connection; what still runs is cut off after `grace` milliseconds. */
  async close(grace = 2000): Promise<void> {
    if (this.#closed.signal.aborted) return;
    this.#closed.abort();
    for (const { reject } of this.#waiting.splice(0)) reject(closedError());
    const ends = this.#idle.splice(0).map((client) => client.sql.end({ timeout: 1 }).catch(() => {}));
    const until = this.#clock.monotonic() + grace;
    while ((this.#count > ends.length || this.#busy.size > 0) && this.#clock.monotonic() < until) {
      await this.#clock.sleep(10);
    }
    this.#isCut = true;
    for (const client of this.#busy) client.abandon();
    await Promise.all(ends);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #with<T>(query: (client: Client) => Promise<T>, deadline: number): Promise<T> {
    const client = await this.#acquire(deadline);
    this.#busy.add(client);
    try {
      const answering = query(client);
      if (!client.isReady) {
        // Some proxies take connections for a server that is dead and drop them; the driver would go on trying.
        const first = Promise.race([client.ready, answering]);
        await this.#bounded(first, Math.min(deadline, this.#connectTimeout + CONNECT_MARGIN));
      }
      const answer = await this.#bounded(answering, deadline);
      this.#release(client);
      return answer;
    } catch (error) {
      const startup = withoutRefused(client.startup, messageOf(error));
      if (startup !== undefined) {
        this.#startup = startup;
        this.#discard(client);
        return await this.#with(query, deadline);
      }
      if (isConnectionLoss(error)) this.#discard(client);
      else this.#release(client);
      throw mapError(error);
    }
  }

  /** Rejects when `promise` has not settled within `deadline`; a late rejection of it is nobody's business then. */
  async #bounded<T>(promise: Promise<T>, deadline: number): Promise<T> {
    let cancel = () => {};
    const late = new Promise<never>((_, reject) => {
      cancel = this.#clock.after(deadline, () =>
        reject(
          new UnreachableError(`Postgres did not answer within ${deadline / 1000} s`, {
            remedy: "try again later",
          }),
        ));
    });
    promise.catch(() => {});
    try {
      return await Promise.race([promise, late]);
    } finally {
      cancel();
    }
  }

  #acquire(deadline: number): Promise<Client> {
    if (this.#closed.signal.aborted) return Promise.reject(closedError());
    const client = this.#idle.pop();
    if (client !== undefined) return Promise.resolve(client);
    if (this.#count < this.#options.size) return this.#open();
    return this.#wait(deadline);
  }

  /** Waits in line for a client. Who gives up leaves the line, and hands on a client that came in that moment. */
  async #wait(deadline: number): Promise<Client> {
    const waiter = Promise.withResolvers<Client>();
    this.#waiting.push(waiter);
    try {
      return await this.#bounded(waiter.promise, deadline);
    } catch (error) {
      const place = this.#waiting.indexOf(waiter);
      if (place !== -1) this.#waiting.splice(place, 1);
      else waiter.promise.then((client) => this.#release(client), () => {});
      throw error;
    }
  }

  async #open(): Promise<Client> {
    this.#count++;
    try {
      return await this.#connect(this.#startup);
    } catch (error) {
      this.#count--;
      throw error;
    }
  }

  async #connect(startup: Readonly<Record<string, string>> = {}): Promise<Client> {
    if (this.#closed.signal.aborted) throw closedError();
    const url = await this.#options.url();
    if (this.#isCut) throw closedError();
    const ready = Promise.withResolvers<void>();
    try {
      const sql = postgres(url, {
        max: 1,
        prepare: this.#options.prepare,
        fetch_types: false,
        idle_timeout: 0,
        max_lifetime: 0,
        keep_alive: 10,
        connect_timeout: this.#connectTimeout / 1000,
        connection: { application_name: this.#options.applicationName, ...startup },
        onnotice: () => {},
        onparameter: () => ready.resolve(),
        types: {
          // Ids and counts stay below 2^53.
          bigint: { to: 20, from: [20], parse: Number, serialize: String },
        },
      });
      return new Client(sql, ready.promise, startup);
    } catch (error) {
      throw new InputError("the database URL is not one that postgres.js reads", { cause: error });
    }
  }

  #release(client: Client): void {
    this.#busy.delete(client);
    if (client.generation !== strayErrors() || this.#closed.signal.aborted) return this.#discard(client);
    const waiting = this.#waiting.shift();
    if (waiting === undefined) this.#idle.push(client);
    else waiting.resolve(client);
  }

  #discard(client: Client): void {
    this.#busy.delete(client);
    client.abandon();
    this.#count--;
    const waiting = this.#waiting.shift();
    if (waiting !== undefined) this.#open().then(waiting.resolve, waiting.reject);
  }
}

/** What a connection may start with after it was refused with this message; undefined when that was no reason. */
function withoutRefused(
  startup: Readonly<Record<string, string>>,
  message: string,
): Readonly<Record<string, string>> | undefined {
  const names = Object.keys(startup);
  // A pooler in between (PgBouncer): its connections are shared, and theirs to set up.
  if (names.length > 0 && /unsupported startup parameter/.test(message)) return {};
  // A server that is older, or of a system where it cannot look.
  const refused = names.find((name) => name in LISTENS && message.includes(name));
  return refused === undefined
    ? undefined
    : Object.fromEntries(Object.entries(startup).filter(([name]) => name !== refused));
}

function closedError(): UnreachableError {
  return new UnreachableError("the connection pool is closed");
}
