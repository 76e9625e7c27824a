/**
 * A task that an engine holds, from the claim until its end is in the record.
 *
 * @module
 */

import type { Task, TaskSeed } from "../handler/context.ts";
import type { ClaimedRow } from "../store/mod.ts";
import type { Span } from "../trace.ts";

/** Why a run is aborted. */
export type AbortKind = "timed out" | "canceled" | "restarting" | "lost";

/** What a handler's signal says. */
export function abortReason(kind: AbortKind): DOMException {
  return new DOMException(
    kind === "restarting" ? "worker engine restarting" : kind,
    kind === "timed out" ? "TimeoutError" : "AbortError",
  );
}

/** A claimed task. */
export class Held {
  readonly row: ClaimedRow;
  /** The fence of the newest claim; adopted when the task is claimed again while it runs. */
  claims: number;
  /** Monotonic milliseconds after which it may not start any more (invariant 10). */
  readonly validUntil: number;
  /** Its place in the journal while it is inside its handler, else -1. */
  slot = -1;
  /** Monotonic milliseconds at its start. */
  startedAt = 0;
  task: Task | undefined;
  /** The trace of its run, where there is one. */
  span: Span | undefined;
  controller: AbortController | undefined;
  aborted: AbortKind | undefined;
  /** Monotonic milliseconds at the abort. */
  abortedAt = 0;
  /** Whether its end was decided, though its handler may still run. */
  ended = false;

  constructor(row: ClaimedRow, validUntil: number) {
    this.row = row;
    this.claims = row.claims;
    this.validUntil = validUntil;
  }
}

/** What a claimed row says to its handler. */
export function seedOf(row: ClaimedRow): TaskSeed {
  return {
    id: row.id,
    model: row.model,
    fname: row.fname,
    channel: row.channel,
    attempts: row.attempts + 1,
    data: row.data,
  };
}
