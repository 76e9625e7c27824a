/**
 * Debian's cron, its real daemon: root starts one where none runs, and everybody else needs the machine's own.
 *
 * @module
 */

import { join } from "node:path";
import { cronBinary, crontabBinary } from "./binaries.ts";
import { MARK, signal } from "./processes.ts";

/** Where the system's own lines are, a file for each test process. */
const FOLDER = "/etc/cron.d";
const PREFIX = "tq_test_";
/** The times at the start of a line. */
const TIMES = /^((?:\S+ ){5})/;

/** What a test must have to give cron lines; undefined where this user cannot. */
export function usableCron(): string | undefined {
  if (Deno.build.os !== "linux") return undefined;
  return Deno.uid() === 0 ? cronBinary() : isRunning() ? crontabBinary() : undefined;
}

/** The daemon, until it is disposed of; the machine's own where there is one. */
export function cronDaemon(): AsyncDisposable {
  if (isRunning()) return { [Symbol.asyncDispose]: () => Promise.resolve() };
  const child = new Deno.Command(cronBinary() ?? "cron", {
    args: ["-f"],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  return {
    async [Symbol.asyncDispose]() {
      signal(child.pid, "SIGTERM");
      await child.status;
    },
  };
}

/**
 * Gives cron lines of five times and a command, until it is disposed of: as root in a file of the system's, else
 * behind those of the user's own crontab. The runner's mark stands in them, and in the environment of the commands.
 */
export async function crontab(lines: readonly string[]): Promise<AsyncDisposable> {
  const mark = Deno.env.get(MARK);
  if (mark !== undefined) lines = lines.map((line) => line.replace(TIMES, `$1export ${MARK}=${mark}; `));
  if (Deno.uid() !== 0) {
    const before = await runCrontab("", "-l").catch(() => undefined);
    await runCrontab((before ?? "") + textOf(lines), "-");
    return {
      async [Symbol.asyncDispose]() {
        await (before === undefined ? runCrontab("", "-r") : runCrontab(before, "-"));
      },
    };
  }
  // Cron passes over names with a dot, and files that others may write.
  const path = join(FOLDER, `${PREFIX}${Deno.pid}`);
  const asRoot = lines.map((line) => line.replace(TIMES, "$1root "));
  await Deno.writeTextFile(path, textOf(asRoot), { mode: 0o644 });
  return { [Symbol.asyncDispose]: () => Deno.remove(path) };
}

/** All that cron was given by tests; of a user's crontab all of it. */
export async function cronText(): Promise<string> {
  if (Deno.uid() !== 0) return await runCrontab("", "-l").catch(() => "");
  return testFiles().map((path) => Deno.readTextFileSync(path)).join("");
}

/** Takes back the lines of a run that came to no end of its own. */
export async function takeBackCron(mark: string): Promise<void> {
  if (usableCron() === undefined || !(await cronText()).includes(mark)) return;
  if (Deno.uid() !== 0) {
    const lines = (await cronText()).split("\n");
    await runCrontab(lines.filter((line) => !line.includes(mark)).join("\n"), "-");
    return;
  }
  for (const path of testFiles()) if (Deno.readTextFileSync(path).includes(mark)) Deno.removeSync(path);
}

function testFiles(): string[] {
  return [...Deno.readDirSync(FOLDER)].filter(({ name }) => name.startsWith(PREFIX))
    .map(({ name }) => join(FOLDER, name));
}

/** Cron passes over a line without an end. */
function textOf(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join("");
}

async function runCrontab(input: string, argument: string): Promise<string> {
  const child = new Deno.Command(crontabBinary() ?? "crontab", {
    args: [argument],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  // `-l` and `-r` read nothing, and may have ended.
  await new Blob([input]).stream().pipeTo(child.stdin).catch(() => {});
  const { success, stdout, stderr } = await child.output();
  const decoder = new TextDecoder();
  if (!success) throw new Error(`crontab ${argument} failed: ${decoder.decode(stderr)}`);
  return decoder.decode(stdout);
}

/** Its file outlives a daemon that was killed, and the number in there may be another's. */
function isRunning(): boolean {
  try {
    const pid = Deno.readTextFileSync("/run/crond.pid").trim();
    return Deno.readTextFileSync(`/proc/${pid}/comm`).trim() === "cron";
  } catch {
    return false;
  }
}
