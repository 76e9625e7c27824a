/**
 * Latency: from the call of publish to the start of the handler, in a process of another's.
 *
 * @module
 */

import { percentile } from "../statistics.ts";
import type { Trial } from "../trial.ts";
import { BYTES, LeftOut, type MetricInfo, rateOf, type Workload } from "../workload.ts";

const PERCENTILES: readonly MetricInfo[] = [50, 95, 99].map((p) => ({
  name: `p${p}`,
  title: `p${p}`,
  unit: " ms",
  better: "less",
}));
const WORKERS = 50;
/** Tasks that are published before the time begins, at 100 a second. */
const WARM = 300;
const CALLERS = 100;
/** The share of the tasks that may wait when the last is published: with more it is the backlog that is timed. */
const WAITING = 0.1;

function fixed(perSecond: number): Workload {
  return {
    name: `latency-${perSecond}`,
    title: `latency at ${perSecond} tasks a second`,
    ...(perSecond < 100 ? { rounds: 3 } : {}),
    metrics: PERCENTILES,
    async run(trial, { latencyMs }) {
      await trial.startWorkers({ processes: 1, workers: WORKERS, handler: "stamp" });
      return await latency(trial, perSecond, Math.ceil(latencyMs * perSecond / 1000), WARM);
    },
  };
}

const half: Workload = {
  name: "latency-half",
  title: "latency at half of the peak",
  metrics: [
    ...PERCENTILES,
    {
      name: "peak",
      title: "the peak: published by 100 callers while one engine runs them",
      unit: "/s",
      better: "more",
    },
    { name: "offered", title: "tasks published a second, of half of the peak", unit: " %", better: "more" },
  ],
  async run(trial, { latencyMs }) {
    await trial.startWorkers({ processes: 1, workers: WORKERS, handler: "stamp" });
    // As much as is published and run at the same time, for so long that it is a rate.
    const flow = { how: "callers", callers: CALLERS, handler: "stamp", bytes: BYTES } as const;
    await trial.publish({ ...flow, ms: latencyMs / 5, warmMs: 0 });
    const before = trial.count;
    const started = performance.now();
    await trial.publish({ ...flow, ms: latencyMs / 2, warmMs: 0 });
    await trial.recorded();
    const peak = rateOf({ count: trial.count - before, ms: performance.now() - started });
    const perSecond = Math.max(1, Math.round(peak / 2));
    const measured = await latency(trial, perSecond, Math.ceil(latencyMs * perSecond / 1000), perSecond);
    return { ...measured, peak };
  },
};

/** Publishes at a fixed rate, and takes the latencies of all but the first `warm` tasks. */
async function latency(
  trial: Trial,
  perSecond: number,
  count: number,
  warm: number,
): Promise<Record<string, number>> {
  const order = { how: "rate", handler: "stamp", bytes: BYTES } as const;
  await trial.publish({ ...order, perSecond: Math.max(perSecond, 100), count: warm });
  await trial.recorded();
  const before = trial.latencies().length;
  const published = await trial.publish({ ...order, perSecond, count });
  const waiting = before + count - trial.latencies().length;
  if (waiting > count * WAITING) {
    throw new LeftOut(`${perSecond} tasks a second are more than it runs`);
  }
  await trial.ran(before + count);
  const measured = trial.latencies().slice(before).sort((a, b) => a - b);
  return {
    ...Object.fromEntries([50, 95, 99].map((p) => [`p${p}`, percentile(measured, p)])),
    offered: 100 * rateOf(published) / perSecond,
  };
}

/** The workloads. */
export const latencies: readonly Workload[] = [fixed(10), fixed(100), half];
