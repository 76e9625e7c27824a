/**
 * Where a project is: the folder that has `tq.json` or `handlers/`.
 *
 * @module
 */

import { dirname, join, resolve } from "node:path";
import { SettingsError } from "./errors.ts";

/**
 * The root: `set`, where it is; else the nearest folder from `folder` upward, else from the executable's.
 *
 * @throws {SettingsError} when `set` is no folder
 */
export function findRoot(
  set: unknown,
  folder: string,
  executableFolder: string | undefined,
): string | undefined {
  if (set !== undefined && set !== "") {
    const root = resolve(folder, String(set));
    if (isFolder(root)) return root;
    throw new SettingsError(`TQ_ROOT is ${JSON.stringify(String(set))}, which is not a folder`, {
      remedy: "give the folder that has handlers/ in it",
    });
  }
  for (const start of [folder, executableFolder]) {
    for (let at = start; at !== undefined; at = dirname(at) === at ? undefined : dirname(at)) {
      if (isFile(join(at, "tq.json")) || isFolder(join(at, "handlers"))) return at;
    }
  }
  return undefined;
}

function isFolder(path: string): boolean {
  return statOf(path)?.isDirectory ?? false;
}

function isFile(path: string): boolean {
  return statOf(path)?.isFile ?? false;
}

function statOf(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.statSync(path);
  } catch {
    return undefined;
  }
}
