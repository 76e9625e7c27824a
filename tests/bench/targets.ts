/**
 * What tq has to reach: ratios of medians in one run, and a few bounds.
 *
 * @module
 */

import { medianOf, type Results, shown } from "./results.ts";

/** A target, and what became of it. */
export interface Judged {
  readonly what: string;
  /** The bound, in words. */
  readonly bound: string;
  /** What was measured, in words. */
  readonly measured: string;
  /** The same of the limit: what tq could reach if it took no time of its own. */
  readonly limit: string;
  readonly verdict: "met" | "missed" | "not measured";
}

/** A target for tq, with the value that `who` has. */
type Target = (
  results: Results,
  who: "tq" | "limit",
) => { what: string; value: number; bound: number; at: "least" | "most"; unit: string };

const IDLE_CORE = 0.5;
const MEMORY = 150;

const TARGETS: readonly Target[] = [
  ratio("publish, 100 callers, against BullMQ", "publish-100", 2.5, (get) => get("bullmq")),
  ratio("publish, 100 callers, against the best other durable", "publish-100", 20, bestDurable),
  ratio("publish, batches of 1,000, against BullMQ", "publish-batch", 3, (get) => get("bullmq")),
  ratio("publish, batches of 1,000, against the best other durable", "publish-batch", 1.5, bestDurable),
  ratio("run, one engine, against BullMQ", "run-1", 5, (get) => get("bullmq")),
  ratio("run, one engine, against graphile-worker tuned", "run-1", 1.7, (get) => get("graphile-tuned")),
  (results, who) => ({
    what: "run, two engines against one",
    value: medianOf(results, "run-2", who) / medianOf(results, "run-1", who),
    // Two engines, Postgres, Redis: with fewer cores than these they take each other's.
    bound: results.cores >= 4 ? 1.5 : 1,
    at: "least",
    unit: " ×",
  }),
  share("share of the limit, publish in batches", "publish-batch"),
  share("share of the limit, run", "run-1"),
  bound("tasks of 5 ms, 100 at once: share of the ideal", "sleep", "share", "least", 90, " %"),
  inverse(
    "latency p50 at 100/s, against graphile-worker",
    0.7,
    (results) =>
      Math.min(
        medianOf(results, "latency-100", "graphile", "p50"),
        orInfinity(medianOf(results, "latency-100", "graphile-tuned", "p50")),
      ),
  ),
  inverse(
    "latency p50 at 100/s, against BullMQ",
    1.5,
    (results) => medianOf(results, "latency-100", "bullmq", "p50"),
  ),
  (results, who) => ({
    what: "latency p99 at 100/s, against its p50",
    value: medianOf(results, "latency-100", who, "p99") / medianOf(results, "latency-100", who, "p50"),
    bound: 3,
    at: "most",
    unit: " ×",
  }),
  bound("latency p99 at half of the peak", "latency-half", "p99", "most", 20, " ms"),
  (results, who) => ({
    what: "run at a backlog of 1,000,000, against 10,000",
    value: 100 * medianOf(results, "backlog-1000000", who) / medianOf(results, "backlog-10000", who),
    bound: 90,
    at: "least",
    unit: " %",
  }),
  bound("idle: CPU", "idle", "cpu", "most", IDLE_CORE, " % of a core"),
  bound("idle: Postgres statements a second", "idle", "statements", "most", 2, "/s"),
  bound("idle: Redis commands a second", "idle", "commands", "most", 2, "/s"),
  bound("memory of an engine at work", "run-1", "memory", "most", MEMORY, " MB"),
];

/** Judges the results by every target. */
export function judge(results: Results): Judged[] {
  return TARGETS.map((target) => {
    const { what, value, bound, at, unit } = target(results, "tq");
    const met = at === "least" ? value >= bound : value <= bound;
    return {
      what,
      bound: `at ${at} ${shown(bound)}${unit}`,
      measured: withUnit(value, unit),
      limit: withUnit(target(results, "limit").value, unit),
      verdict: Number.isNaN(value) ? "not measured" : met ? "met" : "missed",
    };
  });
}

function withUnit(value: number, unit: string): string {
  return Number.isNaN(value) ? "–" : `${shown(value)}${unit}`;
}

type Get = (contestant: string) => number;

function ratio(
  what: string,
  workload: string,
  bound: number,
  other: (get: Get, results: Results) => number,
): Target {
  return (results, who) => {
    const get: Get = (contestant) => medianOf(results, workload, contestant);
    return { what, value: get(who) / other(get, results), bound, at: "least", unit: " ×" };
  };
}

function bestDurable(get: Get, results: Results): number {
  const others = results.contestants.filter(({ name, durable }) => durable && !/^(tq|limit)/.test(name));
  const measured = others.map(({ name }) => get(name)).filter((value) => !Number.isNaN(value));
  return measured.length === 0 ? NaN : Math.max(...measured);
}

function share(what: string, workload: string): Target {
  return (results, who) => ({
    what,
    value: 100 * medianOf(results, workload, who) / medianOf(results, workload, "limit"),
    bound: 75,
    at: "least",
    unit: " %",
  });
}

function bound(
  what: string,
  workload: string,
  metric: string,
  at: "least" | "most",
  bound: number,
  unit: string,
): Target {
  return (results, who) => ({ what, value: medianOf(results, workload, who, metric), bound, at, unit });
}

function inverse(what: string, bound: number, other: (results: Results) => number): Target {
  return (results, who) => ({
    what,
    value: medianOf(results, "latency-100", who, "p50") / other(results),
    bound,
    at: "most",
    unit: " ×",
  });
}

function orInfinity(value: number): number {
  return Number.isNaN(value) ? Infinity : value;
}
