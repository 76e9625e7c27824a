/**
 * Tasks as the dashboard's pages need them: lists without their data, one task with its times to the millisecond.
 *
 * @module
 */

import type { BriefRecord } from "../../store/mod.ts";
import type { TaskLog, TaskRecord } from "../../task.ts";
import type { Redactor } from "../redact.ts";
import { type LogJson, logJson, type TaskJson, taskJson } from "../task_json.ts";

/** A row of the list. Times are seconds since the epoch, with their fraction. */
export type TaskRow =
  & Pick<
    TaskJson,
    | "id"
    | "state"
    | "model"
    | "fname"
    | "channel"
    | "attempts"
    | "max_attempts"
    | "run_seconds"
    | "reason"
    | "progress"
  >
  & { readonly modified: number; readonly started: number | null };

/** One task: as REST shows it, and its times with their fraction. */
export type TaskView = TaskJson & {
  readonly times: {
    readonly created: number;
    readonly started: number | null;
    readonly completed: number | null;
    readonly scheduled: number | null;
  };
};

/** How tasks are shown. */
export interface Showing {
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly redact: Redactor;
}

/** A task as a row of a list. */
export function taskRow(task: BriefRecord, how: Showing): TaskRow {
  const { id, state, model, fname, channel, attempts, max_attempts, run_seconds, reason, progress } =
    taskJson({ ...task, data: {}, result: null }, how);
  return {
    id,
    state,
    model,
    fname,
    channel,
    attempts,
    max_attempts,
    // A running one's is counted in the browser: it would be news at every look.
    run_seconds: task.completedAt === null && task.state === 1 ? null : run_seconds,
    reason,
    progress,
    modified: seconds(task.modified) ?? 0,
    started: seconds(task.startedAt),
  };
}

/** A task as its own page shows it. */
export function taskView(task: TaskRecord, how: Showing): TaskView {
  const json = taskJson(task, how);
  const isRunning = task.state === 1;
  return {
    ...json,
    // Counted in the browser, as above.
    ...(isRunning ? { run_seconds: null, current_runtime: 0 } : {}),
    times: {
      created: seconds(task.created) ?? 0,
      started: seconds(task.startedAt),
      completed: seconds(task.completedAt),
      scheduled: seconds(task.scheduledFor),
    },
  };
}

/** A line of a log, with the fraction of its time. */
export function logLine(line: TaskLog): LogJson {
  return { ...logJson(line), created: line.created.getTime() / 1000 };
}

function seconds(moment: Date | null): number | null {
  return moment === null ? null : moment.getTime() / 1000;
}
