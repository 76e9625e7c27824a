/**
 * What a supervisor knows in numbers: its own, and those of its engines.
 *
 * @module
 */

import { type Clock, systemClock } from "../clock.ts";
import { HostCounts } from "./host_counts.ts";
import { Stopwatch } from "./stopwatch.ts";

/** Numbers by name. The names are few: they are written in the code. */
export class Tally {
  readonly #numbers = new Map<string, number>();

  /** Adds to one. */
  add(name: string, number: number): void {
    this.#numbers.set(name, (this.#numbers.get(name) ?? 0) + number);
  }

  /** One of them; 0 when nothing was added to it. */
  get(name: string): number {
    return this.#numbers.get(name) ?? 0;
  }

  [Symbol.iterator](): IterableIterator<[string, number]> {
    return this.#numbers.entries();
  }
}

/** What upkeep did to tasks: made due ones ready, failed stale ones, deleted old ones, took some back, pushed ids again. */
export type UpkeepAction = "due" | "stale" | "deleted" | "rescued" | "pushed";

/** The numbers of one host, since its supervisor started. */
export class HostMetrics {
  /** Whether there should be a Redis. */
  readonly hasRedis: boolean;
  /** When this began, in seconds since the epoch. */
  readonly started: number;
  /** What engines have counted. */
  readonly counts = new HostCounts();
  /** Runs while an engine does without the Redis that it should have. */
  readonly redisAway: Stopwatch;
  /** Runs while beats do not reach Postgres. */
  readonly postgresAway: Stopwatch;
  /** Tasks by what upkeep did to them. */
  readonly upkeep = new Tally();
  /** Rounds of each loop of upkeep, and the seconds they took. */
  readonly rounds = new Tally();
  readonly roundSeconds = new Tally();
  /** Engine processes: `started`, `died`. */
  readonly engines = new Tally();
  /** Refreshes of code: `taken`, `refused`. */
  readonly refreshes = new Tally();
  /** Alerts: `sent`, `lost`. */
  readonly alerts = new Tally();

  /** @param hasRedis whether there should be one */
  constructor(hasRedis: boolean, clock: Clock = systemClock) {
    this.hasRedis = hasRedis;
    this.started = clock.now() / 1000;
    this.redisAway = new Stopwatch(clock);
    this.postgresAway = new Stopwatch(clock);
  }
}
