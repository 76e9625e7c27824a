/**
 * Rows as Postgres gives them, written once, and the records made of them.
 *
 * @module
 */

import type { Json, JsonObject, State, TaskLog, TaskRecord } from "../task.ts";

/** A row of `tasks`, whole. */
export interface TaskRow {
  readonly id: number;
  readonly created: Date;
  readonly modified: Date;
  readonly started_at: Date | null;
  readonly completed_at: Date | null;
  readonly scheduled_for: Date | null;
  readonly stale_after: Date | null;
  readonly claims: number;
  readonly timeout_seconds: number;
  readonly progress: number | null;
  readonly state: State;
  readonly priority: number;
  readonly attempts: number;
  readonly max_attempts: number;
  readonly deaths: number;
  readonly cancel_requested: boolean;
  readonly engine_id: string | null;
  readonly channel: string;
  readonly model: string;
  readonly fname: string;
  readonly data: JsonObject;
  readonly reason: string | null;
  readonly result: Json | null;
  readonly code_version: string | null;
  readonly trace_parent: string | null;
  readonly publish_key: string | null;
  readonly unique_key: string | null;
}

/** The columns of `TaskRow` but for data and result, which may be large. */
export const BRIEF_COLUMNS =
  `id, created, modified, started_at, completed_at, scheduled_for, stale_after, claims,
  timeout_seconds, progress, state, priority, attempts, max_attempts, deaths, cancel_requested, engine_id, channel,
  model, fname, reason, code_version, trace_parent, publish_key, unique_key`;

/** The columns of `TaskRow`, for a SELECT. */
export const TASK_COLUMNS = `${BRIEF_COLUMNS}, data, result`;

/** The record that a row holds. */
export function recordOf(row: TaskRow): TaskRecord {
  return {
    id: row.id,
    state: row.state,
    channel: row.channel,
    model: row.model,
    fname: row.fname,
    data: row.data,
    priority: row.priority,
    claims: row.claims,
    attempts: row.attempts,
    maxAttempts: row.max_attempts,
    deaths: row.deaths,
    timeoutSeconds: row.timeout_seconds,
    cancelRequested: row.cancel_requested,
    reason: row.reason,
    result: row.result,
    progress: row.progress,
    created: row.created,
    modified: row.modified,
    startedAt: row.started_at,
    completedAt: row.completed_at,
    scheduledFor: row.scheduled_for,
    staleAfter: row.stale_after,
    engineId: row.engine_id,
    codeVersion: row.code_version,
    traceParent: row.trace_parent,
    publishKey: row.publish_key,
    uniqueKey: row.unique_key,
  };
}

/** Of a row `t`: it is not stale. */
export const FRESH = "(t.stale_after is null or t.stale_after > now())";

/** Of a row `t`: it is ready, is no suspect, and is not stale. */
export const CLAIMABLE = `t.state = 0 and t.deaths = 0 and ${FRESH}`;

/** Of a row `t`: as `CLAIMABLE`, but it is a suspect. */
export const SUSPECT = `t.state = 0 and t.deaths > 0 and ${FRESH}`;

/** What a claim gives an engine. */
export interface ClaimedRow {
  readonly id: number;
  /** The fence: with the engine's id, the lease. */
  readonly claims: number;
  readonly attempts: number;
  readonly max_attempts: number;
  readonly timeout_seconds: number;
  readonly channel: string;
  readonly model: string;
  readonly fname: string;
  /** JSON text: parsed when the handler asks for it. */
  readonly data: string;
  readonly trace_parent: string | null;
  /** Milliseconds from when it was ready to this claim, by the database's clock. */
  readonly waited_ms: number;
}

/** Who may finish a task: the claim's count, beside the engine's id. */
export interface Lease {
  readonly id: number;
  readonly claims: number;
}

/** A ready task, as dispatch needs it. */
export interface ReadyRow {
  readonly id: number;
  readonly channel: string;
  readonly priority: number;
}

/** A row that a statement moved. */
export interface MovedRow extends ReadyRow {
  readonly state: State;
  readonly deaths: number;
}

/** Of the rows that were moved, those to be pushed: ready, and not suspects, which engines do not take from dispatch. */
export function toPush(rows: readonly MovedRow[]): ReadyRow[] {
  return rows.filter((row) => row.state === 0 && row.deaths === 0);
}

/** A row of `task_logs`. */
export interface LogRow {
  readonly id: number;
  readonly task_id: number;
  readonly created: Date;
  readonly kind: string;
  readonly text: string;
}

/** The log line that a row holds. */
export function logOf(row: LogRow): TaskLog {
  return { id: row.id, taskId: row.task_id, created: row.created, kind: row.kind, text: row.text };
}
