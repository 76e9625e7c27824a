/**
 * How many of the tasks that ended lately failed, and whose.
 *
 * @module
 */

import { OUTCOMES } from "../metrics/engine_counts.ts";
import type { HostCounts } from "../metrics/host_counts.ts";

/** The failures of a stretch of time. */
export interface Failures {
  readonly failed: number;
  /** Failed or completed. */
  readonly ended: number;
  /** The handler with the most failures, and its count; undefined when there is none. */
  readonly worst: { readonly handler: string; readonly failed: number } | undefined;
}

interface Sample {
  /** Monotonic milliseconds. */
  readonly at: number;
  readonly ended: number;
  /** By handler. */
  readonly failed: ReadonlyMap<string, number>;
}

const COMPLETED = OUTCOMES.indexOf("completed");
const FAILED = OUTCOMES.indexOf("failed");

/** Compares counters with what they were `window` milliseconds ago. */
export class FailureRate {
  readonly #counts: Pick<HostCounts, "handlers">;
  readonly #window: number;
  readonly #samples: Sample[] = [];

  constructor(counts: Pick<HostCounts, "handlers">, window: number) {
    this.#counts = counts;
    this.#window = window;
  }

  /** The failures of the window that ends now; `now` in monotonic milliseconds. Called at regular intervals. */
  look(now: number): Failures {
    const sample = this.#sample(now);
    this.#samples.push(sample);
    // The newest sample that is as old as the window stays: it is what the window began with.
    while ((this.#samples[1]?.at ?? Infinity) <= now - this.#window) this.#samples.shift();
    const first = this.#samples[0] ?? sample;
    let [failed, worst]: [number, Failures["worst"]] = [0, undefined];
    for (const [handler, count] of sample.failed) {
      const own = count - (first.failed.get(handler) ?? 0);
      failed += own;
      if (own > (worst?.failed ?? 0)) worst = { handler, failed: own };
    }
    return { failed, ended: sample.ended - first.ended, worst };
  }

  #sample(at: number): Sample {
    let ended = 0;
    const failed = new Map<string, number>();
    for (const { handler, outcomes } of this.#counts.handlers) {
      const own = outcomes[FAILED] ?? 0;
      ended += own + (outcomes[COMPLETED] ?? 0);
      if (own > 0) failed.set(handler, (failed.get(handler) ?? 0) + own);
    }
    return { at, ended, failed };
  }
}
