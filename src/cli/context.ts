/**
 * What commands start from: settings, a log, a store or a queue.
 *
 * @module
 */

import { dirname } from "node:path";
import type { Settings, SettingsInput } from "../settings.ts";
import { InputError, NotFoundError } from "../errors.ts";
import { COMPILED } from "../self.ts";
import { plain, printError, taskNoun } from "./output.ts";

/** Seconds for which a command tries to publish while Postgres does not answer; a program has more patience. */
const PATIENCE = 4;

/** Loads the settings, and sends the log to `write`: stderr from `warning` on, unless said otherwise. */
export async function prepare(
  flags: SettingsInput = {},
  log: { write?: (line: string) => void; quiet?: boolean } = {},
): Promise<Settings> {
  const [{ loadSettings }, { configureLog }] = await Promise.all([
    import("../config.ts"),
    import("../log.ts"),
  ]);
  const settings = loadSettings({
    flags,
    executableFolder: COMPILED ? dirname(Deno.execPath()) : undefined,
  });
  const quiet = log.quiet ?? true;
  await configureLog({
    level: quiet && settings.given.TQ_LOG_LEVEL === undefined ? "warning" : settings.TQ_LOG_LEVEL,
    format: settings.TQ_LOG_FORMAT,
    write: log.write ?? ((line) => console.error(plain(line))),
  });
  // Processes that a command starts do not say it again.
  for (const { name, nearest } of quiet ? settings.unknown : []) {
    const remedy = nearest === undefined ? "see docs/settings.md" : `did you mean ${nearest}?`;
    printError(`warning: ${name} in the environment is no setting: ${remedy}`);
  }
  return settings;
}

/** A queue on the settings; dispose of it. */
export async function openQueue(settings: Settings) {
  const { TaskQueue } = await import("../publish/queue.ts");
  return new TaskQueue(settings, { patience: PATIENCE });
}

/** A store on the settings, its schema checked; dispose of it. */
export async function openStore(settings: Settings) {
  const { connectStore } = await import("../store/connect.ts");
  const store = connectStore(settings, { applicationName: "tq", connections: 1 });
  try {
    await store.open(0);
    return store;
  } catch (error) {
    await store.close();
    throw error;
  }
}

/** Reads task ids from arguments: several, or separated by commas; each once. */
export function parseIds(texts: readonly string[]): number[] {
  const ids = texts.flatMap((text) => text.split(",")).map((text) => {
    const id = Number(text);
    if (/^\d+$/.test(text) && Number.isSafeInteger(id) && id > 0) return id;
    throw new InputError(`${JSON.stringify(text)} is not a task's id`, {
      remedy: "give whole numbers from 1",
    });
  });
  return [...new Set(ids)];
}

/** Reads the id of one task. */
export function parseId(text: string): number {
  const [id = 0, ...more] = parseIds([text]);
  if (more.length === 0) return id;
  throw new InputError("several ids are given", { remedy: "give one" });
}

/** The error for an id that no task has. */
export function noTask(id: number): NotFoundError {
  return new NotFoundError(`there is no task ${id}`, { remedy: "see tq tasks" });
}

/** `task 22`, `tasks 22, 23`. */
export function idsText(ids: readonly number[]): string {
  return `${taskNoun(ids.length)} ${ids.join(", ")}`;
}
