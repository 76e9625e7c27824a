/**
 * What a run comes to: from how its handler ended to what the record says.
 *
 * @module
 */

import { HandlerModuleError, InputError, messageOf } from "../errors.ts";
import type { Verdict } from "../handler/context.ts";
import type { RunOutcome } from "../metrics/engine_counts.ts";
import { retryDelaySeconds, type RetryPolicy } from "../retry_policy.ts";
import type { ClaimedRow } from "../store/mod.ts";
import { cutReason, State } from "../task.ts";
import type { AbortKind } from "./held.ts";

/** The end of a run, without its lease. */
export interface Outcome {
  /** 10 completed, -1 failed, 2 to be run again. A canceled task is one that would be run again. */
  readonly state: 10 | -1 | 2;
  readonly reason: string | null;
  /** JSON text. */
  readonly result: string | null;
  /** Seconds until the next run. */
  readonly delay: number | null;
  /** The run does not count as an attempt: the task was put off, it did not run. */
  readonly uncharged?: true;
}

/** How a handler ended: it returned, or it threw. */
export type HandlerEnd = { readonly threw: false } | { readonly threw: true; readonly error: unknown };

/**
 * Tasks whose handler module does not import are put off so many times, by so many seconds, before that counts: for
 * ten minutes, in which a deploy may mend it.
 */
const IMPORT_WAITS = 20;
const IMPORT_WAIT = 30;

/** The outcome of most runs. */
export const COMPLETED: Outcome = Object.freeze({ state: 10, reason: null, result: null, delay: null });

/** Completed, failed, or to be run again; decided by what the handler said, then by how it ended. */
export function outcomeOf(
  row: ClaimedRow,
  verdict: Verdict | undefined,
  end: HandlerEnd,
  aborted: AbortKind | undefined,
  policy: RetryPolicy,
): Outcome {
  if (verdict?.kind === "completed") {
    return verdict.result === undefined ? COMPLETED : { ...COMPLETED, result: verdict.result };
  }
  if (verdict?.kind === "failed") return failed(verdict.reason);
  if (verdict?.kind === "retry") {
    return again(row, verdict.reason ?? "retry later", policy, verdict.delaySeconds);
  }
  if (!end.threw) return COMPLETED;
  if (aborted === "timed out") return failed("timed out");
  // The record knows of the request and turns this into canceled.
  if (aborted === "canceled") return { state: 2, reason: "canceled by request", result: null, delay: 0 };
  const reason = messageOf(end.error) || "the handler threw";
  // A result that cannot be stored will not be storable the next time either.
  if (end.error instanceof InputError && reason.startsWith("result")) return failed(reason);
  // Claims that were not charged: so often it was put off.
  if (end.error instanceof HandlerModuleError && row.claims - row.attempts <= IMPORT_WAITS) {
    return putOff(reason, IMPORT_WAIT);
  }
  return again(row, reason, policy);
}

/** How a run ended, as the record will say it: a canceled task is one that would be run again. */
export function outcomeName({ state }: Outcome, aborted: AbortKind | undefined): RunOutcome {
  if (state === State.completed) return "completed";
  if (state === State.failed) return "failed";
  return aborted === "canceled" ? "canceled" : "retry";
}

/** Failed for good. */
export function failed(reason: string): Outcome {
  return { state: -1, reason: cutReason(reason), result: null, delay: null };
}

/** To be run later, as if it had not been claimed. */
export function putOff(reason: string, delay: number): Outcome {
  return { state: 2, reason: cutReason(reason), result: null, delay, uncharged: true };
}

/** To be run again while attempts are left, else failed. */
export function again(row: ClaimedRow, reason: string, policy: RetryPolicy, delay?: number): Outcome {
  const attempts = row.attempts + 1;
  if (attempts >= row.max_attempts) return failed(reason);
  return {
    state: 2,
    reason: cutReason(reason),
    result: null,
    delay: delay ?? retryDelaySeconds(attempts, policy),
  };
}
