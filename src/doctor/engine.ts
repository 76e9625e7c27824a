/**
 * Whether the engine of this project runs, as it should.
 *
 * @module
 */

import { type Clock, systemClock } from "../clock.ts";
import { PidFile } from "../supervisor/pidfile.ts";
import { readStatus, type SupervisorStatus } from "../supervisor/status_file.ts";
import { VERSION } from "../version.ts";
import { bad, count, type Finding, note, ok, warning } from "./finding.ts";

/** It tells of itself every 5 s; silent for longer than this, it hangs, or cannot reach Postgres. Milliseconds. */
const SILENCE = 30_000;

/** What is known of it. */
export interface EngineFacts {
  /** The supervisor's process; undefined when none runs. */
  readonly pid: number | undefined;
  /** What it said last; undefined when it said nothing yet. */
  readonly status: SupervisorStatus | undefined;
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** The version of this tq. */
  readonly version: string;
}

/** Looks for the supervisor of a `var` folder. */
export async function examineEngine(varFolder: string, clock: Clock = systemClock): Promise<Finding[]> {
  let pid: number | undefined;
  try {
    pid = PidFile.holder(varFolder);
  } catch (error) {
    if (!(error instanceof Deno.errors.PermissionDenied)) throw error;
    return [note("engine", "this user may not look whether it runs", "ask as the user that runs it")];
  }
  const told = await readStatus(varFolder);
  const status = told?.pid === pid ? told : undefined;
  return judgeEngine({ pid, status, now: clock.now(), version: VERSION });
}

/** Judges what is known. */
export function judgeEngine({ pid, status, now, version }: EngineFacts): Finding[] {
  if (pid === undefined) return [warning("engine", "it does not run here", "use tq start, or tq run")];
  const silence = now - Date.parse(status?.written ?? "");
  if (status === undefined || !status.ready && !(silence > SILENCE)) {
    return [note("engine", `process ${pid} is starting`)];
  }
  if (silence > SILENCE) {
    const found = `process ${pid} has said nothing of itself for ${Math.round(silence / 1000)} s`;
    return [bad("engine", found, "see tq logs, and whether Postgres answers it")];
  }
  return [judgeRunning(pid, status, version), ...judgeRefresh(status)];
}

function judgeRunning(pid: number, status: SupervisorStatus, version: string): Finding {
  const ready = status.engines.filter(({ state }) => state === "ready").length;
  if (ready === 0) {
    return bad("engine", `process ${pid} has no engine process that takes tasks`, "see tq logs");
  }
  // An engine of an earlier tq does not tell.
  const trouble = status.trouble ?? null;
  if (trouble !== null) return bad("engine", `process ${pid}: ${trouble}`, "see tq logs");
  if (status.dispatch.endsWith("is away")) {
    return warning(
      "engine",
      `process ${pid} works without Redis, which is away`,
      "see what is said of Redis here",
    );
  }
  if (status.version !== version) {
    return warning(
      "engine",
      `process ${pid} runs tq ${status.version}, and this is ${version}`,
      "use tq restart",
    );
  }
  return ok("engine", `runs as process ${pid}, with ${count(ready, "engine process", "engine processes")}`);
}

function judgeRefresh({ refresh }: SupervisorStatus): Finding[] {
  if (refresh === null || refresh.outcome === "taken") return [];
  const found = `commit ${refresh.commit ?? "unknown"} was refused, and older code runs: ${
    refresh.reason ?? "no reason"
  }`;
  return [bad("code", found, "correct it; what is checked out next is taken by itself")];
}
