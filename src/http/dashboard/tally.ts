/**
 * Ended tasks, counted by minute: what stretches of the record add up to.
 *
 * @module
 */

import { type EndedStretch, stepSeconds } from "../../store/mod.ts";
import { State } from "../../task.ts";

/** How a handler did in some minutes. */
export interface HandlerTally {
  readonly model: string;
  readonly fname: string;
  completed: number;
  failed: number;
  canceled: number;
  /** Of all runs together. */
  seconds: number;
  /** Of the longest run. */
  longest: number;
}

/** The newest failure of a handler. */
export interface Failure {
  readonly id: number;
  /** Seconds since the epoch. */
  readonly at: number;
  readonly reason: string | null;
}

/** Counts of tasks by step; see `stepSeconds`. */
export type Histogram = Map<number, number>;

/** What ended in one minute. */
class Minute {
  completed = 0;
  failed = 0;
  canceled = 0;
  /** Tasks that were ready at the end of this minute. */
  waiting = 0;
  readonly runs: Histogram = new Map();
  readonly waits: Histogram = new Map();
  readonly handlers = new Map<string, HandlerTally>();
}

/** Handlers that are told apart in one minute; names come from publishers, so somebody could make up millions. */
const MOST_HANDLERS = 200;

/** Minutes, and the newest failures in them. */
export class Tally {
  readonly #minutes = new Map<number, Minute>();
  readonly failures = new Map<string, Failure>();

  /** The minute of this number (whole minutes since the epoch), or undefined when nothing is known to have ended in it. */
  at(minute: number): Readonly<Minute> | undefined {
    return this.#minutes.get(minute);
  }

  /** Adds a stretch; what happened before the minute `first` is left out. */
  add(stretch: EndedStretch, first: number): void {
    for (const [minute, state, count] of stretch.states) addState(this.#minute(minute), state, count);
    for (const [minute, step, count] of stretch.runs) addTo(this.#minute(minute).runs, step, count);
    for (const [minute, step, count] of stretch.waits) addTo(this.#minute(minute).waits, step, count);
    for (const [ready, left, count] of stretch.spans) {
      for (let minute = Math.max(ready, first); minute < left; minute++) {
        this.#minute(minute).waiting += count;
      }
    }
    for (const [minute, model, fname, state, count, seconds, longest] of stretch.handlers) {
      const { handlers } = this.#minute(minute);
      const key = handlerKey(model, fname);
      let tally = handlers.get(key);
      if (tally === undefined) {
        if (handlers.size >= MOST_HANDLERS) continue;
        handlers.set(key, tally = emptyHandler(model, fname));
      }
      addState(tally, state, count);
      tally.seconds += seconds;
      tally.longest = Math.max(tally.longest, longest);
    }
    for (const [model, fname, id, at, reason] of stretch.failures) {
      const key = handlerKey(model, fname);
      const known = this.failures.get(key);
      if (known !== undefined ? known.at < at : this.failures.size < MOST_HANDLERS) {
        this.failures.set(key, { id, at, reason });
      }
    }
  }

  /** Forgets the minutes before `first`. */
  drop(first: number): void {
    for (const minute of this.#minutes.keys()) if (minute < first) this.#minutes.delete(minute);
    for (const [key, { at }] of this.failures) if (at < first * 60) this.failures.delete(key);
  }

  #minute(number: number): Minute {
    let minute = this.#minutes.get(number);
    if (minute === undefined) this.#minutes.set(number, minute = new Minute());
    return minute;
  }
}

/** A handler's name as one text. */
export function handlerKey(model: string, fname: string): string {
  return `${model} ${fname}`;
}

/** A handler of which nothing has ended. */
export function emptyHandler(model: string, fname: string): HandlerTally {
  return { model, fname, completed: 0, failed: 0, canceled: 0, seconds: 0, longest: 0 };
}

/** Adds what one tally of a handler has to another. */
export function addHandler(to: HandlerTally, more: Readonly<HandlerTally>): void {
  to.completed += more.completed;
  to.failed += more.failed;
  to.canceled += more.canceled;
  to.seconds += more.seconds;
  to.longest = Math.max(to.longest, more.longest);
}

/** Adds what one histogram has to another. */
export function addHistogram(to: Histogram, more: ReadonlyMap<number, number> | undefined): void {
  for (const [step, count] of more ?? []) addTo(to, step, count);
}

/** The time in seconds that this part (0…1) of the tasks was within, or null when there are none. */
export function quantile(histogram: ReadonlyMap<number, number>, part: number): number | null {
  let left = 0;
  for (const count of histogram.values()) left += count;
  if (left === 0) return null;
  left *= part;
  const steps = [...histogram].sort(([a], [b]) => a - b);
  for (const [step, count] of steps) {
    left -= count;
    if (left <= 0) return stepSeconds(step);
  }
  return stepSeconds(steps.at(-1)?.[0] ?? 0);
}

function addTo(histogram: Histogram, step: number, count: number): void {
  histogram.set(step, (histogram.get(step) ?? 0) + count);
}

function addState(to: { completed: number; failed: number; canceled: number }, state: number, count: number) {
  if (state === State.completed) to.completed += count;
  else if (state === State.failed) to.failed += count;
  else to.canceled += count;
}
