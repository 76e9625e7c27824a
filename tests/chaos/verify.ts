/**
 * What must be true when the faults are over.
 *
 * @module
 */

import { join } from "node:path";
import type { Cluster } from "./cluster.ts";
import { admin, type FaultRecord, redis } from "./faults.ts";

/** One run of a handler. Times are milliseconds since the epoch. */
interface Run {
  readonly pid: number;
  readonly start: number;
  end: number | undefined;
  threw: boolean;
}

/** What was found. */
export interface Verdict {
  readonly acknowledged: number;
  readonly runs: number;
  readonly secondRuns: number;
  readonly explained: ReadonlyMap<string, number>;
  readonly problems: readonly string[];
}

/** Every id that a publisher was told. */
export async function toldIds(cluster: Cluster): Promise<Set<number>> {
  const ids = new Set<number>();
  const folder = join(cluster.folder, "told");
  for await (const { name } of Deno.readDir(folder)) {
    // A killed publisher may have left half a line.
    for (const line of (await Deno.readTextFile(join(folder, name))).split("\n").slice(0, -1)) {
      ids.add(Number(line));
    }
  }
  return ids;
}

/** Looks at the record, at what handlers wrote down, and at what is left. */
export async function verify(cluster: Cluster, faults: readonly FaultRecord[]): Promise<Verdict> {
  const problems: string[] = [];
  const told = await toldIds(cluster);
  const rows = await admin<
    { id: string; state: number; attempts: number; reason: string | null; fname: string }
  >(
    cluster,
    "select id, state, attempts, reason, fname from tq.tasks",
  );
  const byId = new Map(rows.map((row) => [Number(row.id), row]));
  const runs = await readRuns(cluster);
  for (const id of told) {
    const row = byId.get(id);
    if (row === undefined) problems.push(`task ${id} was acknowledged and is not in the record`);
    else if (row.state !== 10) problems.push(`task ${id} (${row.fname}) is ${row.state}: ${row.reason}`);
    if (!runs.get(id)?.some((run) => run.end !== undefined && !run.threw)) {
      problems.push(`task ${id} was never seen to run to its end`);
    }
  }
  for (const row of rows) {
    if (row.state !== 10) problems.push(`task ${row.id} ended as ${row.state}: ${row.reason}`);
  }
  const doubled = await admin<{ ids: string; by: string; n: string }>(
    cluster,
    `select string_agg(id::text, ', ' order by id) as ids, data->>'by' as by, data->>'n' as n
     from tq.tasks group by 2, 3 having count(*) > 1`,
  );
  for (const { ids, by, n } of doubled) problems.push(`task ${ids}: ${by} published its number ${n} once`);
  const explained = new Map<string, number>();
  let total = 0;
  let secondRuns = 0;
  for (const [id, list] of runs) {
    total += list.length;
    list.sort((a, b) => a.start - b.start);
    // A run that threw as agreed is followed by its retry.
    for (const run of list.slice(0, -1).filter((one) => !one.threw)) {
      secondRuns++;
      const why = explain(run, faults);
      if (why === undefined) problems.push(`task ${id} ran again without a fault: ${JSON.stringify(list)}`);
      else explained.set(why, (explained.get(why) ?? 0) + 1);
    }
  }
  const [left] = await admin<{ started: number; notes: number }>(
    cluster,
    "select count(*)::int as started from tq.tasks where state in (0, 1, 2)",
  );
  if (left?.started !== 0) problems.push(`${left?.started} tasks are not at their end`);
  for (const [channel, depth] of await depths(cluster)) {
    if (depth > 0) problems.push(`Redis still holds ${depth} ids of ${channel}`);
  }
  return { acknowledged: told.size, runs: total, secondRuns, explained, problems };
}

/**
 * A run that was followed by another is explained by a fault that ended or froze its process during the run or
 * before its end was recorded, which takes moments, or as long as Postgres was away.
 */
function explain(run: Run, faults: readonly FaultRecord[]): string | undefined {
  const end = run.end ?? Infinity;
  return faults.find((fault) => {
    if (!fault.pids.includes(run.pid) || fault.end < run.start) return false;
    if (fault.start <= end + 2000) return true;
    // Its end could not be recorded until then: Postgres was away, or unreachable, from before it to the fault.
    return faults.some((other) =>
      other.name.includes("Postgres") && other.start <= end + 2000 && other.end + 2000 >= fault.start
    );
  })?.name;
}

/** The runs that handlers wrote down, by task. */
async function readRuns(cluster: Cluster): Promise<Map<number, Run[]>> {
  const runs = new Map<number, Run[]>();
  const folder = join(cluster.folder, "runs");
  for await (const { name } of Deno.readDir(folder)) {
    const open = new Map<number, Run>();
    for (const line of (await Deno.readTextFile(join(folder, name))).split("\n").slice(0, -1)) {
      const [what, idText, , timeText] = line.split(" ");
      const [id, time] = [Number(idText), Number(timeText)];
      if (what === "start") {
        const run: Run = { pid: Number(name), start: time, end: undefined, threw: false };
        open.set(id, run);
        runs.set(id, [...runs.get(id) ?? [], run]);
      } else {
        const run = open.get(id);
        if (run !== undefined) [run.end, run.threw] = [time, what === "threw"];
      }
    }
  }
  return runs;
}

async function depths(cluster: Cluster): Promise<[string, number][]> {
  return await redis(cluster, async (client) => {
    const keys = await client.keys("*:queue:*");
    return await Promise.all(
      keys.map(async (key): Promise<[string, number]> => [key, await client.zcard(key)]),
    );
  });
}
