/**
 * Imports one handler module and says in one line why it does not import.
 *
 * @module
 */

import { types } from "node:util";
import { pathToFileURL } from "node:url";
import { systemClock } from "../clock.ts";
import { HandlerModuleError, messageOf } from "../errors.ts";
import { type Model, readModels } from "./exports.ts";
import type { HandlerFile, HandlerFolder } from "./resolve.ts";

/** The longest message kept of an import that failed, in characters. */
const MESSAGE_LIMIT = 500;
/** Milliseconds before a module that is still being run is looked at again. */
const UNFINISHED_PAUSE = 20;

/** A handler module that was imported, or why it could not be. */
export interface HandlerModule {
  /** Relative to the handlers folder. */
  readonly file: string;
  /** By name; none after a failure. */
  readonly models: ReadonlyMap<string, Model>;
  readonly failure: HandlerModuleError | undefined;
  /** It failed because this executable loads no TypeScript. */
  readonly typescript: boolean;
}

/** A module that is not to be had. */
export function failedModule(file: string, failure: HandlerModuleError, typescript = false): HandlerModule {
  return { file, models: new Map(), failure, typescript };
}

/** Imports a module. Never rejects; never settles when the module waits for ever at its top level. */
export async function importModule(
  folder: HandlerFolder,
  stem: string,
  found: HandlerFile,
): Promise<HandlerModule> {
  const shown = folder.show(found.file);
  for (;;) {
    let namespace: unknown;
    try {
      namespace = await import(found.url);
    } catch (error) {
      const why = describeImportError(error, folder);
      return failedModule(
        found.file,
        new HandlerModuleError(`${shown} does not import: ${why}`, { cause: error }),
      );
    }
    try {
      if (!isNamespace(namespace)) {
        throw new HandlerModuleError(`${shown} exports a function named then, which every import calls`, {
          remedy: "rename it",
        });
      }
      const models = readModels(stem, namespace, shown);
      return { file: found.file, models, failure: undefined, typescript: false };
    } catch (error) {
      if (error instanceof HandlerModuleError) return failedModule(found.file, error);
      // Deno 2.9 may resolve an import while the module still waits at its top level, when another module that imports
      // it has begun to run it: its exports cannot be read yet.
      if (error instanceof ReferenceError) {
        await systemClock.sleep(UNFINISHED_PAUSE);
        continue;
      }
      const failure = new HandlerModuleError(`${shown} cannot be read: ${messageOf(error)}`, {
        cause: error,
      });
      return failedModule(found.file, failure);
    }
  }
}

function isNamespace(value: unknown): value is object {
  return types.isModuleNamespaceObject(value);
}

/** The first line of what was thrown, and the position that it names. */
function describeImportError(error: unknown, folder: HandlerFolder): string {
  const { message, stack } = partsOf(error);
  const line = shorten(message.split("\n", 1)[0] ?? "", folder);
  const position = positionIn(message, folder) ?? positionIn(stack, folder);
  const cut = line.length > MESSAGE_LIMIT ? `${line.slice(0, MESSAGE_LIMIT)}…` : line;
  return position === undefined || line.includes(position) ? cut : `${cut} (${position})`;
}

/** A handler can throw anything, with getters that throw as well. */
function partsOf(error: unknown): { message: string; stack: string } {
  try {
    if (!(error instanceof Error)) return { message: clean(`${String(error)} was thrown`), stack: "" };
    return { message: clean(error.message).trim() || error.name, stack: clean(error.stack ?? "") };
  } catch {
    return { message: "something without a text was thrown", stack: "" };
  }
}

/** Deno colours its messages even where there is no terminal. */
function clean(text: string): string {
  // deno-lint-ignore no-control-regex
  return String(text).replaceAll(/\x1b\[[0-9;]*m/g, "").replaceAll(/[^\P{Cc}\n]/gu, " ");
}

/** tq's own code, which a handler may call while it is imported. */
const OWN_CODE = new URL("..", import.meta.url).href;

/** The first position in a file of the handlers folder, else the first in any other file but tq's own. */
function positionIn(text: string, folder: HandlerFolder): string | undefined {
  // From this file on, a stack tells who imports; a compiled executable's may hold nothing else.
  const [before = ""] = text.split(import.meta.url, 1);
  const positions = [...before.matchAll(/file:\/\/[^\n]*?:\d+:\d+/g)].map(([position]) => position)
    .filter((position) => !position.startsWith(OWN_CODE))
    .map((position) => shorten(position, folder));
  return positions.find((position) => !position.startsWith("file:")) ?? positions[0];
}

/** Names files of the handlers folder as people do. Deno writes addresses encoded in some messages only. */
function shorten(text: string, folder: HandlerFolder): string {
  const address = `${pathToFileURL(folder.path).href}/`;
  return text.replaceAll(address, folder.show("") + "/").replaceAll(
    decodeURI(address),
    folder.show("") + "/",
  );
}
