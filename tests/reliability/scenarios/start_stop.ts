/**
 * The daemon is started many times at once, then started and stopped again and again under load: one supervisor, no
 * process, port, connection or file left behind, and no task lost.
 *
 * @module
 */

import { eventually } from "../../support/fixtures.ts";
import { freePort } from "../../support/free_port.ts";
import { type Host, Site } from "../../support/host.ts";
import { livingOf, type Process, processTable } from "../../support/processes.ts";
import { pass, type Scenario, Sheet, SteadyLoad } from "../scenario.ts";

const SIZES = {
  quick: { starts: 6, cycles: 4, rate: 50 },
  full: { starts: 20, cycles: 20, rate: 200 },
};

export const startStop: Scenario = {
  name: "start-stop",
  what: "many starts at once give one supervisor; starts and stops under load leave nothing behind",
  patient: false,
  async run(size) {
    const { starts, cycles, rate } = SIZES[size];
    const sheet = new Sheet();
    const port = freePort();
    await using site = await Site.start({
      environment: { TQ_PROCESSES: "2", TQ_WORKERS: "50", TQ_HTTP: `127.0.0.1:${port}` },
    });
    const host = site.makeHost("a");
    try {
      await manyStarts(sheet, host, starts);
      await say(host, "stop");
      const load = new SteadyLoad(site.queue, rate, { ms: 200 });
      const seen: Process[] = [];
      let zombies = 0;
      let failures = 0;
      for (let cycle = 0; cycle < cycles; cycle++) {
        failures += (await say(host, "start")).startsWith("started, as process") ? 0 : 1;
        await pass(0.5);
        const tree = await treeOf(statusOf(host).pid);
        seen.push(...tree);
        zombies += tree.filter((process) => process.zombie).length;
        failures += await say(host, "stop") === "stopped" ? 0 : 1;
      }
      await load.stop();
      sheet.equal("starts and stops that failed", failures, 0);
      sheet.equal("zombies among the supervisor's children", zombies, 0);
      sheet.equal("processes left", (await livingOf(seen)).length, 0);
      sheet.atLeast("processes seen", seen.length, 3 * cycles, "processes");
      sheet.equal("journals left", [...Deno.readDirSync(`${host.varFolder}/engines`)].length, 0);
      sheet.equal(
        "files in var",
        [...Deno.readDirSync(host.varFolder)].map(({ name }) => name).filter((name) =>
          name.endsWith(".part")
        ),
        [],
      );
      sheet.equal("engines in the record", (await site.sql`select from tq.engines`).length, 0);
      sheet.equal("connections to Postgres left", await connections(site), 0);
      sheet.equal("somebody listens on the port", await isTaken(port), false);

      await say(host, "start");
      await eventually(async () => (await site.states())[10] === load.ids.length, {
        what: "the end of all tasks",
        within: 30_000,
      }).catch(() => {});
      const runs = await site.runs();
      sheet.note("tasks", String(load.ids.length));
      sheet.equal("tasks lost", load.ids.length - ((await site.states())[10] ?? 0), 0);
      const [charged] = await site.sql`select count(*)::integer as count from tq.tasks where attempts <> 1`;
      sheet.equal("tasks that were charged", charged?.count, 0);
      sheet.equal("tasks that ran twice", [...runs.values()].filter((list) => list.length > 1).length, 0);
    } finally {
      await say(host, "stop", "--now");
    }
    return sheet;
  },
};

/** Starts at the same moment: one of them starts it, the others say the same thing. */
async function manyStarts(sheet: Sheet, host: Host, count: number): Promise<void> {
  const words = await Promise.all(Array.from({ length: count }, () => say(host, "start")));
  const { pid } = statusOf(host);
  const counts = new Map<string, number>();
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  sheet.equal(`${count} starts at once`, Object.fromEntries([...counts].sort()), {
    [`started, as process ${pid} with 2 engine processes`]: 1,
    [`tq: the engine runs already, as process ${pid}: use tq restart or tq reload`]: count - 1,
  });
  const table = await processTable();
  const supervisors = [...table.keys()].filter((one) => environmentOf(one).includes(host.varFolder));
  sheet.equal("supervisors and engines then", supervisors.length, 3);
}

/** Runs a command; returns what it says. */
async function say(host: Host, ...args: string[]): Promise<string> {
  const { stdout, stderr } = await host.command(...args).output();
  const decoder = new TextDecoder();
  return (decoder.decode(stdout) + decoder.decode(stderr)).trim();
}

function statusOf(host: Host): { readonly pid: number } {
  return JSON.parse(Deno.readTextFileSync(`${host.varFolder}/status.json`));
}

/** A supervisor and its children, the dead among them as well. */
async function treeOf(pid: number): Promise<Process[]> {
  return [...(await processTable()).values()].filter((one) => one.pid === pid || one.parent === pid);
}

/** The environment of a process, which names its `var` folder; empty where it is not to be had. */
function environmentOf(pid: number): string {
  try {
    return Deno.readTextFileSync(`/proc/${pid}/environ`);
  } catch {
    return "";
  }
}

async function connections(site: Site): Promise<number> {
  const [row] = await site.sql`
    select count(*)::integer as count from pg_stat_activity where application_name in ('tq supervisor', 'tq engine')`;
  return row?.count;
}

async function isTaken(port: number): Promise<boolean> {
  try {
    (await Deno.connect({ hostname: "127.0.0.1", port })).close();
    return true;
  } catch {
    return false;
  }
}
