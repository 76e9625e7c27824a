/**
 * Data of several sizes: published by 100 callers, then run by one engine whose handler reads it.
 *
 * @module
 */

import { rateOf, type Workload } from "../workload.ts";

function data(bytes: number, title: string, fraction: number): Workload {
  return {
    name: `data-${bytes}`,
    title: `data of ${title}`,
    rounds: 3,
    metrics: [
      { name: "publish", title: "published a second by 100 callers", unit: "/s", better: "more" },
      { name: "run", title: "run a second by one engine", unit: "/s", better: "more" },
    ],
    async run(trial, { dataTasks, runMs }) {
      const count = Math.ceil(dataTasks * fraction);
      const order = { handler: "read", bytes, count } as const;
      const published = await trial.publish({ ...order, how: "count", callers: 100 });
      await trial.servers.look(trial.database).unsafe("analyze");
      await trial.startWorkers({ processes: 1, workers: 50, handler: "read" });
      const warm = Math.ceil(count / 10);
      const ran = await trial.measure({ warm, count: count - warm, ms: runMs, all: true });
      return { publish: rateOf(published), run: rateOf(ran) };
    },
  };
}

/** The workloads. */
export const sizes: readonly Workload[] = [
  data(100, "100 B", 1),
  data(10_000, "10 KB", 0.3),
  data(100_000, "100 KB", 0.05),
];
