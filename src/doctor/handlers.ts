/**
 * Whether the handlers import.
 *
 * @module
 */

import { outputWithin } from "../child_output.ts";
import { type Clock, systemClock } from "../clock.ts";
import { childEnvironment } from "../config.ts";
import type { HandlerEntry, HandlerProblem } from "../handler/registry.ts";
import { selfCommand } from "../self.ts";
import type { Settings } from "../settings.ts";
import { bad, count, type Finding, note, ok } from "./finding.ts";

/** Milliseconds that all of them may take: an engine waits longer, a person does not want to. */
const DEADLINE = 6000;
/** So many problems are told, then how many more there are. */
const MOST = 10;

/** What `tq handlers --json` prints. */
export interface HandlerList {
  readonly handlers: readonly HandlerEntry[];
  readonly problems: readonly HandlerProblem[];
}

/**
 * Has `tq handlers` import them. In a process of its own: a module may print, exit, or never give the event loop
 * back when it is imported, and this one has more to look at.
 */
export async function examineHandlers(settings: Settings, clock: Clock = systemClock): Promise<Finding[]> {
  const { executable, args } = selfCommand("handlers", "--json");
  const child = new Deno.Command(executable, {
    args,
    env: childEnvironment(settings),
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const ended = await outputWithin(clock, DEADLINE, child);
  if (ended === undefined) {
    const found = `they were not imported within ${DEADLINE / 1000} s`;
    return [bad("handlers", found, "see which one hangs: tq handlers names it after 20 s, if it can")];
  }
  const decoder = new TextDecoder();
  try {
    return judgeHandlers(JSON.parse(decoder.decode(ended.stdout)));
  } catch {
    // An import has ended the process in a way that nobody can refuse, or what it printed is not ours.
    const last = decoder.decode(ended.stderr).trimEnd().split("\n").at(-1) ?? "";
    const found = `their import ended with exit code ${ended.code}${last === "" ? "" : ` (${last})`}`;
    return [bad("handlers", found, "see tq handlers")];
  }
}

/** Judges what `tq handlers` says. */
export function judgeHandlers({ handlers, problems }: HandlerList): Finding[] {
  if (problems.length > 0) {
    const told = problems.slice(0, MOST).map(({ message }) =>
      bad("handlers", message, "correct the file; tq handlers shows whether it imports")
    );
    const more = problems.length - told.length;
    return more === 0 ? told : [...told, bad("handlers", `${more} more do not import`, "see tq handlers")];
  }
  if (handlers.length === 0) return [note("handlers", "there are none: only built-in ones run")];
  const files = new Set(handlers.map(({ file }) => file)).size;
  return [ok("handlers", `${count(handlers.length, "function")} in ${count(files, "file")}`)];
}
