/**
 * `tq task`
 *
 * @module
 */

import { systemClock } from "../clock.ts";
import { NotFoundError } from "../errors.ts";
import type { TaskLog, TaskRecord } from "../task.ts";
import type { AddCommand } from "./add_command.ts";
import { openStore, parseIds, prepare } from "./context.ts";
import { durationText, paint, print, printJson, relativeText, runtimeSeconds, stateText } from "./output.ts";

/** Adds the command. */
export const addTask: AddCommand = (program) => {
  program.command("task")
    .description("show one task and its log")
    .argument("<id>", "its id")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  tq task 22")
    .action(async (text: string, flags: { json?: true }) => {
      const [id = 0] = parseIds([text]);
      await using store = await openStore(await prepare());
      const [task] = await store.get([id]);
      if (task === undefined) throw new NotFoundError(`there is no task ${id}`);
      const log = await store.readLog(id);
      if (flags.json) return printJson({ ...task, log });
      print(taskText(task, log));
    });
};

function taskText(task: TaskRecord, log: readonly TaskLog[]): string {
  const now = systemClock.now();
  const moment = (date: Date | null) =>
    date === null ? "" : `${date.toISOString()}  ${relativeText(date, now)}`;
  const rows: [string, string][] = [
    ["task", String(task.id)],
    ["handler", `${task.model} ${task.fname}`],
    ["state", stateText(task.state) + (task.cancelRequested && task.state === 1 ? " (asked to cancel)" : "")],
    ["reason", task.reason ?? ""],
    ["attempts", `${task.attempts} of ${task.maxAttempts}`],
    ["runtime", durationText(runtimeSeconds(task, now))],
    ["progress", task.progress === null ? "" : `${Math.round(task.progress * 100)} %`],
    ["channel", task.channel],
    ["priority", task.priority === 0 ? "" : String(task.priority)],
    ["created", moment(task.created)],
    ["due", moment(task.scheduledFor)],
    ["stale after", moment(task.staleAfter)],
    ["started", moment(task.startedAt)],
    ["ended", moment(task.completedAt)],
    ["engine", task.engineId ?? ""],
    ["commit", task.codeVersion ?? ""],
    ["key", task.publishKey ?? ""],
    ["unique", task.uniqueKey ?? ""],
    ["data", JSON.stringify(task.data)],
    ["result", task.result === null ? "" : JSON.stringify(task.result)],
  ];
  const lines = rows.filter(([, value]) => value !== "").map(([name, value]) =>
    `${paint.dim(name.padEnd(12))}${value}`
  );
  if (log.length > 0) {
    lines.push("", paint.dim("log"));
    for (const line of log) {
      lines.push(
        `${paint.dim(line.created.toISOString())} ${line.kind}: ${line.text.replaceAll("\n", "\n    ")}`,
      );
    }
  }
  return lines.join("\n");
}
