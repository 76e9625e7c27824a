/**
 * What counting a run costs an engine: `deno run -A tests/metrics/cost.ts`. Prints nanoseconds a run, beside what an
 * engine spends on one in all.
 *
 * @module
 */

import { cpuUsage } from "node:process";
import { countEnd } from "../../src/engine/counting.ts";
import { Held } from "../../src/engine/held.ts";
import { COMPLETED } from "../../src/engine/outcome.ts";
import { Task, type TaskHost } from "../../src/handler/context.ts";
import { EngineCounts } from "../../src/metrics/engine_counts.ts";
import type { ClaimedRow } from "../../src/store/mod.ts";

const RUNS = 1_000_000;
const HANDLERS = 50;

/** Rows as a driver makes them: names are strings of their own each time. */
function heldRuns(): Held[] {
  return Array.from({ length: 1000 }, (_, i) => {
    const row: ClaimedRow = JSON.parse(JSON.stringify({
      id: i,
      claims: 1,
      attempts: 0,
      max_attempts: 5,
      timeout_seconds: 1800,
      channel: "tq_model_handler",
      model: `shop.Model${i % HANDLERS}`,
      fname: `on_tq_run_summary_${i % HANDLERS}`,
      data: "{}",
      trace_parent: null,
      waited_ms: i % 500,
    }));
    const held = new Held(row, 2000);
    held.startedAt = 1000;
    // What is looked at is whether there is one.
    held.task = new Task({ ...row, attempts: 1 }, {} as TaskHost);
    return held;
  });
}

const counts = new EngineCounts();
const times: number[] = [];
for (let round = 0; round < 7; round++) {
  const batches = Array.from({ length: 20 }, heldRuns);
  const started = cpuUsage();
  for (let i = 0; i < RUNS / 20_000; i++) {
    for (const batch of batches) for (const held of batch) countEnd(counts, held, COMPLETED, 1000 + (i % 90));
  }
  // The time of the processor: others may be at work on this machine.
  times.push(cpuUsage(started).user * 1000 / RUNS);
}
const median = times.toSorted((a, b) => a - b)[3] ?? 0;
const report = performance.now();
const bytes = JSON.stringify(counts.report).length;
const ms = performance.now() - report;
console.log(`${median.toFixed(0)} ns a run, of ${HANDLERS} handlers`);
console.log(`${ms.toFixed(2)} ms and ${bytes} bytes a report, at most one a second`);
for (const rate of [1000, 5000, 20_000]) {
  console.log(`at ${rate} runs/s: ${((rate * median / 1e9 + ms / 1000) * 100).toFixed(3)} % of a core`);
}
