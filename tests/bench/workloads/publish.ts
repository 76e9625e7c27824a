/**
 * Publishing: by one caller in sequence, by many at once, in batches.
 *
 * @module
 */

import { BYTES, RATE, rateOf, type Workload } from "../workload.ts";

const WARM = 500;

/** How tasks are published: by callers at once, each in sequence, or in batches. */
type How = { how: "callers"; callers: number } | { how: "batches"; size: number };

function workload(name: string, title: string, how: How): Workload {
  return {
    name,
    title,
    metrics: [RATE],
    async run(trial, { publishMs: ms }) {
      return {
        rate: rateOf(await trial.publish({ ...how, ms, warmMs: WARM, handler: "noop", bytes: BYTES })),
      };
    },
  };
}

/** The workloads. */
export const publishing: readonly Workload[] = [
  workload("publish-one", "publish, one caller in sequence", { how: "callers", callers: 1 }),
  workload("publish-100", "publish, 100 callers at once", { how: "callers", callers: 100 }),
  workload("publish-batch", "publish, batches of 1,000 in sequence", { how: "batches", size: 1000 }),
];
