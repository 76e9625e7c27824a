/**
 * The last hour, minute by minute, as far as the record tells. It is kept while somebody looks: the minutes just gone
 * are read first, older ones at the next looks, and what has settled is not read again.
 *
 *     window start        low            high           now
 *         │  still to read  │  settled     │  live        │
 *
 * Nothing is added to the settled part after it was read: a statement that ends tasks writes its own beginning into
 * `modified`, and the engine gives it up after 10 s.
 *
 * @module
 */

import type { Clock } from "../../clock.ts";
import type { EndedStretch, Standing } from "../../store/mod.ts";
import {
  addHandler,
  addHistogram,
  emptyHandler,
  type Failure,
  handlerKey,
  type HandlerTally,
  type Histogram,
  quantile,
  Tally,
} from "./tally.ts";

/** The parts of the store that it reads. */
export interface HistoryStore {
  endedStretch(from: string, to: string | null, limit: number): Promise<EndedStretch>;
}

/** One hour by minutes; each list has `MINUTES` entries, the oldest first, and the last is the current minute. */
export interface Minutes {
  /** When the first one began, in seconds since the epoch. */
  readonly first: number;
  /** The first one that was read whole: those before it are still to come. */
  readonly known: number;
  readonly completed: readonly number[];
  readonly failed: readonly number[];
  readonly canceled: readonly number[];
  /** Ready tasks at the end of each minute, now for the last. */
  readonly waiting: readonly number[];
  /** Seconds from ready to the start of the run that ended in this minute; null where none did. */
  readonly waitP50: readonly (number | null)[];
  readonly waitP95: readonly (number | null)[];
  /** Seconds that runs took. */
  readonly runP50: readonly (number | null)[];
  readonly runP95: readonly (number | null)[];
}

/** The middle and the slow end of some times, in seconds; null when there are none. */
export interface Times {
  readonly p50: number | null;
  readonly p95: number | null;
}

/** How long a window is. */
export const MINUTES = 60;
/** Minutes that "lately" means. */
const LATELY = 5;
/** Seconds after which no more ends come in. */
const SETTLED_AFTER = 10;
/** The live part is settled when it is this long, in seconds. */
const LONGEST_LIVE = 2 * SETTLED_AFTER;
/** After a pause this long, in seconds, all is read anew: the newest first. */
const LONGEST_GAP = 120;
/** Tasks that one statement reads: at the first look, of older minutes, of the newest. */
const FIRST_LIMIT = 10_000;
const OLDER_LIMIT = 40_000;
const LIVE_LIMIT = 200_000;
/** Milliseconds that one look spends on older minutes. */
const OLDER_TIME = 200;

/** See the module. */
export class History {
  readonly #store: HistoryStore;
  readonly #clock: Clock;
  #settled = new Tally();
  #live = new Tally();
  /** Seconds since the epoch. */
  #high = -Infinity;
  /** As Postgres reads it; undefined once the whole window is settled. */
  #low: string | undefined;
  /** The minute that the window begins with. */
  #first = 0;
  #refreshing: Promise<void> | undefined;

