/**
 * Figures of the executable, as closing notes and docs name them: size, start-up, memory at rest, and how soon new
 * code runs. Linux, with git.
 *
 *     deno run -A tools/figures.ts [dist/tq]
 *
 * On the embedded database, unless TQ_DATABASE_URL (and TQ_REDIS_URL) name servers; those get a schema `tq_figures`,
 * which stays.
 *
 * @module
 */

import { join, resolve } from "node:path";
import { TaskQueue } from "../mod.ts";

/** Runs of each command. */
const RUNS = 20;
/** Refreshes. */
const COMMITS = 5;
/** Milliseconds until everything that comes with a start is over. */
const REST = 15_000;
/** Milliseconds between tasks while new code is waited for. */
const PACE = 20;
const SERVERS = ["TQ_DATABASE_URL", "TQ_REDIS_URL"];

const handlers = (version: number) => `export function version(task) { task.completed(${version}); }\n`;

const executable = resolve(Deno.args[0] ?? "dist/tq");
const folder = await Deno.makeTempDir({ prefix: "tq_figures_" });
const settings: Record<string, string> = {
  TQ_ROOT: folder,
  TQ_PROCESSES: "1",
  TQ_SCHEMA: "tq_figures",
  TQ_HTTP: `127.0.0.1:${freePort()}`,
};
for (const name of SERVERS) {
  const value = Deno.env.get(name);
  if (value !== undefined) settings[name] = value;
}

async function run(program: string, ...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(program, {
    args,
    cwd: folder,
    env: { ...settings, PATH: Deno.env.get("PATH") ?? "" },
    clearEnv: true,
  }).output();
  const decoder = new TextDecoder();
  if (!success) throw new Error(`${program} ${args.join(" ")}: ${decoder.decode(stderr)}`);
  return decoder.decode(stdout);
}

const tq = (...args: string[]) => run(executable, ...args);

async function commit(version: number): Promise<void> {
  await Deno.writeTextFile(join(folder, "handlers/app.js"), handlers(version));
  await run("git", "add", "-A");
  const author = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"];
  await run("git", ...author, "commit", "--quiet", "-m", String(version));
}

/** Median, least and most milliseconds of a command. */
async function wallTime(...args: string[]): Promise<string> {
  await tq(...args);
  const times: number[] = [];
  for (let i = 0; i < RUNS; i++) {
    const since = performance.now();
    await tq(...args);
    times.push(performance.now() - since);
  }
  return `${shown(times)}, ${RUNS} runs`;
}

function shown(times: number[]): string {
  times.sort((a, b) => a - b);
  const median = times[Math.floor(times.length / 2)] ?? NaN;
  return `${median.toFixed(0)} ms (${times[0]?.toFixed(0)} to ${times.at(-1)?.toFixed(0)})`;
}

/** Resident memory (RSS), and the same with pages that several processes map counted by share (PSS). */
async function memory(pid: number): Promise<string> {
  const text = await Deno.readTextFile(`/proc/${pid}/smaps_rollup`);
  const megabytes = (name: string) => {
    const kibibytes = Number(new RegExp(`^${name}: +(\\d+) kB`, "m").exec(text)?.[1]);
    return `${(kibibytes * 1024 / 1e6).toFixed(0)} MB`;
  };
  return `RSS ${megabytes("Rss")}, PSS ${megabytes("Pss")}`;
}

/** From the commit's being there to the first start of a task on its code: milliseconds. */
async function refreshTime(queue: TaskQueue, version: number): Promise<number> {
  await commit(version);
  const since = Date.now();
  for (;;) {
    const task = await queue.wait(await queue.publish("app", "version"), { timeout: 60 });
    if (task.result === version) return (task.startedAt?.getTime() ?? NaN) - since;
    await new Promise((resolve) => setTimeout(resolve, PACE));
  }
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

function print(name: string, value: string): void {
  console.log(`${name.padEnd(34)}${value}`);
}

print("executable", `${((await Deno.stat(executable)).size / 1e6).toFixed(1)} MB`);
print("version", (await tq("--version")).trim());
print("machine", `${navigator.hardwareConcurrency} cores, load ${Deno.loadavg()[0]?.toFixed(1)} before`);
print(
  "record",
  "TQ_DATABASE_URL" in settings ? SERVERS.filter((name) => name in settings).join(", ") : "embedded",
);
try {
  await Deno.mkdir(join(folder, "handlers"));
  await Deno.writeTextFile(join(folder, ".gitignore"), "var\n");
  await run("git", "init", "--quiet");
  await commit(0);
  print("tq --help", await wallTime("--help"));
  await tq("start");
  print("tq publish", await wallTime("publish", "app", "version"));
  await new Promise((resolve) => setTimeout(resolve, REST));
  const { pid, supervisor } = JSON.parse(await tq("status", "--json"));
  print("supervisor at rest", await memory(pid));
  print("engine at rest", await memory(supervisor.engines[0].pid));
  const database = await Deno.readTextFile(join(folder, "var/db.address")).catch(() => undefined);
  if (database !== undefined) print("embedded database at rest", await memory(JSON.parse(database).pid));
  await using queue = new TaskQueue({ ...settings });
  const times: number[] = [];
  for (let version = 1; version <= COMMITS; version++) times.push(await refreshTime(queue, version));
  print("from a commit to its first task", `${shown(times)}, ${COMMITS} commits`);
} finally {
  await tq("stop");
  await Deno.remove(folder, { recursive: true });
}
