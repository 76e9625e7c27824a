/**
 * Hints through Redis: one sorted set of ids a channel.
 *
 * @module
 */

import type { Redis } from "npm:ioredis@6.0.0";
import { type Clock, systemClock } from "../clock.ts";
import { messageOf, SettingsError } from "../errors.ts";
import { logger } from "../log.ts";
import { Connection, DEADLINE } from "./connection.ts";
import { type Keys, keysOf, priorityOf, scoreOf } from "./keys.ts";
import { type ControlMessage, type Dispatch, type Hint, isControlMessage } from "./dispatch.ts";
import { Popper } from "./popper.ts";
import { Poller, type Wakeup } from "./postgres.ts";
import { readInfo } from "./server.ts";

/** How a Redis dispatch is made. */
export interface RedisDispatchOptions {
  readonly url: string;
  readonly prefix: string;
  readonly install: string;
  readonly wakeup: Wakeup;
  readonly clock?: Clock;
}

/** A pop blocks for this long, seconds; then the record is looked into for what Redis may have lost. */
const BLOCK_SECONDS = 5;
/** The pop right after a look into the record that found something: just asks. */
const GLANCE_SECONDS = 0.01;
/** The longest pause between looks into the record while Redis is away, milliseconds. */
const LONGEST_DEGRADED_PAUSE = 1000;
/** Milliseconds between two looks after the subscription. */
const RESUBSCRIBE = 5000;
/** Members of one ZADD or ZREM at most. */
const CHUNK = 1000;

/** Dispatch through Redis ≥ 7.0 or Valkey. While it is away, engines are sent to the record, and pushes fail. */
export class RedisDispatch implements Dispatch {
  readonly kind = "redis";
  readonly #keys: Keys;
  readonly #commands: Connection;
  readonly #popper: Popper;
  readonly #subscription: Connection;
  readonly #poller: Poller;
  readonly #clock: Clock;
  readonly #log = logger("dispatch");
  #away = false;
  #checked = false;

  constructor(options: RedisDispatchOptions) {
    this.#clock = options.clock ?? systemClock;
    this.#keys = keysOf(options.prefix, options.install);
    this.#commands = new Connection(options.url, "tq", this.#clock);
    this.#popper = new Popper({
      url: options.url,
      commands: this.#commands,
      clock: this.#clock,
      prepare: async () => {
        if (!this.#checked) await this.check();
      },
    });
    this.#subscription = new Connection(options.url, "tq-control", this.#clock);
    // While Redis is away nothing else tells of a lone task.
    this.#poller = new Poller(
      { ...options.wakeup, longest: Math.min(options.wakeup.longest, LONGEST_DEGRADED_PAUSE) },
      this.#clock,
    );
  }

  get isUp(): boolean {
    return !this.#away;
  }

  async push(hints: readonly Hint[]): Promise<void> {
    await this.#inChunks(hints, (client, key, chunk) => {
      const members: number[] = [];
      for (const { id, priority } of chunk) members.push(scoreOf(priority, id), id);
      return client.zadd(key, ...members);
    });
  }

  async drop(hints: readonly Pick<Hint, "id" | "channel">[]): Promise<void> {
    await this.#inChunks(hints, (client, key, chunk) => client.zrem(key, ...chunk.map(({ id }) => id)));
  }

  async pop(
    channels: readonly string[],
    count: number,
    found: number,
    signal: AbortSignal,
    enough?: AbortSignal,
  ): Promise<readonly Hint[]> {
    const keys = channels.map((channel) => this.#keys.queue(channel));
    const seconds = found > 0 ? GLANCE_SECONDS : BLOCK_SECONDS;
    try {
      const reply = await this.#popper.pop({ keys, count, seconds }, signal, enough);
      this.#returned();
      if (reply === null) return [];
      const channel = channels[keys.indexOf(reply[0])] ?? "";
      // Taken out of the reply, which the driver's command can still reach: see `Pool.run`.
      return reply[1].splice(0).map(([member, score]) => {
        const id = Number(member);
        return { id, channel, priority: priorityOf(Number(score), id) };
      });
    } catch (error) {
      // Anything else (it wants a password, it refuses the command) is as good as away: the record has the tasks.
      if (error instanceof SettingsError) throw error;
      if (!signal.aborted) {
        this.#lost(error);
        await this.#poller.wait(found, signal, enough ?? signal);
      }
      return [];
    }
  }

  async send(message: ControlMessage): Promise<void> {
    await this.#command((client) => client.publish(this.#keys.control, JSON.stringify(message)));
  }

  listen(heard: (message: ControlMessage) => void): Promise<() => void> {
    const stop = new AbortController();
    this.#subscribe(heard, stop.signal);
    return Promise.resolve(() => stop.abort());
  }

  async wasEmptied(): Promise<boolean> {
    return await this.#command((client) => client.set(this.#keys.epoch, "1", "NX")) === "OK";
  }

  async close(): Promise<void> {
    await Promise.all(
      [this.#commands, this.#popper, this.#subscription].map((connection) => connection.close()),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async check(): Promise<void> {
    const { policy } = readInfo(await this.#command((client) => client.info()));
    if (policy !== undefined && policy !== "noeviction") {
      this.#log.warn("Redis may evict keys; lost ids are found again within seconds", { policy });
    }
    this.#checked = true;
  }

  /** Keeps a subscription alive until `signal`: subscribing again is what finds out that the connection is dead. */
  async #subscribe(heard: (message: ControlMessage) => void, signal: AbortSignal): Promise<void> {
    const prepared = new WeakSet<Redis>();
    while (!signal.aborted) {
      let pause = RESUBSCRIBE;
      try {
        await this.#subscription.run(DEADLINE, async (client) => {
          if (!prepared.has(client)) client.on("message", (_channel, text) => this.#hear(text, heard));
          prepared.add(client);
          await client.subscribe(this.#keys.control);
        });
      } catch {
        pause = Math.max(100, this.#subscription.pause);
      }
      await this.#clock.sleep(pause, signal);
    }
    await this.#subscription.close();
  }

  #hear(text: string, heard: (message: ControlMessage) => void): void {
    try {
      const message: unknown = JSON.parse(text);
      if (!isControlMessage(message)) throw new Error("it has none of their forms");
      heard(message);
    } catch (error) {
      this.#log.warn("Heard something that is not a hint", { error: messageOf(error) });
    }
  }

  /** Sends one command for each channel's queue, or several where there is much for it. */
  async #inChunks<H extends Pick<Hint, "channel">>(
    hints: readonly H[],
    send: (client: Redis, key: string, chunk: readonly H[]) => Promise<unknown>,
  ): Promise<void> {
    const byChannel = Map.groupBy(hints, (hint) => hint.channel);
    await this.#command((client) => {
      const sent: Promise<unknown>[] = [];
      for (const [channel, group] of byChannel) {
        const key = this.#keys.queue(channel);
        for (let at = 0; at < group.length; at += CHUNK) {
          sent.push(send(client, key, group.slice(at, at + CHUNK)));
        }
      }
      return Promise.all(sent);
    });
  }

  async #command<T>(use: (client: Redis) => Promise<T>): Promise<T> {
    return await this.#commands.run(DEADLINE, use);
  }

  #lost(error: unknown): void {
    if (!this.#away) {
      this.#log.warn("Redis is away; engines claim from Postgres", { error: messageOf(error) });
    }
    this.#away = true;
  }

  #returned(): void {
    if (this.#away) this.#log.info("Redis is back");
    this.#away = false;
  }
}
