/**
 * What commands print.
 *
 * @module
 */

import colors from "npm:picocolors@1.1.1";
import { State, STATE_DISPLAY, type TaskRecord } from "../task.ts";

const encoder = new TextEncoder();

/** Prints text as it is; throws `BrokenPipe` when nobody reads it any more. */
export function print(text: string): void {
  const bytes = encoder.encode(text + "\n");
  for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
}

/** Prints a value as JSON. */
export function printJson(value: unknown): void {
  print(JSON.stringify(value, null, Deno.stdout.isTerminal() ? 2 : 0));
}

/** Prints `tq: what is wrong: how to mend it` on stderr. */
export function printError(text: string, remedy?: string): void {
  const line = remedy === undefined ? text : `${text}: see ${remedy}`;
  console.error(`${paint.red("tq:")} ${line.replaceAll(/\s*\n\s*/g, " ")}`);
}

/** Colours, when a person looks: not with NO_COLOR, nor through a pipe. */
export const paint: ReturnType<typeof colors.createColors> = colors.createColors(
  !Deno.noColor && Deno.stdout.isTerminal(),
);

/** The columns of the terminal, or of a pipe's reader. */
export function width(): number {
  if (!Deno.stdout.isTerminal()) return Infinity;
  try {
    return Deno.consoleSize().columns || 80;
  } catch {
    return 80;
  }
}

/** A state in its colour. */
export function stateText(state: State): string {
  const text = STATE_DISPLAY[state];
  if (state === State.completed) return paint.green(text);
  if (state === State.failed) return paint.red(text);
  if (state === State.started) return paint.cyan(text);
  return state === State.retry ? paint.yellow(text) : paint.dim(text);
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
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 60) return `${Math.round(seconds * 10) / 10} s`;
  const [minutes, hours, days] = [
    Math.floor(seconds / 60),
    Math.floor(seconds / 3600),
    Math.floor(seconds / 86_400),
  ];
  if (minutes < 60) return `${minutes} m ${Math.floor(seconds % 60)} s`;
  return hours < 24 ? `${hours} h ${minutes % 60} m` : `${days} d ${hours % 24} h`;
}

/** `3 m 20 s ago`, `in 4 s`. */
export function relativeText(date: Date | null, now: number): string {
  if (date === null) return "";
  const seconds = (now - date.getTime()) / 1000;
  return seconds >= 0 ? `${durationText(seconds)} ago` : `in ${durationText(-seconds)}`;
}

/** A table that fits the terminal: the last column is cut; none through a pipe, where columns are aligned by spaces. */
export async function table(head: readonly string[], rows: readonly (readonly string[])[]): Promise<string> {
  const { default: Table } = await import("npm:cli-table3@0.6.5");
  const widths = head.map((name, i) =>
    Math.max(name.length, ...rows.map((row) => visible(row[i] ?? "").length))
  );
  const fixed = widths.slice(0, -1).reduce((sum, one) => sum + one + 2, 0);
  const last = Math.max(8, width() - fixed - 1);
  const cut = rows.map((row) => row.map((cell, i) => i === row.length - 1 ? cutText(cell, last) : cell));
  const shape = new Table({
    head: head.map((name) => paint.dim(name)),
    chars: Object.fromEntries(EDGES.map((edge) => [edge, ""])),
    style: { "padding-left": 0, "padding-right": 2, head: [], border: [], compact: true },
  });
  shape.push(...cut);
  return shape.toString().replaceAll(/[ \t]+$/gm, "");
}

const EDGES = [
  "top",
  "top-mid",
  "top-left",
  "top-right",
  "bottom",
  "bottom-mid",
  "bottom-left",
  "bottom-right",
  "left",
  "left-mid",
  "mid",
  "mid-mid",
  "right",
  "right-mid",
  "middle",
];

function cutText(text: string, length: number): string {
  const line = text.replaceAll(/\s+/g, " ");
  return line.length <= length ? line : line.slice(0, length - 1) + "…";
}

/** Text without colours. */
function visible(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replaceAll(/\x1b\[\d+m/g, "");
}
