/**
 * Tasks on disk while Postgres cannot be reached: one file each, synced before its name appears, published by the
 * next engine or `tq publish`. A publish key of its own keeps a crash from publishing a file twice.
 *
 * @module
 */

import { join } from "node:path";
import { type Clock, systemClock } from "../clock.ts";
import { BadValueError, InputError, messageOf } from "../errors.ts";
import { logger } from "../log.ts";
import type { JsonObject } from "../task.ts";
import type { PublishOptions } from "./options.ts";
import type { TaskQueue } from "./queue.ts";

/** A spooled task, as its file holds it. Moments are milliseconds since the epoch. */
interface SpooledTask {
  readonly model: string;
  readonly fname: string;
  readonly data: JsonObject;
  readonly options: Omit<PublishOptions, "at" | "delay" | "staleAfter">;
  readonly at?: number;
  readonly staleAt?: number;
}

/** Files that were begun and never finished are removed after this long, milliseconds. */
const ABANDONED_AFTER = 3_600_000;

function spoolFolder(varFolder: string): string {
  return join(varFolder, "spool");
}

/** A publish key for a task that may be spooled: it must be there from the first try to publish on. */
export function newSpoolKey(): string {
  return `spool:${crypto.randomUUID()}`;
}

/**
 * Writes a task, checked before, to the spool. Returns when it is on disk.
 *
 * @param options with a `key`; a delay counts from now, by this machine's clock
 */
export async function spoolTask(
  varFolder: string,
  task: { model: string; fname: string; data: JsonObject; options: PublishOptions },
  clock: Clock = systemClock,
): Promise<void> {
  const { delay, at, staleAfter, ...options } = task.options;
  const moment = (value: Date | number | undefined) =>
    value === undefined ? undefined : value instanceof Date ? value.getTime() : clock.now() + value * 1000;
  const due = moment(at ?? delay);
  const staleAt = moment(staleAfter);
  const spooled: SpooledTask = {
    model: task.model,
    fname: task.fname,
    data: task.data,
    options,
    ...(due === undefined ? {} : { at: due }),
    ...(staleAt === undefined ? {} : { staleAt }),
  };
  const folder = spoolFolder(varFolder);
  await Deno.mkdir(folder, { recursive: true });
  // Names sort by age, so that tasks are published in the order they came.
  const name = `${String(clock.now()).padStart(15, "0")}-${crypto.randomUUID()}`;
  const part = join(folder, `.${name}`);
  {
    using file = await Deno.open(part, { createNew: true, write: true, mode: 0o600 });
    // Not by a stream: Deno 2.9 loses what is shorter than 64 KiB when the file is not closed by it.
    const bytes = new TextEncoder().encode(JSON.stringify(spooled));
    for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
    await file.sync();
  }
  await Deno.rename(part, join(folder, `${name}.json`));
  using directory = await Deno.open(folder);
  await directory.sync();
}

/**
 * Publishes what is in the spool, the oldest first; returns how many. A file that cannot be published ever is set
 * aside as `.bad`, and said in the log. One that is not ours to read (root's, by its cron) keeps no other waiting.
 *
 * @throws {UnreachableError} when Postgres is still away: what is left stays
 * @throws what the first file that cannot be read or removed met, after all others
 */
export async function publishSpool(
  varFolder: string,
  queue: TaskQueue,
  clock: Clock = systemClock,
): Promise<number> {
  const folder = spoolFolder(varFolder);
  let count = 0;
  const failures: unknown[] = [];
  const noted = <T>(work: Promise<T>) => work.catch((error) => void failures.push(error));
  for (const name of (await namesIn(folder)).sort()) {
    const path = join(folder, name);
    if (name.endsWith(".json")) {
      const text = await noted(readText(path));
      if (text === undefined || !await publishText(path, text, queue)) continue;
      count++;
    } else if (!name.startsWith(".") || !await isAbandoned(path, clock)) continue;
    await noted(remove(path));
  }
  if (failures.length > 0) throw failures[0];
  return count;
}

async function publishText(path: string, text: string, queue: TaskQueue): Promise<boolean> {
  try {
    const { model, fname, data, options, at, staleAt }: SpooledTask = JSON.parse(text);
    await queue.publish(model, fname, data, {
      ...options,
      ...(at === undefined ? {} : { at: new Date(at) }),
      ...(staleAt === undefined ? {} : { staleAfter: new Date(staleAt) }),
    });
    return true;
  } catch (error) {
    const isBad = error instanceof InputError || error instanceof BadValueError ||
      error instanceof SyntaxError;
    if (!isBad) throw error;
    logger("publish").error("A spooled task cannot be published; it is set aside", {
      path,
      error: messageOf(error),
    });
    // Somebody else may have done so.
    await Deno.rename(path, path.replace(/\.json$/, ".bad")).catch(() => {});
    return false;
  }
}

/** The file's text; undefined where somebody else published and removed it. */
async function readText(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return (await Array.fromAsync(Deno.readDir(folder))).map((entry) => entry.name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

async function isAbandoned(path: string, clock: Clock): Promise<boolean> {
  const modified = (await Deno.stat(path).catch(() => undefined))?.mtime?.getTime() ?? Infinity;
  return clock.now() - modified > ABANDONED_AFTER;
}

async function remove(path: string): Promise<void> {
  try {
    await Deno.remove(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
