/**
 * One connection to Redis that is replaced when it fails. ioredis' own reconnection is off: after a long outage a
 * client of it can park for ever (BullMQ #4585).
 *
 * @module
 */

import type { Redis } from "npm:ioredis@6.0.0";
import { type Clock, systemClock, within } from "../clock.ts";
import { messageOf, UnreachableError } from "../errors.ts";
import { reconnectDelay } from "../retry_policy.ts";

/** Milliseconds for a command that does not block. */
export const DEADLINE = 2000;
/** Milliseconds for a connection to be ready. */
const CONNECT_TIMEOUT = 3000;
/** The longest pause between tries to connect, milliseconds. */
const LONGEST_PAUSE = 2000;

/** A connection that comes back by itself: each use gets the client that works, or fails at once. */
export class Connection {
  readonly #url: string;
  readonly #name: string;
  readonly #clock: Clock;
  #client: Redis | undefined;
  #connecting: Promise<Redis> | undefined;
  #failures = 0;
  #notBefore = -Infinity;
  #closed = false;

  constructor(url: string, name: string, clock: Clock = systemClock) {
    this.#url = url;
    this.#name = name;
    this.#clock = clock;
  }

  /** Whether the last use worked. */
  get isUp(): boolean {
    return this.#failures === 0;
  }

  /** Milliseconds until the next try to connect is allowed. */
  get pause(): number {
    return Math.max(0, this.#notBefore - this.#clock.monotonic());
  }

  /**
   * Runs `use` on the connected client.
   *
   * @param deadline milliseconds; a client that misses it is replaced
   * @throws {UnreachableError} when Redis is away or did not answer
   */
  async run<T>(deadline: number, use: (client: Redis) => Promise<T>): Promise<T> {
    const client = await this.#connected();
    const answer = use(client).then((value) => ({ value }));
    answer.catch(() => {});
    let outcome: { value: T } | undefined;
    try {
      outcome = await within(this.#clock, deadline, answer);
    } catch (error) {
      // What Redis itself says of a command is the caller's business; anything else is the connection's.
      if (
        error instanceof Error && error.name === "ReplyError" &&
        !/^(LOADING|READONLY|MASTERDOWN)/.test(error.message)
      ) {
        throw error;
      }
      throw this.#failed(client, messageOf(error));
    }
    if (outcome === undefined) throw this.#failed(client, `no answer within ${deadline} ms`);
    this.#failures = 0;
    return outcome.value;
  }

  /** Closes the connection: nothing of it is left when this returns. */
  async close(): Promise<void> {
    this.#closed = true;
    await disconnect(this.#client);
  }

  async #connected(): Promise<Redis> {
    if (this.#closed) throw new UnreachableError("the Redis connection is closed");
    if (this.#client?.status === "ready") return this.#client;
    if (this.#connecting === undefined && this.pause > 0) throw new UnreachableError("Redis is unreachable");
    this.#connecting ??= this.#connect().finally(() => this.#connecting = undefined);
    return await this.#connecting;
  }

  async #connect(): Promise<Redis> {
    void disconnect(this.#client);
    // Loaded by who uses it alone: it costs a command 27 ms (2026-11-24, 2 cores).
    const { Redis } = await import("npm:ioredis@6.0.0");
    if (this.#closed) throw new UnreachableError("the Redis connection is closed");
    const client = new Redis(this.#url, {
      lazyConnect: true,
      connectionName: this.#name,
      connectTimeout: CONNECT_TIMEOUT,
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      retryStrategy: () => null,
      keepAlive: 5000,
      noDelay: true,
    });
    // Every failure is seen by whoever uses the client; without a listener it would end the process.
    let cause: unknown;
    client.on("error", (error) => cause = error);
    this.#client = client;
    try {
      const connecting = client.connect().then(() => true);
      connecting.catch(() => {});
      if (await within(this.#clock, CONNECT_TIMEOUT, connecting) === undefined) {
        throw new Error(`no connection within ${CONNECT_TIMEOUT} ms`);
      }
    } catch (error) {
      // What `connect` throws says merely that the connection is closed.
      throw this.#failed(client, messageOf(cause ?? error));
    }
    if (this.#closed) await disconnect(client);
    return client;
  }

  #failed(client: Redis, why: string): UnreachableError {
    // All who were using it come here; it failed once.
    if (this.#client === client) {
      this.#client = undefined;
      void disconnect(client);
      this.#notBefore = this.#clock.monotonic() + reconnectDelay(this.#failures++, LONGEST_PAUSE);
    }
    return new UnreachableError(`Redis is unreachable (${why})`, {
      remedy: "see that it runs and that TQ_REDIS_URL is right",
    });
  }
}

/**
 * Disconnects a client that does not reconnect by itself. Its socket is destroyed: nothing is owed to Redis any more,
 * and ioredis would have a timer of 2 s wait for Redis' goodbye, which keeps a program from its end.
 */
export async function disconnect(client: Redis | undefined): Promise<void> {
  if (client === undefined || client.status === "end") return;
  const ended = new Promise((resolve) => client.once("end", resolve));
  client.disconnect();
  client.stream?.destroy();
  await ended;
}
