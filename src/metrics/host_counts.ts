/**
 * What the engines of a host have counted, all that ever were: replacing one takes nothing away.
 *
 * @module
 */

import {
  BATCHES,
  type BatchKind,
  type CountsReport,
  MOST_HANDLERS,
  OTHER,
  OUTCOMES,
  type RunCounts,
} from "./engine_counts.ts";
import { Histogram, SECONDS, SIZES } from "./histogram.ts";

/** Runs of one handler from one channel. */
export interface HandlerCounts {
  readonly channel: string;
  readonly handler: string;
  /** In the order of `OUTCOMES`. */
  readonly outcomes: number[];
  readonly seconds: Histogram;
}

/** Counters of a host. They start at 0 with the supervisor, and never fall. */
export class HostCounts {
  /** By channel and handler. */
  readonly #handlers = new Map<string, HandlerCounts>();
  readonly #waits = new Map<string, Histogram>();
  /** What each engine told last. */
  readonly #last = new WeakMap<object, CountsReport>();
  /** Batches by what they held. */
  readonly batches: ReadonlyMap<BatchKind, { readonly sizes: Histogram; readonly seconds: Histogram }> =
    new Map(
      BATCHES.map((kind) => [kind, { sizes: new Histogram(SIZES), seconds: new Histogram(SECONDS) }]),
    );
  #released = 0;
  #dropped = 0;

  /** Runs by handler, the first 200; those of others are one. */
  get handlers(): Iterable<HandlerCounts> {
    return this.#handlers.values();
  }

  /** Waits by channel, in seconds. */
  get waits(): Iterable<readonly [string, Histogram]> {
    return this.#waits;
  }

  /** Tasks that engines gave back. */
  get released(): number {
    return this.#released;
  }

  /** Ends that were not recorded, since others had the task by then. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Runs that ended so, of all handlers. */
  runs(outcome: typeof OUTCOMES[number]): number {
    const place = OUTCOMES.indexOf(outcome);
    return this.#handlers.values().reduce((sum, { outcomes }) => sum + (outcomes[place] ?? 0), 0);
  }

  /** Takes what an engine has counted since it started: what is new of it is added. */
  heard(engine: object, report: CountsReport): void {
    const last = this.#last.get(engine);
    this.#last.set(engine, report);
    const lastRuns = new Map(last?.runs.map((runs) => [keyOf(runs), runs]));
    for (const runs of report.runs) this.#addRuns(runs, lastRuns.get(keyOf(runs)));
    const lastWaits = new Map(last?.waits);
    for (const [channel, waits] of report.waits) {
      let sum = this.#waits.get(channel);
      if (sum === undefined) this.#waits.set(channel, sum = new Histogram(SECONDS));
      sum.add(waits, lastWaits.get(channel));
    }
    for (const [i, kind] of BATCHES.entries()) {
      const [batch, earlier, sum] = [report.batches[i], last?.batches[i], this.batches.get(kind)];
      if (batch === undefined) continue;
      sum?.sizes.add(batch.sizes, earlier?.sizes);
      sum?.seconds.add(batch.seconds, earlier?.seconds);
    }
    this.#released += report.released - (last?.released ?? 0);
    this.#dropped += report.dropped - (last?.dropped ?? 0);
  }

  #addRuns(runs: RunCounts, last: RunCounts | undefined): void {
    const { outcomes, seconds } = this.#handler(runs);
    for (const [i, count] of runs.outcomes.entries()) {
      outcomes[i] = (outcomes[i] ?? 0) + count - (last?.outcomes[i] ?? 0);
    }
    seconds.add(runs.seconds, last?.seconds);
  }

  /** Where runs of a handler are counted. Code comes and goes while this lives, so it has a limit of its own. */
  #handler({ channel, handler }: RunCounts): HandlerCounts {
    const known = this.#handlers.get(keyOf({ channel, handler }));
    if (known !== undefined) return known;
    if (this.#handlers.size >= MOST_HANDLERS && handler !== OTHER) {
      return this.#handler({ channel, handler: OTHER, outcomes: [], seconds: [] });
    }
    const made = { channel, handler, outcomes: OUTCOMES.map(() => 0), seconds: new Histogram(SECONDS) };
    this.#handlers.set(keyOf(made), made);
    return made;
  }
}

/** Neither name has a space. */
function keyOf({ channel, handler }: Pick<RunCounts, "channel" | "handler">): string {
  return `${channel} ${handler}`;
}
