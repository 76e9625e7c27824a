/**
 * `deno task chaos [--seed N] [--minutes M] [--rate R]`: two hosts, steady publishing, and faults drawn at random.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { Cluster } from "./cluster.ts";
import { admin, type FaultRecord, strike } from "./faults.ts";
import { SeededRandom } from "./random.ts";
import { type Verdict, verify } from "./verify.ts";

/** After the faults every task must be at its end by then, milliseconds. */
const SETTLE = 60_000;

/** What a run came to. */
interface Result {
  readonly ok: boolean;
  readonly faults: number;
  readonly verdict: Verdict;
}

/** Runs the chaos test; returns whether all was well. */
export async function chaos(seed: number, minutes: number, rate: number): Promise<Result> {
  const folder = await Deno.makeTempDir({ prefix: "tq_chaos_" });
  console.log(`chaos: seed ${seed}, ${minutes} min, ${2 * rate} tasks/s, in ${folder}`);
  const result = await run(folder, new SeededRandom(seed), minutes, rate);
  // Not before its hosts have ended: they write there.
  if (result.ok) await Deno.remove(folder, { recursive: true });
  else console.log(`FAILED: seed ${seed}; logs, runs, faults.json and tasks.json are in ${folder}`);
  return result;
}

async function run(folder: string, random: SeededRandom, minutes: number, rate: number): Promise<Result> {
  const faults: FaultRecord[] = [];
  await using cluster = await Cluster.start(folder, rate);
  const until = Date.now() + minutes * 60_000;
  while (Date.now() < until) {
    await new Promise((resolve) => setTimeout(resolve, random.between(200, 2500)));
    faults.push(await strike(cluster, random));
  }
  await cluster.stopPublishers();
  const settled = await settle(cluster);
  const verdict = await verify(cluster, faults);
  const problems = [...settled, ...await deaf(cluster), ...verdict.problems];
  report(faults, { ...verdict, problems });
  if (problems.length > 0) {
    const history = await admin(
      cluster,
      `select * from tq.tasks where id in (${mentioned(problems)}) order by id`,
    );
    await Deno.writeTextFile(`${folder}/faults.json`, JSON.stringify(faults, null, 1));
    await Deno.writeTextFile(`${folder}/tasks.json`, JSON.stringify(history, null, 1));
  }
  return { ok: problems.length === 0, faults: faults.length, verdict };
}

/** Waits until no task is on its way. */
async function settle(cluster: Cluster): Promise<string[]> {
  const until = Date.now() + SETTLE;
  for (;;) {
    const [row] = await admin<{ open: number }>(
      cluster,
      "select count(*)::int as open from tq.tasks where state in (0, 1, 2)",
    );
    if (row?.open === 0) return [];
    if (Date.now() > until) {
      const rows = await admin(
        cluster,
        "select id, state, fname, claims, attempts, deaths, engine_id, reason, modified, now() from tq.tasks where state in (0, 1, 2) limit 5",
      );
      return [
        `${row?.open} tasks did not come to their end within ${SETTLE / 1000} s: ${JSON.stringify(rows)}`,
      ];
    }
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}

/** Every engine must still take tasks: those published now are run at once. */
async function deaf(cluster: Cluster): Promise<string[]> {
  const { TaskQueue } = await import("../../mod.ts");
  await using queue = new TaskQueue({
    TQ_DATABASE_URL: cluster.postgres.url(),
    TQ_REDIS_URL: cluster.redis.url(),
    TQ_ROOT: cluster.folder,
  });
  const ids = await queue.publishMany(
    Array.from({ length: 200 }, (_, n) => ({ model: "chaos.Work", fname: "work", data: { n, ms: 20 } })),
  );
  await Promise.all(ids.map((id) => queue.wait(id, { timeout: 10 }).catch(() => undefined)));
  const tasks = await Promise.all(ids.map((id) => queue.get(id)));
  const late = tasks.filter((task) => task?.state !== 10).length;
  return late === 0 ? [] : [`${late} of 200 tasks published after the faults did not run within 10 s`];
}

/** The ids in the first problems, for SQL. */
function mentioned(problems: readonly string[]): string {
  const ids = problems.slice(0, 50).flatMap((problem) => /^task (\d+)/.exec(problem)?.[1] ?? []);
  return ids.length === 0 ? "0" : ids.join(", ");
}

function report(faults: readonly FaultRecord[], verdict: Verdict): void {
  for (const [name, list] of Map.groupBy(faults, (fault) => fault.name)) {
    console.log(`  ${String(list.length).padStart(4)} × ${name}`);
  }
  console.log(`  ${verdict.acknowledged} tasks acknowledged, ${verdict.runs} runs, ${faults.length} faults`);
  console.log(
    `  ${verdict.secondRuns} second runs, explained: ${
      JSON.stringify(Object.fromEntries(verdict.explained))
    }`,
  );
  for (const problem of verdict.problems.slice(0, 20)) console.log(`  PROBLEM ${problem}`);
  if (verdict.problems.length > 20) console.log(`  … and ${verdict.problems.length - 20} more`);
}

if (import.meta.main) {
  const { values } = parseArgs({
    args: Deno.args,
    options: { seed: { type: "string" }, minutes: { type: "string" }, rate: { type: "string" } },
  });
  const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
  const { ok } = await chaos(seed, Number(values.minutes ?? 1), Number(values.rate ?? 100));
  Deno.exit(ok ? 0 : 1);
}
