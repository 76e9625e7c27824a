/**
 * Dispatch through Redis for tests: a record's keys of its own, without a record.
 *
 * @module
 */

import type { Redis } from "npm:ioredis@6.0.0";
import { type Keys, keysOf } from "../../src/dispatch/keys.ts";
import type { Hint } from "../../src/dispatch/mod.ts";
import { RedisDispatch, type RedisDispatchOptions } from "../../src/dispatch/redis.ts";
import { dropPrefix, testPrefix } from "../support/fixtures.ts";
import { redisClient } from "../support/redis_client.ts";
import { PrivateRedis, redisUrl, type Settings } from "../support/servers.ts";

/** A signal that nobody aborts. */
export const NEVER: AbortSignal = new AbortController().signal;

/** For a wakeup: nothing is heard, and nobody is told. */
export const DEAF = { listen: () => Promise.resolve(undefined), tell: () => Promise.resolve() };

/** A dispatch on some Redis; without Redis it looks into the record every 20 to 200 ms. */
export function redisDispatch(
  options: Partial<RedisDispatchOptions> & { readonly url: string },
): RedisDispatch {
  return new RedisDispatch({
    prefix: "tq_test",
    install: "one",
    wakeup: { first: 20, longest: 200, ...DEAF },
    ...options,
  });
}

/** A prefix in a Redis, and the dispatches made on it; all gone at the end of the test. */
export class RedisPlace implements AsyncDisposable {
  readonly url: string;
  readonly prefix = testPrefix();
  readonly #made: RedisDispatch[] = [];
  readonly #client: Redis;
  readonly #server: PrivateRedis | undefined;

  constructor(url: string, server?: PrivateRedis) {
    this.url = url;
    this.#server = server;
    this.#client = redisClient(url);
  }

  /** One in a Redis of its own. */
  static async private(settings: Settings = {}): Promise<RedisPlace & { readonly server: PrivateRedis }> {
    const server = await PrivateRedis.started(settings);
    return Object.assign(new RedisPlace(server.url(), server), { server });
  }

  /** One in the Redis that tests share. */
  static async shared(): Promise<RedisPlace> {
    return new RedisPlace((await redisUrl())!);
  }

  dispatch(options: Partial<RedisDispatchOptions> = {}): RedisDispatch {
    const dispatch = redisDispatch({ url: this.url, prefix: this.prefix, ...options });
    this.#made.push(dispatch);
    return dispatch;
  }

  /** For looking and for meddling. */
  get client(): Redis {
    return this.#client;
  }

  get keys(): Keys {
    return keysOf(this.prefix, "one");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const dispatch of this.#made) await dispatch.close();
    this.#client.disconnect();
    if (this.#server === undefined) await dropPrefix(this.prefix, this.url);
    else await this.#server[Symbol.asyncDispose]();
  }
}

/** A hint. */
export function hint(id: number, channel = "a", priority = 0): Hint {
  return { id, channel, priority };
}

/** The ids of hints. */
export function ids(hints: readonly Hint[]): number[] {
  return hints.map((one) => one.id);
}
