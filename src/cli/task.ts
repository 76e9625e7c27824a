/**
 * `tq task`
 *
 * @module
 */

import { systemClock } from "../clock.ts";
import type { Store } from "../store/mod.ts";
import { State, type TaskLog, type TaskRecord } from "../task.ts";
import type { AddCommand } from "./add_command.ts";
import { noTask, openStore, parseId, prepare } from "./context.ts";
import {
  durationText,
  paint,
  plain,
  print,
  printJson,
  relativeText,
  runtimeSeconds,
  stateText,
} from "./output.ts";

/** Adds the command. */
export const addTask: AddCommand = (program) => {
  program.command("task")
    .description("show one task and its log")
    .argument("<id>", "its id")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  tq task 22")
    .action(async (text: string, flags: { json?: true }) => {
      const id = parseId(text);
      await using store = await openStore(await prepare());
      const [task] = await store.get([id]);
      if (task === undefined) throw noTask(id);
      const log = await wholeLog(store, id);
      if (flags.json) return printJson({ ...task, log });
      print(taskText(task, log));
    });
};

/** Lines of a log that are read at a time. */
const LINES = 1000;

async function wholeLog(store: Store, id: number): Promise<TaskLog[]> {
  const log: TaskLog[] = [];
  for (;;) {
    const lines = await store.readLog(id, log.at(-1)?.id, LINES);
    log.push(...lines);
    if (lines.length < LINES) return log;
  }
}

/** How far values are indented. */
const INDENT = 12;

function taskText(task: TaskRecord, log: readonly TaskLog[]): string {
  const now = systemClock.now();
  const moment = (date: Date | null) =>
    date === null ? "" : `${date.toISOString()}  ${relativeText(date, now)}`;
  const asked = task.cancelRequested && task.state === State.started ? " (asked to stop)" : "";
  const rows: [string, string][] = [
    ["task", String(task.id)],
    ["handler", plain(`${task.model} ${task.fname}`)],
    ["state", stateText(task.state) + asked],
    ["reason", plain(task.reason ?? "")],
    ["attempts", `${task.attempts} of ${task.maxAttempts}`],
    ["runtime", durationText(runtimeSeconds(task, now))],
    ["progress", task.progress === null ? "" : `${Math.round(task.progress * 100)} %`],
    ["channel", plain(task.channel)],
    ["priority", task.priority === 0 ? "" : String(task.priority)],
    ["created", moment(task.created)],
    ["due", moment(task.scheduledFor)],
    ["stale after", moment(task.staleAfter)],
    ["started", moment(task.startedAt)],
    ["ended", moment(task.completedAt)],
    ["engine", task.engineId ?? ""],
    ["commit", plain(task.codeVersion ?? "")],
    ["key", plain(task.publishKey ?? "")],
    ["unique", plain(task.uniqueKey ?? "")],
    ["data", plain(JSON.stringify(task.data))],
    ["result", task.result === null ? "" : plain(JSON.stringify(task.result))],
  ];
  const lines = rows.filter(([, value]) => value !== "").map(([name, value]) =>
    paint.dim(name.padEnd(INDENT)) + indented(value, INDENT)
  );
  if (log.length > 0) lines.push("", paint.dim("log"));
  for (const { created, kind, text } of log) {
    lines.push(`${paint.dim(created.toISOString())} ${plain(kind)}: ${indented(plain(text), 4)}`);
  }
  return lines.join("\n");
}

/** Text whose lines after the first are indented. */
function indented(text: string, by: number): string {
  return text.trimEnd().replaceAll("\n", "\n" + " ".repeat(by));
}
