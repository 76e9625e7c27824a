/**
 * The supervisor puts its own new program in its place, with the same process number.
 *
 *     old program: engines are told to go on without it ─► execv
 *     new program: takes over lock and engines ─► starts new engines ─► ready: the old ones drain, and are reaped
 *
 * @module
 */

import { TqError } from "../errors.ts";
import { CAN_REPLACE_PROCESS, closeAtExec, replaceProcess } from "../posix.ts";
import { selfCommand } from "../self.ts";
import type { NotifyAddress } from "./notify.ts";
import type { OldEngine } from "./old_engines.ts";

/** What the program before leaves to the one after it. */
export interface Legacy {
  /** The descriptor of the pid file's lock, which was told to live on. */
  readonly lock: number;
  readonly engines: readonly OldEngine[];
  /** The ear of systemd, where it listens. */
  readonly notify?: NotifyAddress | undefined;
}

const VARIABLE = "TQ_INTERNAL_LEGACY";
/** The new program must show within this that it can run, milliseconds. */
const SELF_TEST_DEADLINE = 30_000;

/** What the program before this one left, if there was one. */
export function takeLegacy(): Legacy | undefined {
  const text = Deno.env.get(VARIABLE);
  Deno.env.delete(VARIABLE);
  return text === undefined ? undefined : JSON.parse(text);
}

/** Runs the new program once in `folder`, to see that it imports. @throws {TqError} when it does not */
export async function selfTest(folder: string, signal: AbortSignal): Promise<void> {
  const { executable, args } = selfCommand("self-test");
  const { success, stderr } = await new Deno.Command(executable, {
    args,
    cwd: folder,
    stdin: "null",
    stdout: "null",
    stderr: "piped",
    signal: AbortSignal.any([signal, AbortSignal.timeout(SELF_TEST_DEADLINE)]),
  }).output();
  if (success) return;
  const [line = ""] = new TextDecoder().decode(stderr).split("\n");
  throw new TqError(`the new tq does not run: ${line}`);
}

/**
 * Puts the new program in this one's place, in `folder`. Returns where this system cannot do that: then this one is
 * to end, for cron or systemd to start the new one.
 *
 * @throws when it failed: then nothing has changed
 */
export function reexec(folder: string, args: readonly string[], legacy: Legacy): void {
  try {
    if (!CAN_REPLACE_PROCESS) return;
    // The folder that this one was started in may be gone, and then the new one would not start.
    Deno.chdir(folder);
    const self = selfCommand(...args);
    Deno.env.set(VARIABLE, JSON.stringify(legacy));
    replaceProcess(self.executable, self.args);
    throw new TqError(`cannot run ${self.executable}`);
  } finally {
    Deno.env.delete(VARIABLE);
    // Else children that are started from now on would hold the lock beyond this process.
    closeAtExec(legacy.lock);
  }
}
