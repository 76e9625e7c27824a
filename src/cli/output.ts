/**
 * What commands print.
 *
 * @module
 */

import colors from "npm:picocolors@1.1.1";
import { State, STATE_DISPLAY, type TaskRecord } from "../task.ts";

const encoder = new TextEncoder();

/** Writes text to stdout as it is; throws `BrokenPipe` when nobody reads it any more. */
export function write(text: string): void {
  const bytes = encoder.encode(text);
  for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
}

/** Prints a line. What it holds of a task has been through `plain`. */
export function print(text: string): void {
  write(text + "\n");
}

/** Prints a value as JSON: one line through a pipe, several for a person. */
export function printJson(value: unknown): void {
  // Inside strings alone, where JSON may escape any character.
  print(JSON.stringify(value, null, Deno.stdout.isTerminal() ? 2 : 0).replaceAll(UNSAFE_IN_JSON, escape));
}

/** Prints `tq: what is wrong: how to mend it` on stderr, on one line. */
export function printError(text: string): void {
  console.error(`${paintError.red("tq:")} ${text.replaceAll(/\s+/g, " ").trim().replaceAll(UNSAFE, escape)}`);
}

/** Controls, among them ESC, and marks that turn the order of what follows. */
const UNSAFE = /[\p{Cc}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;
const UNSAFE_IN_JSON = /[\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;
/** Colours, which say nothing. */
// deno-lint-ignore no-control-regex
const COLOR = /\x1b\[[\d;]*m/g;

/**
 * Text from outside (names, data, reasons, logs), as a terminal may be given it: without colours, and with
 * whatever else would move the cursor, set the title or turn text around as `\u001b`. Keeps tabs and line ends.
 */
export function plain(text: string): string {
  return text.replaceAll(COLOR, "").replaceAll("\r\n", "\n").replaceAll(
    UNSAFE,
    (one) => one === "\n" || one === "\t" ? one : escape(one),
  );
}

/** As `plain`, on one line. */
export function oneLine(text: string): string {
  return plain(text).replaceAll(/\s+/g, " ").trim();
}

function escape(one: string): string {
  return `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** Colours on stdout, when a person looks: not with NO_COLOR, nor through a pipe. */
export const paint = paintFor(Deno.stdout);
const paintError = paintFor(Deno.stderr);

function paintFor(stream: { isTerminal(): boolean }): ReturnType<typeof colors.createColors> {
  return colors.createColors(!Deno.noColor && stream.isTerminal() && Deno.env.get("TERM") !== "dumb");
}

/** The columns of the terminal on stdout; no limit through a pipe. */
export function width(): number {
  if (!Deno.stdout.isTerminal()) return Infinity;
  try {
    return Deno.consoleSize().columns || 80;
  } catch {
    return 80;
  }
}

/** The colour of a state. */
export function statePaint(state: State): (text: string) => string {
  if (state === State.completed) return paint.green;
  if (state === State.failed) return paint.red;
  if (state === State.started) return paint.cyan;
  return state === State.retry ? paint.yellow : paint.dim;
}

/** A state in its colour. */
export function stateText(state: State): string {
  return statePaint(state)(STATE_DISPLAY[state]);
}

/** Seconds of the last run, up to now when it goes on; undefined when it has not started. */
export function runtimeSeconds(task: TaskRecord, now: number): number | undefined {
  if (task.startedAt === null) return undefined;
  const end = task.state === State.started ? now : (task.completedAt ?? task.modified).getTime();
  return Math.max(0, end - task.startedAt.getTime()) / 1000;
}

/** `45 ms`, `2.5 s`, `3 m 20 s`, `4 h 5 m`, `3 d 4 h`. */
export function durationText(seconds: number | undefined): string {
  if (seconds === undefined) return "";
  if (seconds < 0.9995) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 59.95) return `${Math.round(seconds * 10) / 10} s`;
  const whole = Math.round(seconds);
  const [minutes, hours, days] = [60, 3600, 86_400].map((unit) => Math.floor(whole / unit)) as [
    number,
    number,
    number,
  ];
  if (minutes < 60) return `${minutes} m ${whole % 60} s`;
  return hours < 24 ? `${hours} h ${minutes % 60} m` : `${days} d ${hours % 24} h`;
}

/** `12`, `1,234`. */
export function countText(count: number): string {
  return count.toLocaleString("en");
}

/** `task`, or `tasks`. */
export function taskNoun(count: number): string {
  return count === 1 ? "task" : "tasks";
}

/** `1 task`, `1,234 failed tasks`. */
export function tasksText(count: number, kind = ""): string {
  return `${countText(count)} ${kind}${kind === "" ? "" : " "}${taskNoun(count)}`;
}

/** `3 m 20 s ago`, `in 4 s`. */
export function relativeText(date: Date, now: number): string {
  const seconds = (now - date.getTime()) / 1000;
  return seconds >= 0 ? `${durationText(seconds)} ago` : `in ${durationText(-seconds)}`;
}
