/**
 * What an engine counts. It is on the way of every task, so it is plain numbers in arrays that are there already:
 * a run costs 0.15 µs here and makes no object, 0.3 % of a core at 20,000 runs a second (2026-11-24,
 * tests/metrics/cost.ts).
 *
 * @module
 */

import { Histogram, type HistogramReport, SECONDS, SIZES } from "./histogram.ts";

/** How a run ended, in the order of `RunCounts.outcomes`. A retry is a run after which the task waits for another. */
export const OUTCOMES = ["completed", "failed", "retry", "canceled"] as const;
/** How a run ended. */
export type RunOutcome = typeof OUTCOMES[number];

/** What travels in batches: claims, ends of runs, tasks that handlers publish, lines for tasks' logs. */
export const BATCHES = ["claim", "end", "publish", "note"] as const;
/** What travels in batches. */
export type BatchKind = typeof BATCHES[number];

/** What an engine has counted since it started; numbers never fall. */
export interface CountsReport {
  readonly runs: readonly RunCounts[];
  /** `[channel, waits]`: seconds from when tasks were ready to when they started. */
  readonly waits: readonly (readonly [string, HistogramReport])[];
  /** Sizes of batches, and seconds until each was answered, in the order of `BATCHES`. */
  readonly batches: readonly { readonly sizes: HistogramReport; readonly seconds: HistogramReport }[];
  /** Tasks that were given back, unrun or unfinished. */
  readonly released: number;
  /** Ends that were not recorded, since others had the task by then. */
  readonly dropped: number;
}

/** Runs of one handler from one channel. */
export interface RunCounts {
  readonly channel: string;
  /** `shop.Invoice.on_tq_total`, or one of the two names below. */
  readonly handler: string;
  /** Runs by how they ended, in the order of `OUTCOMES`. */
  readonly outcomes: readonly number[];
  /** Seconds inside the handler. */
  readonly seconds: HistogramReport;
}

/** Stands for every handler beyond the first so many: a label's values must not grow without bound. */
export const OTHER = "other";
/** Stands for names that no handler has: they come from whoever publishes. */
export const UNKNOWN = "unknown";
/** Pairs of a channel and a handler that are counted one by one. */
export const MOST_HANDLERS = 200;

/** Whose run it was. */
export interface RunNames {
  readonly channel: string;
  readonly model: string;
  readonly fname: string;
}

interface Entry {
  readonly channel: string;
  readonly handler: string;
  readonly outcomes: number[];
  readonly seconds: Histogram;
  readonly waits: Histogram;
}

/** The counters of one engine. */
export class EngineCounts {
  readonly #entries: Entry[] = [];
  /** By channel, model and function: names are looked up as they come, without making one of three. */
  readonly #byName = new Map<string, Map<string, Map<string, Entry>>>();
  readonly #waits = new Map<string, Histogram>();
  readonly #batches = BATCHES.map(() => ({ sizes: new Histogram(SIZES), seconds: new Histogram(SECONDS) }));
  #released = 0;
  #dropped = 0;
  #changes = 0;

  /** Grows with everything that is counted: an engine that was idle has nothing to tell. */
  get changes(): number {
    return this.#changes;
  }

  /**
   * Counts a run.
   *
   * @param isKnown whether there is such a handler
   * @param waited milliseconds from when the task was ready to its start; undefined when that is not known
   * @param ran milliseconds inside the handler
   */
  ended(
    names: RunNames,
    isKnown: boolean,
    outcome: RunOutcome,
    waited: number | undefined,
    ran: number,
  ): void {
    const { channel, model, fname } = names;
    const entry = isKnown
      ? this.#byName.get(channel)?.get(model)?.get(fname) ?? this.#named(channel, model, fname)
      : this.#entry(channel, UNKNOWN);
    const place = OUTCOMES.indexOf(outcome);
    entry.outcomes[place] = (entry.outcomes[place] as number) + 1;
    entry.seconds.observe(ran / 1000);
    if (waited !== undefined) entry.waits.observe(waited / 1000);
    this.#changes++;
  }

  /** Counts a batch of `size`, answered after `ms` milliseconds. */
  batch(kind: BatchKind, size: number, ms: number): void {
    const batch = this.#batches[BATCHES.indexOf(kind)];
    batch?.sizes.observe(size);
    batch?.seconds.observe(ms / 1000);
    this.#changes++;
  }

  /** Counts tasks that were given back. */
  released(count: number): void {
    this.#released += count;
    this.#changes++;
  }

  /** Counts ends that were not recorded. */
  dropped(count: number): void {
    this.#dropped += count;
    this.#changes++;
  }

  /** All of it. */
  get report(): CountsReport {
    return {
      runs: this.#entries.map(({ channel, handler, outcomes, seconds }) => ({
        channel,
        handler,
        outcomes: [...outcomes],
        seconds: seconds.report,
      })),
      waits: [...this.#waits].map(([channel, waits]) => [channel, waits.report]),
      batches: this.#batches.map(({ sizes, seconds }) => ({ sizes: sizes.report, seconds: seconds.report })),
      released: this.#released,
      dropped: this.#dropped,
    };
  }

  #named(channel: string, model: string, fname: string): Entry {
    // Handlers are as many as there are in the code; beyond the limit they are not remembered either.
    if (this.#entries.length >= MOST_HANDLERS) return this.#entry(channel, OTHER);
    const entry = this.#entry(channel, `${model}.${fname}`);
    let models = this.#byName.get(channel);
    if (models === undefined) this.#byName.set(channel, models = new Map());
    let functions = models.get(model);
    if (functions === undefined) models.set(model, functions = new Map());
    functions.set(fname, entry);
    return entry;
  }

  #entry(channel: string, handler: string): Entry {
    const known = this.#entries.find((one) => one.channel === channel && one.handler === handler);
    if (known !== undefined) return known;
    let waits = this.#waits.get(channel);
    if (waits === undefined) this.#waits.set(channel, waits = new Histogram(SECONDS));
    const outcomes = OUTCOMES.map(() => 0);
    const entry = { channel, handler, outcomes, seconds: new Histogram(SECONDS), waits };
    this.#entries.push(entry);
    return entry;
  }
}
