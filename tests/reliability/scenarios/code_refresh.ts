/**
 * `git pull` again and again under load: tasks go on starting, none is charged or run twice, each runs on the code
 * that was deployed a moment before, and one that spans all of it is not disturbed.
 *
 * @module
 */

import { join } from "node:path";
import { eventually, type TempFolder } from "../../support/fixtures.ts";
import { commit, git, repository } from "../../support/git.ts";
import { type Run, Site } from "../../support/host.ts";
import { pass, percentile, type Scenario, Sheet, SteadyLoad } from "../scenario.ts";

const SIZES = {
  // Beside other tests, on few cores, engines start slowly: each pull waits for the refresh before it.
  quick: { rate: 50, pulls: 3, every: 2, isPatient: true, workers: 60, gap: 3000 },
  full: { rate: 200, pulls: 10, every: 6, isPatient: false, workers: 200, gap: 500 },
};
/** Milliseconds after a pull, or in quick after its refresh, from which on no task may start on older code. */
const STALE = 5000;
/** Milliseconds of a handler at most. */
const LONGEST = 2000;

/** As `tests/reliability/root/handlers/rel/Work.js`, and its result is the version of a module that it imports. */
const HANDLER = `
  import { version } from "../_version.js";
  const file = Deno.openSync(Deno.env.get("REL_FOLDER") + "/runs/" + Deno.pid, { append: true, create: true });
  const note = (what, task) =>
    file.writeSync(new TextEncoder().encode(what + " " + task.id + " " + Date.now() + "\\n"));
  const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const isOpen = (gate) =>
    Deno.stat(Deno.env.get("REL_FOLDER") + "/gates/" + gate).then(() => true, () => false);
  export default class Work {
    static async work(task) {
      note("start", task);
      if (task.data.gate === undefined) await sleep(Math.random() * task.data.most);
      else while (!await isOpen(task.data.gate)) await sleep(100);
      note("end", task);
      task.completed(version);
    }
  }`;

/** One `git pull`. Times are milliseconds since the epoch. */
interface Deploy {
  readonly commit: string;
  readonly version: number;
  /** When `git pull` had ended. */
  readonly at: number;
  /** From when on no task may start on older code. */
  due: number;
}

/** A row of the record. */
interface Row {
  readonly id: number;
  readonly state: number;
  readonly attempts: number;
  readonly code_version: string | null;
  readonly result: number | null;
}

export const codeRefresh: Scenario = {
  name: "code-refresh",
  what:
    "git pulls under load: no gap, no task charged or run twice, none on old code, a long one undisturbed",
  patient: false,
  async run(size) {
    const { rate, pulls, every, isPatient, workers, gap } = SIZES[size];
    const sheet = new Sheet();
    await using origin = await repository();
    await using site = await Site.start();
    const root = join(site.folder, "checkout");
    const deploys = [await deploy(origin, 0, () => git(site.folder, "clone", "--quiet", origin.path, root))];
    const host = await site.host("a", {
      TQ_ROOT: root,
      TQ_HANDLERS: join(root, "handlers"),
      TQ_PROCESSES: "2",
      TQ_WORKERS: String(workers),
    });
    const { pid } = host;
    const taken = () => host.log().split("New code was taken").length - 1;
    const long = await site.queue.publish("rel.Work", "work", { gate: "long" });
    await eventually(async () => (await site.runs()).has(long), { what: "the long task" });
    const load = new SteadyLoad(site.queue, rate, { most: LONGEST });
    await eventually(async () => (await site.runs()).size > rate, { what: "load", within: 10_000 });
    const began = Date.now();
    for (let version = 1; version <= pulls; version++) {
      deploys.push(await deploy(origin, version, () => git(root, "pull", "--quiet")));
      await pass(Math.max(0, began / 1000 + version * every - Date.now() / 1000));
      if (!isPatient) continue;
      await eventually(() => taken() === version, { what: `refresh ${version}`, within: 30_000 });
      deploys.at(-1)!.due = Date.now() + STALE;
    }
    const ended = Date.now();
    await load.stop();
    await site.open("long");
    const all = [...load.ids, long];
    await eventually(async () => (await site.states())[10] === all.length, {
      what: "the end of all tasks",
      within: 20_000,
    }).catch(() => {});

    const rows: Row[] = await site.sql`
      select id, state, attempts, code_version, (result #>> '{}')::integer as result from tq.tasks`;
    const runs = await site.runs();
    sheet.note("tasks", String(rows.length));
    sheet.equal("tasks that did not complete", rows.filter((row) => row.state !== 10).length, 0);
    sheet.equal("tasks that were charged", rows.filter((row) => row.attempts !== 1).length, 0);
    sheet.equal("tasks that ran twice", [...runs.values()].filter((list) => list.length > 1).length, 0);
    sheet.equal("refreshes", taken(), pulls);
    const status = JSON.parse(await Deno.readTextFile(join(host.varFolder, "status.json")));
    sheet.equal("the supervisor's process, before and after", [status.pid, await isGone(host)], [pid, false]);
    const mismatched = rows.filter(({ code_version, result }) =>
      !deploys.some((one) => one.commit === code_version && one.version === result)
    );
    sheet.equal("rows that name another commit than the one whose code they ran", mismatched.length, 0);
    sheet.equal("tasks on code older than what was deployed 5 s before their start", staleRuns(), 0);
    const row = rows.find((one) => one.id === long);
    const [run] = runs.get(long)!;
    sheet.atLeast("seconds that the long task ran", (run!.end! - run!.start) / 1000, pulls * every, "s");
    sheet.equal("its attempts, code, runs", [row?.attempts, row?.result, runs.get(long)?.length], [
      1,
      0,
      1,
    ]);
    const starts = [...runs.values()].map(([run]) => run!.start).filter((at) => at > began && at < ended);
    sheet.atMost("the longest gap between two starts", longestGap(starts), gap, "ms");
    sheet.note("p99 of gaps", `${percentile(gaps(starts), 99)} ms`);
    const firsts = deploys.slice(1).map(firstStart);
    sheet.note(
      "from git pull to the first task on new code",
      `${percentile(firsts, 50)} ms (median), ${firsts}`,
    );
    return sheet;

    function staleRuns(): number {
      return rows.filter(({ id, result }) => {
        const { start } = runs.get(id)![0]!;
        return deploys.some(({ version, due }) => due <= start && (result ?? 0) < version);
      }).length;
    }

    function firstStart({ at, version }: Deploy): number {
      return Math.min(...rows.filter((one) => one.result === version).map((one) => startOf(runs, one.id))) -
        at;
    }
  },
};

/** Commits a version to `origin`, and has it pulled. */
async function deploy(origin: TempFolder, version: number, pull: () => Promise<unknown>): Promise<Deploy> {
  const made = await commit(origin.path, {
    ".gitignore": "var\n",
    "handlers/rel/Work.js": HANDLER,
    "handlers/_version.js": `export const version = ${version};\n`,
  });
  await pull();
  const at = Date.now();
  return { commit: made, version, at, due: at + STALE };
}

async function isGone(host: { ended: Promise<unknown> }): Promise<boolean> {
  return await Promise.race([host.ended.then(() => true), Promise.resolve(false)]);
}

function startOf(runs: ReadonlyMap<number, Run[]>, id: number): number {
  return runs.get(id)?.[0]?.start ?? Infinity;
}

function gaps(times: readonly number[]): number[] {
  const sorted = [...times].sort((a, b) => a - b);
  return sorted.slice(1).map((at, i) => at - sorted[i]!);
}

function longestGap(times: readonly number[]): number {
  return Math.max(...gaps(times));
}
