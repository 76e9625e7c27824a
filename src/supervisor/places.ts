/**
 * The places of engines: each is filled at all times, and refilled the gapless way, new before old.
 *
 * @module
 */

import { type Clock, systemClock, within } from "../clock.ts";
import { TqError, UnreachableError } from "../errors.ts";
import { logger } from "../log.ts";
import { reconnectDelay } from "../retry_policy.ts";
import type { EngineProcess } from "./engine_process.ts";

/** How places are made. */
export interface PlacesOptions {
  readonly count: number;
  /** Starts an engine; a strict one refuses to start when a handler module does not import. */
  spawn(strict: boolean): EngineProcess;
  /** Called when `trouble` has grown. */
  troubled?(): void;
  readonly clock?: Clock;
}

/** One place. */
interface Place {
  engine: EngineProcess;
  /** Engines that were replaced and end what they run, the oldest first. */
  readonly draining: EngineProcess[];
  /** Engines in a row that died young; and how the last of them did. */
  youngDeaths: number;
  lastEnding: string;
}

/** An engine that lived for this long was sound, milliseconds. */
const SOUND_AGE = 10_000;
/** The longest pause before an engine that dies young is started again, milliseconds. */
const LONGEST_PAUSE = 30_000;
/** A new engine must be ready by then, milliseconds. */
const READY_DEADLINE = 30_000;
/** Engines of one place that drain at once; then the oldest is hurried. */
const MOST_DRAINING = 3;

/** Keeps so many engines running. */
export class Places {
  readonly #options: PlacesOptions;
  readonly #clock: Clock;
  readonly #places: Place[] = [];
  readonly #stopping = new AbortController();
  readonly #watches = new Set<Promise<void>>();
  readonly #replacing = new Set<EngineProcess>();
  readonly #log = logger("supervisor");
  #reloading: Promise<void> = Promise.resolve();

  constructor(options: PlacesOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  /** Fills the places; rejects when an engine cannot start, other than for want of Postgres, which may come back. */
  async start(): Promise<void> {
    const first = Array.from({ length: this.#options.count }, async () => {
      const engine = this.#options.spawn(false);
      const place: Place = { engine, draining: [], youngDeaths: 0, lastEnding: "" };
      this.#places.push(place);
      await this.#firstReady(place);
      this.#watch(place);
    });
    await Promise.all(first);
  }

  async #firstReady(place: Place): Promise<void> {
    for (let tries = 1;; tries++) {
      try {
        await place.engine.ready;
        return;
      } catch (error) {
        if (!(error instanceof UnreachableError) || this.#stopping.signal.aborted) throw error;
        this.#log.warn("An engine cannot start yet", { error: error.message });
        await this.#clock.sleep(reconnectDelay(tries, LONGEST_PAUSE), this.#stopping.signal);
        if (this.#stopping.signal.aborted) throw error;
        place.engine = this.#options.spawn(false);
      }
    }
  }

  /**
   * Replaces all engines one by one. Each new one takes tasks before the old one drains, which runs what it has to
   * its end.
   *
   * @throws {TqError} when a new engine cannot start: the old ones stay
   */
  async reload(): Promise<void> {
    const earlier = this.#reloading;
    const reload = (async () => {
      await earlier.catch(() => {});
      for (const place of this.#places) await this.#refill(place, true);
    })();
    this.#reloading = reload;
    await reload;
  }

  /** Replaces one engine that is no good any more; asking again while that is under way does nothing. */
  async replace(engine: EngineProcess): Promise<void> {
    const place = this.#places.find((one) => one.engine === engine);
    if (place === undefined || engine.isDraining || this.#replacing.has(engine)) return;
    this.#replacing.add(engine);
    try {
      await this.#refill(place, false);
    } finally {
      this.#replacing.delete(engine);
    }
  }

  /** What is wrong with the engines, in one line: they die young. Undefined when they live. */
  get trouble(): string | undefined {
    const worst = this.#places.filter(({ engine }) => engine.ending !== undefined || engine.age < SOUND_AGE)
      .reduce<Place | undefined>((a, b) => b.youngDeaths > (a?.youngDeaths ?? 1) ? b : a, undefined);
    return worst && `engines die young, ${worst.youngDeaths} in a row; the last one: ${worst.lastEnding}`;
  }

  /** Takes no more care of the places; resolves when nobody does. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#watches);
  }

  async #refill(place: Place, strict: boolean): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    const next = this.#options.spawn(strict);
    try {
      const ready = await within(this.#clock, READY_DEADLINE, next.ready);
      if (ready === undefined) {
        throw new TqError(`the new engine was not ready within ${READY_DEADLINE / 1000} s`, {
          remedy: "see the log",
        });
      }
    } catch (error) {
      next.isDraining = true;
      next.kill();
      throw error;
    }
    const old = place.engine;
    place.engine = next;
    place.youngDeaths = 0;
    if (this.#stopping.signal.aborted) return;
    this.#watch(place);
    this.#drain(place, old);
  }

  #drain(place: Place, engine: EngineProcess): void {
    engine.drain(null);
    place.draining.push(engine);
    engine.exited.finally(() => place.draining.splice(place.draining.indexOf(engine), 1));
    if (place.draining.length <= MOST_DRAINING) return;
    const oldest = place.draining[0];
    this.#log.warn("Too many engines drain; the oldest is hurried", { pid: oldest?.pid });
    oldest?.drain(0);
  }

  #watch(place: Place): void {
    const watch = this.#refillAtDeath(place, place.engine).finally(() => this.#watches.delete(watch));
    this.#watches.add(watch);
  }

  /** Starts another engine when this one has ended and its place was not filled meanwhile. */
  async #refillAtDeath(place: Place, engine: EngineProcess): Promise<void> {
    await engine.exited;
    if (this.#stopping.signal.aborted || place.engine !== engine) return;
    place.youngDeaths = engine.age < SOUND_AGE ? place.youngDeaths + 1 : 0;
    place.lastEnding = engine.ending ?? "";
    if (place.youngDeaths > 1) {
      const pause = reconnectDelay(place.youngDeaths, LONGEST_PAUSE);
      const seconds = Math.round(pause / 100) / 10;
      const { youngDeaths: deaths, lastEnding: last } = place;
      this.#log.warn("Engines die young; the next one waits", { deaths, last, seconds });
      this.#options.troubled?.();
      await this.#clock.sleep(pause, this.#stopping.signal);
      if (this.#stopping.signal.aborted || place.engine !== engine) return;
    }
    place.engine = this.#options.spawn(false);
    this.#watch(place);
  }
}
