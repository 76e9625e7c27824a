/**
 * What a workload is, and how large it is in a full and in a quick run.
 *
 * @module
 */

import type { Contestant } from "./contestants.ts";
import type { Trial } from "./trial.ts";

/** The sizes of a run. Counts are tasks, times are milliseconds. */
export interface Scale {
  readonly name: "full" | "quick";
  /** Rounds; some workloads need fewer. */
  readonly rounds: number;
  /** For publishing. */
  readonly publishMs: number;
  /** No-op tasks to run, and those before that do not count. */
  readonly run: number;
  readonly warm: number;
  /** A contestant that has not run them by then is measured by what it has run. */
  readonly runMs: number;
  /** Tasks that sleep. */
  readonly sleeps: number;
  /** How long tasks are published at a fixed rate. */
  readonly latencyMs: number;
  /** Tasks measured among a backlog. */
  readonly backlogRun: number;
  /** Whether a backlog of 1,000,000 is measured. */
  readonly million: boolean;
  /** Of 100 B; of larger ones fewer. */
  readonly dataTasks: number;
  readonly idleMs: number;
}

/** In under 40 minutes. */
export const FULL: Scale = {
  name: "full",
  rounds: 5,
  publishMs: 1500,
  run: 50_000,
  warm: 5000,
  runMs: 5000,
  sleeps: 10_000,
  latencyMs: 5000,
  backlogRun: 10_000,
  million: true,
  dataTasks: 10_000,
  idleMs: 60_000,
};

/** In under 6 minutes. */
export const QUICK: Scale = {
  name: "quick",
  rounds: 1,
  publishMs: 700,
  run: 10_000,
  warm: 2000,
  runMs: 1500,
  sleeps: 4000,
  latencyMs: 1500,
  backlogRun: 5000,
  million: false,
  dataTasks: 1500,
  idleMs: 15_000,
};

/** What a trial measured, by name. */
export type Metrics = Readonly<Record<string, number>>;

/** A metric of a workload. */
export interface MetricInfo {
  readonly name: string;
  /** As tables name it. */
  readonly title: string;
  readonly unit: string;
  readonly better: "more" | "less";
}

/** A workload. */
export interface Workload {
  /** As `--only` names it. */
  readonly name: string;
  readonly title: string;
  readonly metrics: readonly MetricInfo[];
  /** Rounds at most. @default as many as the scale has */
  readonly rounds?: number;
  /** Whether it is part of a run of this scale. @default always */
  isIn?(scale: Scale): boolean;
  /** Whether this contestant can be measured with it. @default all can */
  suits?(contestant: Contestant): boolean;
  /** All contestants at once, as far as they do not share a Redis: where what is measured is each one's own. */
  readonly together?: true;
  /** Measures. */
  run(trial: Trial, scale: Scale): Promise<Metrics>;
}

/** Bytes of a task's data where nothing else is said. */
export const BYTES = 100;

/** Thrown by a workload that says nothing about a contestant; why is its message. */
export class LeftOut extends Error {
  override readonly name = "LeftOut";
}

/** The metric that most workloads have. */
export const RATE: MetricInfo = { name: "rate", title: "tasks a second", unit: "/s", better: "more" };

/** The metrics that this machine lets be measured. */
export function measuredOf(metrics: Metrics): Metrics {
  return Object.fromEntries(Object.entries(metrics).filter(([, value]) => !Number.isNaN(value)));
}

/** Tasks a second. */
export function rateOf({ count, ms }: { count: number; ms: number }): number {
  return count * 1000 / ms;
}
