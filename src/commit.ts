/**
 * The commit that a checkout is at, read from git's own files: git need not be installed.
 *
 * @module
 */

import { isAbsolute, join } from "node:path";

/** The folder that git keeps for the checkout at `root` (a `.git` file is followed), or undefined. */
export async function gitFolder(root: string): Promise<string | undefined> {
  const path = join(root, ".git");
  try {
    if ((await Deno.stat(path)).isDirectory) return path;
    const target = /^gitdir: (.+)$/m.exec(await Deno.readTextFile(path))?.[1]?.trim();
    return target === undefined ? undefined : isAbsolute(target) ? target : join(root, target);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** The commit of the checkout at `root`: 40 hexadecimal digits (64 with SHA-256), or undefined. */
export async function readCommit(root: string): Promise<string | undefined> {
  const folder = await gitFolder(root);
  if (folder === undefined) return undefined;
  // A worktree has its own HEAD, but shares refs with the repository it belongs to.
  const common = (await read(join(folder, "commondir")))?.trim();
  const shared = common === undefined ? folder : isAbsolute(common) ? common : join(folder, common);
  let value = (await read(join(folder, "HEAD")))?.trim();
  for (let hops = 0; value?.startsWith("ref: ") && hops < 5; hops++) {
    const name = value.slice(5).trim();
    value = (await read(join(folder, name)) ?? await read(join(shared, name)))?.trim() ??
      await packed(shared, name);
  }
  return value !== undefined && /^[0-9a-f]{40}([0-9a-f]{24})?$/.test(value) ? value : undefined;
}

async function packed(folder: string, name: string): Promise<string | undefined> {
  const lines = (await read(join(folder, "packed-refs")))?.split("\n") ?? [];
  return lines.find((line) => line.endsWith(` ${name}`))?.split(" ")[0];
}

async function read(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return undefined;
    if (error instanceof Deno.errors.IsADirectory) return undefined;
    throw error;
  }
}
