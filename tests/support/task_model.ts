/**
 * What the store must do with tasks, in memory: the legal moves of DESIGN.md's section 3, and who may make them.
 *
 * @module
 */

import { LEGAL_MOVES, State, TERMINAL_STATES } from "../../src/task.ts";

/** Deaths in company and alone after which a task has failed. */
const DEADLY = 4;

/** One task as the model knows it. */
export interface ModelTask {
  readonly id: number;
  readonly maxAttempts: number;
  state: State;
  claims: number;
  attempts: number;
  deaths: number;
  cancelRequested: boolean;
  engine: string | null;
  /** Whether its time has come, while it waits. */
  due: boolean;
  /** Whether it is too late to start it. */
  stale: boolean;
}

/** Who asks to end a run. */
export interface ModelLease {
  readonly engine: string;
  readonly claims: number;
}

/** A task that was published just now. */
export function published(id: number, maxAttempts: number, delayed: boolean): ModelTask {
  return {
    id,
    maxAttempts,
    state: delayed ? State.retry : State.scheduled,
    claims: 0,
    attempts: 0,
    deaths: 0,
    cancelRequested: false,
    engine: null,
    due: false,
    stale: false,
  };
}

/** Moves a task if that is legal; false, and nothing happens, if it is not. */
function move(task: ModelTask, to: State): boolean {
  if (!LEGAL_MOVES[task.state].includes(to)) return false;
  task.state = to;
  return true;
}

/** Back to ready or waiting, or canceled where that was asked for; true when it is to be pushed. */
function goBack(task: ModelTask, to: typeof State.scheduled | typeof State.retry): boolean {
  move(task, task.cancelRequested ? State.canceled : to);
  task.due = false;
  return task.state === State.scheduled && task.deaths === 0;
}

function holds(task: ModelTask, lease: ModelLease): boolean {
  return task.state === State.started && task.engine === lease.engine && task.claims === lease.claims;
}

/** A claim; suspects are claimed alone. */
export function claims(task: ModelTask, engine: string, alone: boolean): boolean {
  if (task.stale || task.deaths > 0 !== alone || !move(task, State.started)) return false;
  task.claims++;
  task.engine = engine;
  return true;
}

/** The end of a run. */
export function finishes(task: ModelTask, lease: ModelLease, to: 10 | -1 | 2): boolean {
  if (!holds(task, lease)) return false;
  task.attempts++;
  if (to === State.retry) goBack(task, to);
  else move(task, to);
  return true;
}

/** A run that is given back, uncharged; true when it is ready again and to be pushed. */
export function releases(task: ModelTask, lease: ModelLease): boolean {
  if (!holds(task, lease)) return false;
  return goBack(task, State.scheduled);
}

/** A cancel; true when the task was not over. */
export function cancels(task: ModelTask): boolean {
  if (TERMINAL_STATES.includes(task.state)) return false;
  task.cancelRequested = true;
  if (task.state !== State.started) move(task, State.canceled);
  return true;
}

/** A person's retry. */
export function retries(task: ModelTask): boolean {
  if (!TERMINAL_STATES.includes(task.state) || !move(task, State.scheduled)) return false;
  Object.assign(task, { attempts: 0, deaths: 0, cancelRequested: false, due: false, stale: false });
  return true;
}

/** The promotion of a due task; true when it is to be pushed. */
export function promotes(task: ModelTask): boolean {
  if (task.state !== State.retry || !task.due) return false;
  return goBack(task, State.scheduled);
}

/** The end of a task that may not start any more. */
export function expires(task: ModelTask): boolean {
  return task.stale && (task.state === State.scheduled || task.state === State.retry) &&
    move(task, State.failed);
}

/** The death of its engine: `suspect` when the task was inside its handler, `overdue` when it was past its limit. */
export function rescues(task: ModelTask, engine: string, suspect: boolean, overdue: boolean): boolean {
  if (task.state !== State.started || task.engine !== engine) return false;
  const charged = suspect || overdue;
  if (charged) {
    task.attempts++;
    task.deaths++;
  }
  if (task.cancelRequested) move(task, State.canceled);
  else if (overdue) move(task, State.failed);
  else if (charged && (task.attempts >= task.maxAttempts || task.deaths >= DEADLY)) move(task, State.failed);
  else goBack(task, charged ? State.retry : State.scheduled);
  return true;
}