  constructor(store: HistoryStore, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /**
   * Reads what is new, and some of what is older; while it reads, all who ask wait for the same.
   *
   * @param now the database's time, in seconds since the epoch
   */
  refresh(now: number): Promise<void> {
    this.#refreshing ??= this.#refresh(now).finally(() => this.#refreshing = undefined);
    return this.#refreshing;
  }

  async #refresh(now: number): Promise<void> {
    this.#first = Math.floor(now / 60) - MINUTES + 1;
    const isFirst = now - this.#high > LONGEST_GAP || now < this.#high;
    if (isFirst) this.#restart(now);
    else if (now - this.#high > LONGEST_LIVE) await this.#settle(Math.floor(now) - SETTLED_AFTER);
    const live = new Tally();
    live.add(await this.#store.endedStretch(text(this.#high), null, LIVE_LIMIT), this.#first);
    this.#live = live;
    await this.#readOlder(isFirst);
    this.#settled.drop(this.#first);
  }

  /** Whether some of the hour is still to be read. */
  get isBehind(): boolean {
    return this.#low !== undefined;
  }

  /** The minutes, with what waits now. */
  minutes(standing: Pick<Standing, "channels" | "readyMinutes">): Minutes {
    const numbers = Array.from({ length: MINUTES }, (_, i) => this.#first + i);
    const sum = (minute: number, name: "completed" | "failed" | "canceled" | "waiting") =>
      (this.#settled.at(minute)?.[name] ?? 0) + (this.#live.at(minute)?.[name] ?? 0);
    const times = numbers.map((minute) => ({
      wait: this.#histogram("waits", minute, minute),
      run: this.#histogram("runs", minute, minute),
    }));
    const waiting = numbers.map((minute) =>
      standing.readyMinutes.reduce(
        (total, [ready, count]) => ready <= minute ? total + count : total,
        sum(minute, "waiting"),
      )
    );
    waiting[MINUTES - 1] = standing.channels.reduce((total, { ready }) => total + ready, 0);
    return {
      first: this.#first * 60,
      known: this.#low === undefined
        ? 0
        : Math.min(MINUTES, Math.max(0, Math.floor(Date.parse(this.#low) / 60_000) - this.#first + 1)),
      completed: numbers.map((minute) => sum(minute, "completed")),
      failed: numbers.map((minute) => sum(minute, "failed")),
      canceled: numbers.map((minute) => sum(minute, "canceled")),
      waiting,
      waitP50: times.map(({ wait }) => quantile(wait, 0.5)),
      waitP95: times.map(({ wait }) => quantile(wait, 0.95)),
      runP50: times.map(({ run }) => quantile(run, 0.5)),
      runP95: times.map(({ run }) => quantile(run, 0.95)),
    };
  }

  /** Waits and runs of the last five minutes, or of the hour when nothing ended in these. */
  times(): { wait: Times; run: Times } {
    const last = this.#first + MINUTES - 1;
    const of = (name: "waits" | "runs"): Times => {
      const lately = this.#histogram(name, last - LATELY + 1, last);
      const histogram = lately.size > 0 ? lately : this.#histogram(name, this.#first, last);
      return { p50: quantile(histogram, 0.5), p95: quantile(histogram, 0.95) };
    };
    return { wait: of("waits"), run: of("runs") };
  }

  /** How each handler did in the last `minutes`, by its name, those that failed most first. */
  handlers(minutes = MINUTES): Map<string, HandlerTally & { failure: Failure | undefined }> {
    const sums = new Map<string, HandlerTally>();
    for (let minute = this.#first + MINUTES - minutes; minute < this.#first + MINUTES; minute++) {
      for (const tally of [this.#settled, this.#live]) {
        for (const [key, one] of tally.at(minute)?.handlers ?? []) {
          let sum = sums.get(key);
          if (sum === undefined) sums.set(key, sum = emptyHandler(one.model, one.fname));
          addHandler(sum, one);
        }
      }
    }
    const sorted = [...sums.values()].sort((a, b) => b.failed - a.failed || b.completed - a.completed);
    return new Map(sorted.map((sum) => {
      const key = handlerKey(sum.model, sum.fname);
      return [key, { ...sum, failure: this.#live.failures.get(key) ?? this.#settled.failures.get(key) }];
    }));
  }

  #histogram(name: "waits" | "runs", from: number, to: number): Histogram {
    const histogram: Histogram = new Map();
    for (let minute = from; minute <= to; minute++) {
      addHistogram(histogram, this.#settled.at(minute)?.[name]);
      addHistogram(histogram, this.#live.at(minute)?.[name]);
    }
    return histogram;
  }

  #restart(now: number): void {
    this.#settled = new Tally();
    this.#high = Math.floor(now) - SETTLED_AFTER;
    this.#low = text(this.#high);
  }

  async #settle(high: number): Promise<void> {
    const stretch = await this.#store.endedStretch(text(this.#high), text(high), LIVE_LIMIT);
    // So many that some were left out: they are read as older ones.
    if (stretch.rows >= LIVE_LIMIT) return this.#restart(high + SETTLED_AFTER);
    this.#settled.add(stretch, this.#first);
    this.#high = high;
  }

  async #readOlder(isFirst: boolean): Promise<void> {
    const until = this.#clock.monotonic() + OLDER_TIME;
    const from = text(this.#first * 60);
    const limit = isFirst ? FIRST_LIMIT : OLDER_LIMIT;
    do {
      if (this.#low === undefined) return;
      const stretch = await this.#store.endedStretch(from, this.#low, limit);
      this.#settled.add(stretch, this.#first);
      this.#low = stretch.rows >= limit && stretch.lowest !== null ? stretch.lowest : undefined;
      // Whoever opens the page waits for the first look.
    } while (!isFirst && this.#clock.monotonic() < until);
  }
}

/** A time as Postgres reads it, from seconds since the epoch. */
function text(seconds: number): string {
  return new Date(seconds * 1000).toISOString();
}
