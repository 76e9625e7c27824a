/**
 * What the commands of the background service share.
 *
 * @module
 */

import { systemClock, within } from "../clock.ts";
import { need, type Settings } from "../settings.ts";
import { SettingsError, TqError, UnreachableError } from "../errors.ts";
import { mayWrite } from "../posix.ts";
import { selfCommand } from "../self.ts";
import { checkDatabase } from "../store/connect.ts";
import { logPath } from "../supervisor/log_file.ts";
import { PidFile } from "../supervisor/pidfile.ts";
import { readStatus, type SupervisorStatus } from "../supervisor/status_file.ts";

/** An engine must take tasks by then, milliseconds: an embedded database may have to be made first. */
const READY_DEADLINE = 90_000;
/** Seconds that a supervisor gets beyond the drain time to end, as systemd gives it. */
const LAST_WORDS = 30;
/** Milliseconds between looks. */
const LOOK = 25;

/** The process of the supervisor that runs on these settings, or undefined. */
export function runningPid(settings: Settings): number | undefined {
  return PidFile.holder(need(settings.varFolder, "var"));
}

/** Says that there is a supervisor, where there was to be none. */
export function runsAlready(pid: number): TqError {
  return new TqError(`the engine runs already, as process ${pid}`, { remedy: "use tq restart or tq reload" });
}

/**
 * Starts the supervisor in the background, and waits until its engines take tasks.
 *
 * @param migrate whether it brings the schema up to date first
 * @throws {TqError} when it ends before; the message has what it said last
 * @throws {SettingsError} when `var` belongs to another database, or cannot be written: nothing was started; or when
 *   the engine itself refuses a setting
 */
export async function startDaemon(settings: Settings, migrate = true): Promise<SupervisorStatus> {
  const varFolder = need(settings.varFolder, "var");
  // Said here, where the caller hears it in full, and before anything is started.
  checkDatabase(settings);
  await needWritable(varFolder);
  const { executable, args } = selfCommand("run", "--daemon", ...(migrate ? [] : ["--no-migrate"]));
  const child = new Deno.Command(executable, {
    args,
    env: settings.given,
    cwd: need(settings.root, "root"),
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  child.unref();
  const until = systemClock.monotonic() + READY_DEADLINE;
  while (systemClock.monotonic() < until) {
    const status = await readStatus(varFolder);
    if (status?.pid === child.pid && status.ready) return status;
    const ended = await within(systemClock, LOOK, child.status);
    if (ended === undefined) continue;
    // Another start at the same moment was quicker.
    const pid = PidFile.holder(varFolder);
    if (pid !== undefined) throw runsAlready(pid);
    const why = await lastError(varFolder) ?? `exit code ${ended.code}: see tq logs`;
    const kind = ended.code === 75 ? UnreachableError : ended.code === 2 ? SettingsError : TqError;
    throw new kind(`the engine did not start: ${why}`);
  }
  throw new TqError(`the engine was not ready within ${READY_DEADLINE / 1000} s`, { remedy: "see tq logs" });
}

/**
 * Ends the supervisor, and waits until it is gone.
 *
 * @param now ends running tasks at once: they are put back
 * @param patience seconds until it is given up
 * @returns whether there was one
 * @throws {TqError} when it does not end, as one that is suspended
 */
export async function stopDaemon(
  settings: Settings,
  now: boolean,
  patience = (now ? 0 : settings.TQ_DRAIN_TIMEOUT) + LAST_WORDS,
): Promise<boolean> {
  const varFolder = need(settings.varFolder, "var");
  const pid = PidFile.holder(varFolder);
  if (pid === undefined) return false;
  if (!now) kill(pid, "SIGTERM");
  const until = systemClock.monotonic() + patience * 1000;
  while (PidFile.holder(varFolder) === pid) {
    if (systemClock.monotonic() > until) {
      throw new TqError(`the engine, process ${pid}, has not ended within ${patience} s`, {
        remedy: `see tq logs, or end it with kill -9 ${pid}`,
      });
    }
    // The second one says: at once. Two that wait together are one, so it is sent until it is heard.
    if (now) kill(pid, "SIGINT");
    await systemClock.sleep(LOOK);
  }
  return true;
}

/** Sends a signal to the supervisor. @throws {TqError} when none runs */
export function signalDaemon(settings: Settings, signal: Deno.Signal): number {
  const pid = runningPid(settings);
  if (pid === undefined) throw new TqError("the engine does not run", { remedy: "use tq start" });
  kill(pid, signal);
  return pid;
}

function kill(pid: number, signal: Deno.Signal): void {
  try {
    Deno.kill(pid, signal);
  } catch (error) {
    // It has ended in this moment.
    if (!(error instanceof Deno.errors.NotFound || error instanceof Deno.errors.BadResource)) throw error;
  }
}

/** The engine itself would have no log to say it in. */
async function needWritable(varFolder: string): Promise<void> {
  await Deno.mkdir(varFolder, { recursive: true }).catch(() => {});
  if (mayWrite(varFolder, "folder")) return;
  throw new SettingsError(`${varFolder} cannot be written`, {
    remedy: "mend its rights, or name another folder with TQ_VAR",
  });
}

/** What the supervisor said last, if it was an error. */
async function lastError(varFolder: string): Promise<string | undefined> {
  const text = await Deno.readTextFile(logPath(varFolder)).catch(() => "");
  return /^tq: (.+)$/.exec(text.trimEnd().split("\n").at(-1) ?? "")?.[1];
}
