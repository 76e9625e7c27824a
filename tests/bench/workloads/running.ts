/**
 * Running: tasks that do nothing, by one engine and by two, tasks that wait, and tasks among a backlog.
 *
 * @module
 */

import {
  type BenchProcess,
  cpuOfFamilies,
  cpuOfMachine,
  cpuSeconds,
  memoryOfFamilies,
  peakMemory,
  pidsOfFamilies,
} from "../process.ts";
import { SLEEP } from "../role/handlers.ts";
import type { Trial } from "../trial.ts";
import { BYTES, measuredOf, type MetricInfo, RATE, rateOf, type Scale, type Workload } from "../workload.ts";

/** An engine may be several processes: the largest of them, and all of them. */
const MEMORY: readonly MetricInfo[] = [
  { name: "memory", title: "most memory of one engine", unit: " MB", better: "less" },
  { name: "together", title: "memory of all its processes", unit: " MB", better: "less" },
];
/** They tell where the time goes, and hardly depend on what else the machine does. */
const CPU: readonly MetricInfo[] = [
  { name: "cpu", title: "CPU of its own processes a task", unit: " µs", better: "less" },
  {
    name: "postgres",
    title: "CPU of its connections' Postgres processes a task",
    unit: " µs",
    better: "less",
  },
  { name: "machine", title: "CPU of all that runs on the machine a task", unit: " µs", better: "less" },
  { name: "idle", title: "cores idle", unit: " %", better: "less" },
];
/** Tasks at once. */
const WORKERS = 50;

function run(name: string, title: string, processes: number): Workload {
  return {
    name,
    title,
    metrics: processes === 1 ? [RATE, ...CPU, ...MEMORY] : [RATE, ...CPU],
    async run(trial, { run, warm, runMs }) {
      const tasks = Math.min(warm + run, trial.contestant.backlog ?? Infinity);
      await trial.load(tasks, "noop", BYTES);
      const workers = await trial.startWorkers({ processes, workers: WORKERS, handler: "noop" });
      const warmed = await trial.ran(warm, runMs);
      const look = async () => ({
        cpu: await cpuOfFamilies(workers) ?? NaN,
        postgres: await cpuOfPostgres(trial) ?? NaN,
        ...cpuOfMachine(),
        count: trial.count,
      });
      const before = await look();
      const rate = rateOf(
        await trial.measure({ warm: warmed, count: tasks - warmed, ms: runMs, all: true }),
      );
      const after = await look();
      const spent = (name: keyof typeof after) => after[name] - before[name];
      const cpu = (name: "cpu" | "postgres" | "machine") => 1e6 * spent(name) / spent("count");
      const idle = 100 * spent("idle") / (spent("idle") + spent("machine"));
      const memory = processes === 1
        ? { memory: await largest(workers) ?? NaN, together: await memoryOfFamilies(workers) ?? NaN }
        : {};
      return measuredOf({
        rate,
        cpu: cpu("cpu"),
        postgres: cpu("postgres"),
        machine: cpu("machine"),
        idle,
        ...memory,
      });
    },
  };
}

/** CPU seconds of the Postgres processes that work for this trial. */
async function cpuOfPostgres({ servers, database }: Trial): Promise<number | undefined> {
  const rows = await servers.sql`select pid from pg_stat_activity where datname = ${database}`;
  const used = rows.map((row) => cpuSeconds(Number(row.pid)));
  return used.includes(undefined)
    ? undefined
    : used.reduce<number>((sum, seconds) => sum + (seconds ?? 0), 0);
}

/** The peak of the largest process: with a supervisor it is the engine. */
async function largest(workers: readonly BenchProcess[]): Promise<number | undefined> {
  const peaks = (await pidsOfFamilies(workers)).map(peakMemory).filter((peak) => peak !== undefined);
  return peaks.length === 0 ? undefined : Math.max(...peaks);
}

const SLEEPERS = 100;

const sleep: Workload = {
  name: "sleep",
  title: `tasks of ${SLEEP} ms, ${SLEEPERS} at once`,
  metrics: [
    { name: "share", title: `share of the ideal (${SLEEPERS * 1000 / SLEEP}/s)`, unit: " %", better: "more" },
  ],
  async run(trial, { sleeps, warm, runMs }) {
    await trial.load(warm + sleeps, "sleep", BYTES);
    await trial.startWorkers({ processes: 1, workers: SLEEPERS, handler: "sleep" });
    const rate = rateOf(await trial.measure({ warm, count: sleeps, ms: runMs, all: true }));
    return { share: 100 * rate / (SLEEPERS * 1000 / SLEEP) };
  },
};

function backlog(size: number, more: Partial<Workload> = {}): Workload {
  return {
    name: `backlog-${size}`,
    title: `run no-op tasks, backlog of ${size.toLocaleString("en")}`,
    metrics: [RATE],
    async run(trial, { warm, backlogRun, runMs }: Scale) {
      // The backlog is what is left when the time begins.
      await trial.load(warm + size, "noop", BYTES);
      await trial.startWorkers({ processes: 1, workers: WORKERS, handler: "noop" });
      const count = Math.min(size, backlogRun);
      return { rate: rateOf(await trial.measure({ warm, count, ms: runMs, all: false })) };
    },
    ...more,
  };
}

/** The workloads. */
export const running: readonly Workload[] = [
  run("run-1", "run no-op tasks, one engine, 50 at once", 1),
  run("run-2", "run no-op tasks, two engines, 50 at once each", 2),
  sleep,
  backlog(10_000),
  backlog(100_000, { isIn: (scale) => scale.name === "full", rounds: 3 }),
  backlog(1_000_000, {
    isIn: (scale) => scale.million,
    rounds: 1,
    suits: (contestant) => contestant.name === "tq" || contestant.name === "limit",
  }),
];
