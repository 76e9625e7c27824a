/**
 * Pops that wait in Redis for the first id, and how they are ended before their time without losing one.
 *
 * @module
 */

import type { Redis } from "npm:ioredis@6.0.0";
import { type Clock, within } from "../clock.ts";
import { messageOf, UnreachableError } from "../errors.ts";
import { logger } from "../log.ts";
import { Connection, DEADLINE } from "./connection.ts";

/** What is popped. */
export interface Pop {
  /** Sorted sets; the first that has something. */
  readonly keys: readonly string[];
  /** Members at most. */
  readonly count: number;
  /** How long it waits for the first. */
  readonly seconds: number;
}

/** BZMPOP's reply: the key that had something, and its members with their scores. */
export type PopReply = [string, [string, string][]] | null;

/** How a popper is made. */
export interface PopperOptions {
  readonly url: string;
  /** The connection that ends pops: their own is blocked. */
  readonly commands: Connection;
  readonly clock: Clock;
  /** Awaited before each pop. */
  prepare(): Promise<void>;
}

/** An aborted pop gets this long to end by itself, milliseconds. */
const ABORT_BOUND = 500;
/** A pop that cannot be ended when it is enough is made of pops of this length, seconds. */
const SHORT_SECONDS = 0.1;
/** Milliseconds until a pop that Redis does not have yet is looked for again: at first, and at last. */
const UNBLOCK_PAUSE = 1;
const LONGEST_UNBLOCK_PAUSE = 50;

/** Pops, one at a time, on a connection of its own. */
export class Popper {
  readonly #pops: Connection;
  readonly #commands: Connection;
  readonly #clock: Clock;
  readonly #prepare: () => Promise<void>;
  readonly #log = logger("dispatch");
  /** Whether Redis lets this user end a pop: `CLIENT UNBLOCK` is one of its dangerous commands. */
  #mayUnblock = true;
  /** The client of the pops, and the number that Redis has for it. */
  #client: { readonly client: Redis; readonly id: Promise<number> } | undefined;

  constructor({ url, commands, clock, prepare }: PopperOptions) {
    this.#pops = new Connection(url, "tq-pop", clock);
    this.#commands = commands;
    this.#clock = clock;
    this.#prepare = prepare;
  }

  /**
   * Pops, or resolves with null after its seconds.
   *
   * @param signal ends it, and the connection with it
   * @param enough ends it, with what it has by then
   * @throws {UnreachableError} when Redis is away, or `signal` aborted
   */
  async pop(pop: Pop, signal: AbortSignal, enough?: AbortSignal): Promise<PopReply> {
    const reply = enough === undefined
      ? this.#blockingPop(pop)
      : this.#mayUnblock
      ? this.#endable(enough, this.#blockingPop(pop))
      : this.#shortPops(enough, pop);
    return await this.#abortable(signal, reply);
  }

  /** Closes the connection. */
  async close(): Promise<void> {
    await this.#pops.close();
  }

  async #blockingPop({ keys, count, seconds }: Pop): Promise<PopReply> {
    await this.#prepare();
    return await this.#pops.run(seconds * 1000 + DEADLINE, (client) => {
      // Sent along with the client's first pop: no way of its own.
      if (this.#client?.client !== client) this.#client = { client, id: client.client("ID") };
      this.#client.id.catch(() => {});
      return client.call("BZMPOP", seconds, keys.length, ...keys, "MIN", "COUNT", count) as Promise<PopReply>;
    });
  }

  /**
   * An aborted pop is ended by Redis itself, and what it gave in that moment is still taken: who closes the connection
   * at once loses it. The connection ends with it.
   */
  async #abortable<T>(signal: AbortSignal, pop: Promise<T>): Promise<T> {
    const { promise: aborted, reject } = Promise.withResolvers<never>();
    const abort = async () => {
      await within(this.#clock, ABORT_BOUND, this.#unblock(pop)).catch(() => {});
      await this.close();
      reject(new UnreachableError("nobody waits for this pop"));
    };
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    try {
      return await Promise.race([pop, aborted]);
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }

  /** Ends a pop when it is enough, and leaves the connection as it is. */
  async #endable<T>(enough: AbortSignal, pop: Promise<T>): Promise<T> {
    const end = () => void this.#unblock(pop).catch((error) => this.#unblockFailed(error));
    if (enough.aborted) end();
    enough.addEventListener("abort", end);
    try {
      return await pop;
    } finally {
      enough.removeEventListener("abort", end);
    }
  }

  /** Pops until it is enough, where a pop cannot be ended. */
  async #shortPops(enough: AbortSignal, pop: Pop): Promise<PopReply> {
    for (let passed = 0;; passed += SHORT_SECONDS) {
      const reply = await this.#blockingPop({ ...pop, seconds: Math.min(pop.seconds, SHORT_SECONDS) });
      if (reply !== null || enough.aborted || passed + SHORT_SECONDS >= pop.seconds) return reply;
    }
  }

  /** Has Redis end a pop, and waits for that. One that is still on its way there is not found yet. */
  async #unblock(pop: Promise<unknown>): Promise<void> {
    let isOver = false;
    let pause = UNBLOCK_PAUSE;
    const over = () => void (isOver = true);
    const ended = pop.then(over, over);
    while (!isOver) {
      const id = await this.#client?.id;
      const found = id === undefined
        ? 0
        : await this.#commands.run(DEADLINE, (client) => client.client("UNBLOCK", id));
      await (found === 1 ? ended : within(this.#clock, pause, ended));
      pause = Math.min(2 * pause, LONGEST_UNBLOCK_PAUSE);
    }
  }

  #unblockFailed(error: unknown): void {
    // Any other trouble is the connection's, and passes.
    if (!this.#mayUnblock || !/^(NOPERM|ERR unknown)/.test(messageOf(error))) return;
    this.#mayUnblock = false;
    this.#log.warn("Redis refuses CLIENT UNBLOCK; pops are short while a channel is at its limit", {
      error: messageOf(error),
    });
  }
}
