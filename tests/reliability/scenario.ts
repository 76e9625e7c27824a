/**
 * What a scenario is, and what it measures with.
 *
 * @module
 */

import type { TaskQueue } from "../../src/publish/queue.ts";
import type { PublishOptions } from "../../src/publish/options.ts";
import type { JsonObject } from "../../src/task.ts";
import { residentMegabytes, type Run } from "../support/host.ts";

/** `quick` is for the ordinary suite; `full` has the numbers of the issue. */
export type Size = "quick" | "full";

/** One thing that was asked for, and what was seen. */
export interface Check {
  readonly what: string;
  readonly asked: string;
  readonly seen: string;
  readonly ok: boolean;
}

/** A fault, and what must hold through it. */
export interface Scenario {
  readonly name: string;
  /** What it shows, as a test's name. */
  readonly what: string;
  /** Whether it is mostly a wait and measures no latencies, so that others may run beside it. */
  readonly patient: boolean;
  run(size: Size): Promise<Sheet>;
}

/** Collects what was seen. */
export class Sheet {
  readonly checks: Check[] = [];

  /** Must be at most `bound`. */
  atMost(what: string, seen: number, bound: number, unit: string): void {
    this.#add(what, `≤ ${bound} ${unit}`, `${round(seen)} ${unit}`, seen <= bound);
  }

  /** Must be at least `bound`. */
  atLeast(what: string, seen: number, bound: number, unit: string): void {
    this.#add(what, `≥ ${round(bound)} ${unit}`, `${round(seen)} ${unit}`, seen >= bound);
  }

  /** Must be just so. */
  equal(what: string, seen: unknown, asked: unknown): void {
    this.#add(
      what,
      JSON.stringify(asked),
      JSON.stringify(seen),
      JSON.stringify(seen) === JSON.stringify(asked),
    );
  }

  /** Asked by nobody; good to know. */
  note(what: string, seen: string): void {
    this.#add(what, "", seen, true);
  }

  #add(what: string, asked: string, seen: string, ok: boolean): void {
    this.checks.push({ what, asked, seen, ok });
  }

  /** Those that failed. */
  get failed(): Check[] {
    return this.checks.filter((check) => !check.ok);
  }

  toString(): string {
    return this.checks.map(({ what, asked, seen, ok }) =>
      `  ${ok ? asked === "" ? "    " : "ok  " : "FAIL"} ${what}: ${seen}${
        asked === "" ? "" : ` (asked: ${asked})`
      }`
    ).join("\n");
  }
}

/** The value below which so many percent of `values` are; NaN when there is none. */
export function percentile(values: readonly number[], percent: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * percent / 100) - 1)] ?? NaN;
}

/** A publish of a steady load. Times are milliseconds since the epoch. */
export interface Published {
  readonly at: number;
  /** The id, once it was told. */
  id: number | undefined;
  error: unknown;
}

/** Publishes so many tasks a second until it is stopped. */
export class SteadyLoad {
  readonly published: Published[] = [];
  readonly #queue: TaskQueue;
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #underWay = new Set<Promise<void>>();

  constructor(queue: TaskQueue, rate: number, data: JsonObject, options: PublishOptions = {}) {
    this.#queue = queue;
    const started = performance.now();
    // A publish at a time, evenly: what a batch costs is not what is measured.
    this.#timer = setInterval(() => {
      const due = (performance.now() - started) * rate / 1000;
      while (this.published.length < due) this.#publish(data, options);
    }, 1000 / rate);
  }

  #publish(data: JsonObject, options: PublishOptions): void {
    const one: Published = { at: Date.now(), id: undefined, error: undefined };
    this.published.push(one);
    const publish = this.#queue.publish("rel.Work", "work", data, options)
      .then((id) => void (one.id = id), (error) => void (one.error = error))
      .finally(() => this.#underWay.delete(publish));
    this.#underWay.add(publish);
  }

  /** Ids that were told. */
  get ids(): number[] {
    return this.published.flatMap((one) => one.id ?? []);
  }

  /** Publishes no more, and waits for the answers. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.#underWay);
  }

  /** Milliseconds from publish to start, of those published from `from` to `to`; Infinity for one that did not start. */
  latencies(runs: ReadonlyMap<number, Run[]>, from: number, to: number): number[] {
    return this.published.filter(({ at, id }) => at >= from && at < to && id !== undefined)
      .map(({ at, id }) => (runs.get(id!)?.[0]?.start ?? Infinity) - at);
  }
}

/** Looks at the memory of processes twice a second; tells the most of each. */
export class MemoryWatch implements Disposable {
  readonly #peaks = new Map<number, number>();
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(pids: readonly number[]) {
    const look = () => {
      for (const pid of pids) {
        this.#peaks.set(pid, Math.max(this.#peaks.get(pid) ?? 0, residentMegabytes(pid)));
      }
    };
    look();
    this.#timer = setInterval(look, 500);
  }

  /** Megabytes of one process at most. */
  peak(pid: number): number {
    return this.#peaks.get(pid) ?? NaN;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}

/** Waits for time to pass: what a scenario is about. */
export function pass(seconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1000));
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
