/**
 * A line in a task's log for each run that did not complete it: the row tells of the last run alone.
 *
 * @module
 */

import type { Note } from "../handler/context.ts";
import { State, STATE_DISPLAY } from "../task.ts";
import type { Held } from "./held.ts";
import { type Outcome, outcomeName } from "./outcome.ts";

/** The kind of these lines. The dashboard reads them, and draws the timeline of a task. */
export const ATTEMPT_KIND = "attempt";

/**
 * The line for a run, or undefined for one that completed its task:
 * `attempt 2 retry_later after 0.052 s, engine <id>, commit <commit>: the ledger is locked`.
 *
 * @param where.now monotonic milliseconds
 */
export function attemptNote(
  held: Pick<Held, "row" | "aborted" | "startedAt">,
  outcome: Outcome,
  where: { readonly engineId: string; readonly commit: string | null; readonly now: number },
): Note | undefined {
  const name = outcomeName(outcome, held.aborted);
  if (name === "completed") return undefined;
  const seconds = (Math.max(0, where.now - held.startedAt) / 1000).toFixed(3);
  const text = `attempt ${held.row.attempts + 1} ${STATE_DISPLAY[State[name]]} after ${seconds} s, ` +
    `engine ${where.engineId}, commit ${where.commit ?? "none"}: ${outcome.reason ?? ""}`;
  return { kind: ATTEMPT_KIND, text };
}
