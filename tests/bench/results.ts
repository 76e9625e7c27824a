/**
 * Results: as they are collected, kept as JSON, and asked.
 *
 * @module
 */

import type { Conditions } from "./conditions.ts";
import { median } from "./statistics.ts";
import type { MetricInfo } from "./workload.ts";

/** A contestant, as results name it. */
export interface ContestantInfo {
  readonly name: string;
  readonly title: string;
  readonly version: string;
  readonly setup: string;
  readonly page?: string;
  readonly durable: boolean;
}

/** A workload, as results name it. */
export interface WorkloadInfo {
  readonly name: string;
  readonly title: string;
  readonly metrics: readonly MetricInfo[];
}

/** The results of a run, as they are kept. */
export interface Results {
  readonly scale: "full" | "quick";
  /** Whether it is the table of tq beside the queues of other languages. */
  readonly others?: true;
  /** Whether it is all workloads with all contestants. */
  readonly complete: boolean;
  readonly minutes: number;
  readonly cores: number;
  readonly conditions: Conditions;
  readonly contestants: readonly ContestantInfo[];
  readonly workloads: readonly WorkloadInfo[];
  /** The rounds' values: by workload, contestant and metric. */
  readonly values: Readonly<Record<string, Record<string, Record<string, number[]>>>>;
  /** Trials that failed. */
  readonly failures: readonly string[];
  /** What was not measured, and why. */
  readonly leftOut?: readonly string[];
}

/** The middle and the ends of the rounds' values. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly rounds: number;
}

/** The spread of a metric, or undefined when it was not measured. */
export function spreadOf(
  results: Results,
  workload: string,
  contestant: string,
  metric: string,
): Spread | undefined {
  const values = results.values[workload]?.[contestant]?.[metric];
  if (values === undefined || values.length === 0) return undefined;
  return {
    median: median(values),
    min: Math.min(...values),
    max: Math.max(...values),
    rounds: values.length,
  };
}

/** The median of a metric, or NaN. */
export function medianOf(results: Results, workload: string, contestant: string, metric = "rate"): number {
  return spreadOf(results, workload, contestant, metric)?.median ?? NaN;
}

/** A number with three digits that count: 1,234 · 12.3 · 0.123. */
export function shown(value: number): string {
  if (Number.isNaN(value)) return "–";
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  const rounded = value >= 1000 ? Number(value.toPrecision(3)) : value;
  return rounded.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}
