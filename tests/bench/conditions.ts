/**
 * The conditions of a run: machine, versions, and the settings of the servers that decide what "durable" costs.
 *
 * @module
 */

import { REPOSITORY } from "../support/tq.ts";
import type { Servers } from "./servers.ts";
import { median } from "./statistics.ts";

/** Conditions by name, as they are printed. */
export type Conditions = Readonly<Record<string, string>>;

const SETTINGS = [
  "fsync",
  "synchronous_commit",
  "full_page_writes",
  "wal_sync_method",
  "shared_buffers",
  "max_wal_size",
  "autovacuum",
];
/** Commits that are timed. */
const COMMITS = 200;

/** Looks at the machine and the servers; `runtimes` are the versions of what peers run on. */
export async function readConditions(servers: Servers, runtimes: Conditions): Promise<Conditions> {
  const database = await servers.create();
  try {
    const sql = servers.look(database);
    const shown: string[] = [];
    for (const name of SETTINGS) {
      const [row] = await sql.unsafe(`show ${name}`);
      shown.push(`${name} ${Object.values(row ?? {})[0]}`);
    }
    await sql`create table commits (id integer primary key, count integer not null)`;
    await sql`insert into commits values (1, 0)`;
    const durable = await commitTime(sql, "on");
    const lazy = await commitTime(sql, "off");
    const [version] = await sql`select version()`;
    return {
      "date": new Date().toISOString().slice(0, 16).replace("T", " ") + " UTC",
      "tq": await commit(),
      "machine": machine(),
      "load": `${Deno.loadavg()[0]?.toFixed(2)} before the first trial`,
      "Deno": `${Deno.version.deno}, V8 ${Deno.version.v8}`,
      ...runtimes,
      "Postgres": String(version?.version).split(" on ")[0] ?? "",
      "settings of Postgres": shown.join(", "),
      "a commit": `${durable.toFixed(2)} ms on disk, ${
        lazy.toFixed(2)
      } ms without waiting for it (median of ${COMMITS})`,
      "Redis": await redis(servers),
    };
  } finally {
    await servers.drop(database);
  }
}

async function commitTime(sql: ReturnType<Servers["look"]>, mode: "on" | "off"): Promise<number> {
  await sql.unsafe(`set synchronous_commit = ${mode}`);
  const times: number[] = [];
  for (let i = 0; i < COMMITS; i++) {
    const start = performance.now();
    await sql`update commits set count = count + 1`;
    times.push(performance.now() - start);
  }
  return median(times);
}

async function redis({ redis }: Servers): Promise<string> {
  const version = /^(?:redis|valkey)_version:(.*?)\r?$/m.exec(await redis.info("server"))?.[1] ?? "unknown";
  const setting = async (name: string) => {
    const [, value] = await redis.config("GET", name).catch(() => []) as string[];
    return `${name} ${value === undefined ? "unknown" : value === "" ? "none" : value}`;
  };
  return `${version}, ${await setting("appendonly")}, ${await setting("save")}`;
}

function machine(): string {
  const model = /^model name\s*:\s*(.+)$/m.exec(read("/proc/cpuinfo"))?.[1] ?? Deno.build.arch;
  const gigabytes = Math.round(Deno.systemMemoryInfo().total / 2 ** 30);
  return `${navigator.hardwareConcurrency} cores, ${model}, ${gigabytes} GB, ${Deno.build.os} ${Deno.osRelease()}`;
}

function read(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return "";
  }
}

async function commit(): Promise<string> {
  const git = async (...args: string[]) => {
    const { stdout, success } = await new Deno.Command("git", {
      args: ["-C", REPOSITORY, ...args],
      stderr: "null",
    })
      .output();
    return success ? new TextDecoder().decode(stdout).trim() : "";
  };
  const changed = await git(
    "status",
    "--porcelain",
    "--untracked-files=no",
    "--",
    "src",
    "mod.ts",
    "migrations",
  );
  return `${await git("rev-parse", "--short", "HEAD") || "unknown"}${changed === "" ? "" : ", with changes"}`;
}
