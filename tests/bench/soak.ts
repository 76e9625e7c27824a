/**
 * The soak: millions of tasks through one engine, with pruning on. Does memory stay flat, do table and indexes?
 *
 * @module
 */

import { CONTESTANTS } from "./contestants.ts";
import { join } from "node:path";
import { REPOSITORY } from "../support/tq.ts";
import { readConditions } from "./conditions.ts";
import { furnish } from "./measure.ts";
import { type BenchProcess, memory } from "./process.ts";
import { shown } from "./results.ts";
import type { Servers } from "./servers.ts";
import { median } from "./statistics.ts";
import { Trial } from "./trial.ts";
import { BYTES } from "./workload.ts";

/** Milliseconds between two looks. */
const LOOK = 10_000;
/** Tasks ahead of the engine. */
const AHEAD = 50_000;
/** Ended tasks are deleted after so long. */
const KEEP = "10s";
/** Memory may grow by this share from the second quarter to the last. */
const GROWTH = 0.1;

/** One look. Sizes in MB. */
interface Look {
  readonly seconds: number;
  readonly tasks: number;
  /** Tasks a second since the last look. */
  readonly rate: number;
  readonly memory: number;
  readonly rows: number;
  readonly table: number;
  readonly indexes: number;
}

/**
 * Runs the soak; returns the exit code: 1 when memory grew.
 *
 * @throws when it was stopped; then nothing is kept
 */
export async function soak(tasks: number, servers: Servers, stop: AbortSignal): Promise<number> {
  const tq = CONTESTANTS.filter(({ name }) => name === "tq");
  const { stalls: [stall], runtimes } = await furnish(tq, servers);
  if (stall === undefined) throw new Error("there is no tq");
  const conditions = await readConditions(servers, runtimes);
  await using trial = await Trial.open(stall, servers);
  const settings = { TQ_DELETE_COMPLETED_AFTER: KEEP };
  const [engine] = await trial.startWorkers({ processes: 1, workers: 50, handler: "noop", settings });
  const looks: Look[] = [];
  const started = performance.now();
  let published = 0;
  let nextLook = LOOK;
  console.log("seconds  tasks      tasks/s  memory  rows       table    indexes");
  while (trial.count < tasks) {
    stop.throwIfAborted();
    if (published < tasks && published - trial.count < AHEAD) {
      const count = Math.min(10_000, tasks - published);
      await trial.publish({ how: "load", size: 1000, count, handler: "noop", bytes: BYTES });
      published += count;
    } else await new Promise((resolve) => setTimeout(resolve, 20));
    if (performance.now() - started < nextLook) continue;
    nextLook += LOOK;
    looks.push(await look(trial, engine, (performance.now() - started) / 1000, looks.at(-1)));
  }
  await trial.recorded();
  looks.push(await look(trial, engine, (performance.now() - started) / 1000, looks.at(-1)));
  stop.throwIfAborted();
  const path = join(REPOSITORY, "tests/bench/results/soak.json");
  await Deno.writeTextFile(path, JSON.stringify({ tasks, conditions, looks }, null, 1) + "\n");
  const quarter = (n: number) =>
    looks.slice(Math.floor(looks.length * n / 4), Math.floor(looks.length * (n + 1) / 4));
  const [early, late] = [quarter(1), quarter(3)].map((some) => median(some.map((one) => one.memory))) as [
    number,
    number,
  ];
  const flat = late <= early * (1 + GROWTH);
  console.log(
    `Memory of the engine: ${shown(early)} MB in the second quarter, ${shown(late)} MB in the last: ` +
      `${
        Number.isNaN(late) ? "too short to tell" : flat ? "flat (met)" : "it grows (missed)"
      }. Kept in ${path}`,
  );
  return flat || Number.isNaN(late) ? 0 : 1;
}

async function look(
  trial: Trial,
  engine: BenchProcess | undefined,
  seconds: number,
  last: Look | undefined,
): Promise<Look> {
  const sql = trial.servers.look(trial.database);
  const [row] = await sql`
    select n_live_tup as rows, pg_table_size(relid) as table, pg_indexes_size(relid) as indexes
    from pg_stat_user_tables where schemaname = 'tq' and relname = 'tasks'`;
  const engines = await engine?.family() ?? [];
  const tasks = trial.count;
  const one: Look = {
    seconds,
    tasks,
    rate: (tasks - (last?.tasks ?? 0)) / (seconds - (last?.seconds ?? 0)),
    memory: engines.reduce((sum, { pid }) => sum + (memory(pid) ?? NaN), 0),
    rows: Number(row?.rows),
    table: Number(row?.table) / 1e6,
    indexes: Number(row?.indexes) / 1e6,
  };
  console.log(
    [[one.seconds, 7], [one.tasks, 9], [one.rate, 7], [one.memory, 6], [one.rows, 9], [one.table, 7], [
      one.indexes,
      7,
    ]]
      .map(([value, width]) => shown(value ?? NaN).padEnd(width ?? 0)).join("  "),
  );
  return one;
}
