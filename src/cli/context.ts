/**
 * What commands start from: settings, a log, a store or a queue.
 *
 * @module
 */

import { dirname } from "node:path";
import type { Settings, SettingsInput } from "../config.ts";
import { InputError } from "../errors.ts";
import { COMPILED } from "../self.ts";

/** Loads the settings, and sends the log to `write`: stderr from `warning` on, unless said otherwise. */
export async function prepare(
  flags: SettingsInput = {},
  log: { write?: (line: string) => void; quiet?: boolean } = {},
): Promise<Settings> {
  const [{ loadSettings }, { configureLog, logger }] = await Promise.all([
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
    write: log.write ?? ((line) => console.error(line)),
  });
  for (const { name, nearest } of settings.unknown) {
    logger("settings").warn("Unknown setting in the environment", { name, meant: nearest });
  }
  return settings;
}

/** A queue on the settings; dispose of it. */
export async function openQueue(settings: Settings) {
  const { TaskQueue } = await import("../publish/queue.ts");
  return new TaskQueue(settings);
}

/** A store on the settings, its schema checked; dispose of it. */
export async function openStore(settings: Settings) {
  const { connectStore } = await import("../store/connect.ts");
  const store = connectStore(settings, { applicationName: "tq", connections: 1 });
  try {
    await store.open(1);
    return store;
  } catch (error) {
    await store.close();
    throw error;
  }
}

/** Reads task ids from arguments. */
export function parseIds(texts: readonly string[]): number[] {
  return texts.flatMap((text) => text.split(",")).filter((text) => text !== "").map((text) => {
    const id = Number(text);
    if (/^\d+$/.test(text) && Number.isSafeInteger(id) && id > 0) return id;
    throw new InputError(`${JSON.stringify(text)} is not a task's id`, {
      remedy: "give whole numbers from 1",
    });
  });
}
