/**
 * What one engine costs that has nothing to do.
 *
 * @module
 */

import { cpuOfFamilies } from "../process.ts";
import type { Servers } from "../servers.ts";
import { BYTES, measuredOf, type Workload } from "../workload.ts";

/**
 * Milliseconds until a started engine has settled: V8 gives back once what the start took, half a minute after it, and
 * Postgres counts what a quiet connection did after 10 s.
 */
const SETTLE = 45_000;

/** The workload: measured once. Statements are transactions of its database, as Postgres counts them. */
export const idle: Workload = {
  name: "idle",
  title: "one engine with nothing to do",
  rounds: 1,
  together: true,
  metrics: [
    { name: "cpu", title: "CPU of all its processes", unit: " % of a core", better: "less" },
    { name: "statements", title: "Postgres statements a second", unit: "/s", better: "less" },
    { name: "commands", title: "Redis commands a second", unit: "/s", better: "less" },
  ],
  async run(trial, { idleMs }) {
    const workers = await trial.startWorkers({ processes: 1, workers: 50, handler: "noop" });
    const order = { how: "count", callers: 1, count: 10, handler: "noop", bytes: BYTES } as const;
    await trial.publish(order);
    await trial.recorded();
    await trial.stopPublisher();
    await pause(SETTLE);
    const look = async () => ({
      time: performance.now() / 1000,
      cpu: await cpuOfFamilies(workers),
      statements: await transactions(trial.servers, trial.database),
      commands: trial.contestant.usesRedis ? await commandsOf(trial.servers) : undefined,
    });
    const before = await look();
    await pause(idleMs);
    const after = await look();
    const perSecond = (name: "cpu" | "statements" | "commands") =>
      ((after[name] ?? NaN) - (before[name] ?? NaN)) / (after.time - before.time);
    const all = {
      cpu: 100 * perSecond("cpu"),
      statements: perSecond("statements"),
      commands: perSecond("commands"),
    };
    return measuredOf(all);
  },
};

/** From beside its database, so that looking does not count. */
async function transactions({ sql }: Servers, database: string): Promise<number> {
  const [row] = await sql`
    select xact_commit + xact_rollback as count from pg_stat_database where datname = ${database}`;
  return Number(row?.count);
}

/** All commands of the server, for whom it may be, without our own asking. */
async function commandsOf({ redis }: Servers): Promise<number> {
  let sum = 0;
  for (
    const [, name, calls] of (await redis.info("commandstats")).matchAll(/^cmdstat_(\S+?):calls=(\d+)/gm)
  ) {
    if (name !== "info") sum += Number(calls);
  }
  return sum;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
