/**
 * `tq __complete` (hidden): what a shell offers at TAB, a word a line. It is quick, silent whatever happens, starts
 * nothing and imports no handler: functions are read from the text of their file.
 *
 * @module
 */

import { dirname } from "node:path";
import { systemClock, within } from "../clock.ts";
import { COMPILED } from "../self.ts";
import type { Settings } from "../settings.ts";
import type { TaskName } from "../store/mod.ts";
import { CHANNEL_PATTERN, FUNCTION_PATTERN, MODEL_PATTERN, STATE_DISPLAY, TERMINAL_STATES } from "../task.ts";
import type { AddCommand } from "./add_command.ts";
import { print } from "./output.ts";

/** What can be asked for. */
export type Asked = "channels" | "models" | "functions" | "states" | "tasks" | "ended" | "open";

/** Nobody waits longer at TAB, milliseconds. */
const DEADLINE = 1000;
/** Tasks that are looked at, the newest. */
const NEWEST = 1000;
/** Ids that are offered. */
const MOST_IDS = 50;

/** Adds the command. */
export const addComplete: AddCommand = (program) => {
  program.command("__complete", { hidden: true })
    .description("what a shell offers at TAB")
    .argument("<what>", "channels, models, functions, states, tasks, ended or open")
    .argument("[model]", "the model whose functions are asked for")
    .action(async (what: Asked, model: string | undefined) => {
      const words = await wordsOf(what, model).catch(() => []);
      if (words.length > 0) print(words.join("\n"));
    });
};

async function wordsOf(what: Asked, model: string | undefined): Promise<readonly (string | number)[]> {
  if (what === "states") return Object.values(STATE_DISPLAY);
  const { loadSettings } = await import("../config.ts");
  const settings = loadSettings({ executableFolder: COMPILED ? dirname(Deno.execPath()) : undefined });
  const tasks = await within(systemClock, DEADLINE, newest(settings).catch(() => [])) ?? [];
  const ids = (some: readonly TaskName[]) => some.slice(0, MOST_IDS).map((task) => task.id);
  switch (what) {
    case "channels":
      return names(CHANNEL_PATTERN, [
        ...settings.TQ_SUBSCRIBE.map((subscription) => subscription.channel),
        ...tasks.map((task) => task.channel),
      ]);
    case "models":
      return names(MODEL_PATTERN, [...await modelsOf(settings), ...tasks.map((task) => task.model)]);
    case "functions":
      return names(FUNCTION_PATTERN, [
        ...model === undefined ? [] : await functionsOf(settings, model),
        ...tasks.filter((task) => model === undefined || task.model === model).map((task) => task.fname),
      ]);
    case "tasks":
      return ids(tasks);
    case "ended":
      return ids(tasks.filter((task) => TERMINAL_STATES.includes(task.state)));
    case "open":
      return ids(tasks.filter((task) => !TERMINAL_STATES.includes(task.state)));
    default:
      return [];
  }
}

/** Each once, in order; what a row may be called otherwise is nothing to give to a shell. */
function names(pattern: RegExp, all: readonly string[]): string[] {
  return [...new Set(all)].filter((name) => pattern.test(name)).sort();
}

async function newest(settings: Settings): Promise<readonly TaskName[]> {
  const { connectStore } = await import("../store/connect.ts");
  await using store = connectStore(settings, {
    applicationName: "tq completions",
    connections: 1,
    startsEmbedded: false,
  });
  return await store.newest(NEWEST, { deadline: DEADLINE });
}

async function folderOf(settings: Settings) {
  const { HandlerFolder } = await import("../handler/resolve.ts");
  return new HandlerFolder(settings.handlersFolder ?? "", true);
}

async function modelsOf(settings: Settings): Promise<string[]> {
  if (settings.handlersFolder === undefined) return [];
  const { stems } = await (await folderOf(settings)).scan();
  return stems.map((stem) => stem.replace("/", "."));
}

/** The static methods of a class, or the exported functions of a module. */
async function functionsOf(settings: Settings, model: string): Promise<string[]> {
  if (settings.handlersFolder === undefined || !MODEL_PATTERN.test(model)) return [];
  const folder = await folderOf(settings);
  const found = await folder.find(model.replace(".", "/")) ?? await folder.find(model.split(".")[0] ?? "");
  if (found === undefined || "refused" in found) return [];
  const text = await Deno.readTextFile(new URL(found.url));
  const form = model.includes(".")
    ? /^\s*static\s+(?:async\s+)?(\w+)\s*[(<]/gm
    : /^\s*export\s+(?:async\s+)?(?:function|const)\s+(\w+)/gm;
  return [...text.matchAll(form)].map(([, name = ""]) => name);
}
