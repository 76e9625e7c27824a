/**
 * Publishing: by one caller in sequence, by many at once, in batches.
 *
 * @module
 */

import { BYTES, RATE, rateOf, type Workload } from "../workload.ts";

const WARM = 500;

function callers(name: string, title: string, callers: number): Workload {
  return {
    name,
    title,
    metrics: [RATE],
    suits: (contestant) => contestant.name !== "limit",
    async run(trial, { publishMs }) {
      const order = {
        how: "callers",
        callers,
        ms: publishMs,
        warmMs: WARM,
        handler: "noop",
        bytes: BYTES,
      } as const;
      return { rate: rateOf(await trial.publish(order)) };
    },
  };
}

/** The workloads. */
export const publishing: readonly Workload[] = [
  callers("publish-one", "publish, one caller in sequence", 1),
  callers("publish-100", "publish, 100 callers at once", 100),
  {
    name: "publish-batch",
    title: "publish, batches of 1,000 in sequence",
    metrics: [RATE],
    async run(trial, { publishMs }) {
      const order = {
        how: "batches",
        size: 1000,
        ms: publishMs,
        warmMs: WARM,
        handler: "noop",
        bytes: BYTES,
      } as const;
      return { rate: rateOf(await trial.publish(order)) };
    },
  },
];
