/**
 * Tasks and lines of their logs, as REST shows them: names and units are those of the original.
 *
 * @module
 */

import { type Json, State, STATE_DISPLAY, type TaskLog, type TaskRecord, TERMINAL_STATES } from "../task.ts";
import type { Redactor } from "./redact.ts";

/** A task. Times are whole seconds since the epoch. */
export interface TaskJson {
  readonly id: number;
  readonly created: number;
  readonly modified: number;
  readonly started_at: number | null;
  readonly completed_at: number | null;
  readonly scheduled_for: number | null;
  readonly stale_after: number | null;
  readonly cancel_requested: boolean;
  readonly state: State;
  readonly state_display: string;
  /** Whole seconds of its last run; 0 before it ended. */
  readonly runtime: number;
  /** The same, up to now while it runs. */
  readonly current_runtime: number;
  /** As `current_runtime`, with a fraction; null when it has not started. */
  readonly run_seconds: number | null;
  readonly channel: string;
  readonly model: string;
  readonly fname: string;
  readonly attempts: number;
  readonly max_attempts: number;
  readonly data: Json;
  readonly reason: string | null;
  readonly result: Json | null;
  readonly progress: number | null;
  readonly priority: number;
  readonly claims: number;
  readonly deaths: number;
  readonly timeout_seconds: number;
  readonly engine_id: string | null;
  readonly code_version: string | null;
  readonly trace_parent: string | null;
  readonly publish_key: string | null;
  readonly unique_key: string | null;
}

/** A line of a task's log. */
export interface LogJson {
  readonly id: number;
  readonly created: number;
  readonly kind: string;
  readonly text: string;
}

/**
 * A task as REST shows it.
 *
 * @param how.now milliseconds since the epoch
 */
export function taskJson(task: TaskRecord, how: { now: number; redact: Redactor }): TaskJson {
  const seconds = runSeconds(task, how.now);
  const hasEnded = TERMINAL_STATES.includes(task.state) || task.state === State.retry;
  return {
    id: task.id,
    created: epoch(task.created),
    modified: epoch(task.modified),
    started_at: epochOrNull(task.startedAt),
    completed_at: epochOrNull(task.completedAt),
    scheduled_for: epochOrNull(task.scheduledFor),
    stale_after: epochOrNull(task.staleAfter),
    cancel_requested: task.cancelRequested,
    state: task.state,
    state_display: STATE_DISPLAY[task.state],
    runtime: hasEnded ? Math.floor(seconds ?? 0) : 0,
    current_runtime: Math.floor(seconds ?? 0),
    run_seconds: seconds,
    channel: task.channel,
    model: task.model,
    fname: task.fname,
    attempts: task.attempts,
    max_attempts: task.maxAttempts,
    data: how.redact(task.data),
    reason: task.reason,
    result: task.result === null ? null : how.redact(task.result),
    progress: task.progress,
    priority: task.priority,
    claims: task.claims,
    deaths: task.deaths,
    timeout_seconds: task.timeoutSeconds,
    engine_id: task.engineId,
    code_version: task.codeVersion,
    trace_parent: task.traceParent,
    publish_key: task.publishKey,
    unique_key: task.uniqueKey,
  };
}

/** A line of a log as REST shows it. */
export function logJson({ id, created, kind, text }: TaskLog): LogJson {
  return { id, created: epoch(created), kind, text };
}

/** Whole seconds since the epoch. */
export function epoch(moment: Date): number {
  return Math.floor(moment.getTime() / 1000);
}

/** Whole seconds since the epoch, or null. */
export function epochOrNull(moment: Date | null): number | null {
  return moment === null ? null : epoch(moment);
}

/** Seconds of the last run, up to `now` while it goes on, to the millisecond. */
function runSeconds(task: TaskRecord, now: number): number | null {
  if (task.startedAt === null || task.state === State.scheduled) return null;
  const end = task.state === State.started ? now : (task.completedAt ?? task.modified).getTime();
  return Math.max(0, end - task.startedAt.getTime()) / 1000;
}
