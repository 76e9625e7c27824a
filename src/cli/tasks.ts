/**
 * `tq tasks`
 *
 * @module
 */

import { systemClock } from "../clock.ts";
import { InputError } from "../errors.ts";
import type { ListFilter, ListSort } from "../store/mod.ts";
import { STATE_DISPLAY, type TaskRecord } from "../task.ts";
import type { AddCommand } from "./add_command.ts";
import { openStore, prepare } from "./context.ts";
import { durationText, print, printJson, runtimeSeconds, statePaint } from "./output.ts";
import { type Column, table } from "./table.ts";
import { addFilterOptions, type FilterFlags, filterOf } from "./task_filter.ts";

interface Flags extends FilterFlags {
  size: string;
  start: string;
  sort: string;
  json?: true;
}

const SORTS: readonly ListSort[] = ["-id", "id", "-modified", "modified"];

/** Adds the command. */
export const addTasks: AddCommand = (program) => {
  addFilterOptions(program.command("tasks").description("list tasks, the newest first"))
    .option("--size <number>", "tasks at most, up to 1000", "25")
    .option("--start <number>", "skip so many", "0")
    .option("--sort <order>", `${SORTS.join(", ")}; a minus is descending`, "-id")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  tq tasks --state failed --search transactions")
    .action(async (flags: Flags) => {
      const filter = listOf(flags);
      await using store = await openStore(await prepare());
      const tasks = await store.list(filter);
      if (flags.json) return printJson(tasks);
      if (tasks.length === 0) return print("no tasks");
      print(await taskTable(tasks));
    });
};

const COLUMNS: readonly Column[] = [
  { head: "ID" },
  { head: "HANDLER", least: 30 },
  { head: "STATE" },
  { head: "ATTEMPTS", goes: 3 },
  { head: "RUNTIME", goes: 2 },
  { head: "AGE", goes: 1 },
  { head: "REASON", least: 16, goes: 4 },
];

function taskTable(tasks: readonly TaskRecord[]): Promise<string> {
  const now = systemClock.now();
  const rows = tasks.map((task) => [
    String(task.id),
    `${task.model} ${task.fname}`,
    { text: STATE_DISPLAY[task.state], paint: statePaint(task.state) },
    `${task.attempts}/${task.maxAttempts}`,
    durationText(runtimeSeconds(task, now)),
    durationText(Math.max(0, now - task.created.getTime()) / 1000),
    task.reason ?? "",
  ]);
  return table(COLUMNS, rows);
}

function listOf(flags: Flags): ListFilter {
  const sort = SORTS.find((one) => one === flags.sort);
  if (sort === undefined) refuse("--sort", flags.sort, `one of ${SORTS.join(", ")}`);
  return {
    ...filterOf(flags),
    sort,
    size: whole("--size", flags.size, 1, 1000),
    start: whole("--start", flags.start, 0, 1_000_000_000),
  };
}

function whole(option: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= min && value <= max) return value;
  refuse(option, text, `a whole number from ${min} to ${max}`);
}

function refuse(option: string, text: string, allowed: string): never {
  throw new InputError(`${option} is ${JSON.stringify(text)}`, { remedy: `give ${allowed}` });
}
