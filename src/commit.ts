/**
 * The commit that a checkout is at, read from git's own files: git need not be installed.
 *
 * @module
 */

import { dirname, isAbsolute, join } from "node:path";

/** A lock that is older than this was left by a git that died, milliseconds. */
const STALE_LOCK = 60_000;
/** Git holds these while it changes files. */
const LOCKS = ["index.lock", "HEAD.lock"];
/** And these are there while commits are applied one after the other, also while a conflict waits for a person. */
const SEQUENCES = ["rebase-merge", "rebase-apply", "sequencer"];

/**
 * The folder that git keeps for the checkout that `folder` is in, or undefined. Looked for upward, as git does; a
 * `.git` file, as worktrees and submodules have, is followed.
 */
export async function gitFolder(folder: string): Promise<string | undefined> {
  // Upward from where it really is: the parent of a link is not that of its target.
  let at = await Deno.realPath(folder).catch(() => undefined);
  while (at !== undefined) {
    const path = join(at, ".git");
    const found = await statOf(path);
    if (found?.isDirectory) return path;
    if (found !== undefined) {
      const target = /^gitdir: (.+)$/m.exec(await read(path) ?? "")?.[1]?.trim();
      return target === undefined ? undefined : isAbsolute(target) ? target : join(at, target);
    }
    at = dirname(at) === at ? undefined : dirname(at);
  }
  return undefined;
}

/**
 * The commit of the checkout that `folder` is in: 40 hexadecimal digits (64 with SHA-256), or undefined. Where there
 * is no git, what the file `REVISION` in `folder` says, which Capistrano writes.
 */
export async function readCommit(folder: string): Promise<string | undefined> {
  return await commitOf(folder, await gitFolder(folder));
}

/** `readCommit`, where git's folder is known. */
export async function commitOf(folder: string, git: string | undefined): Promise<string | undefined> {
  const value = (git === undefined ? await read(join(folder, "REVISION")) : await headOf(git))?.trim();
  return value !== undefined && /^[0-9a-f]{40}([0-9a-f]{24})?$/.test(value) ? value : undefined;
}

async function headOf(git: string): Promise<string | undefined> {
  // A worktree has its own HEAD, but shares refs with the repository it belongs to.
  const common = (await read(join(git, "commondir")))?.trim();
  const shared = common === undefined ? git : isAbsolute(common) ? common : join(git, common);
  let value = (await read(join(git, "HEAD")))?.trim();
  for (let hops = 0; value?.startsWith("ref: ") && hops < 5; hops++) {
    const name = value.slice(5).trim();
    value = (await read(join(git, name)) ?? await read(join(shared, name)))?.trim() ??
      await packed(shared, name);
  }
  return value;
}

/**
 * Whether git is changing the files of the checkout that `folder` is in, or has stopped amid a rebase.
 *
 * @param now milliseconds since the epoch: the lock of a git that died long ago counts for nothing
 */
export async function isGitBusy(folder: string, now: number): Promise<boolean> {
  const git = await gitFolder(folder);
  if (git === undefined) return false;
  for (const name of SEQUENCES) if (await statOf(join(git, name)) !== undefined) return true;
  return await isLocked(git, now);
}

/**
 * A text that is another one when git has changed files of the checkout that `folder` is in, or a link leads to
 * another checkout: what was read between two equal ones belongs together. Undefined while git changes files.
 *
 * @param now see `isGitBusy`
 */
export async function checkoutStamp(folder: string, now: number): Promise<string | undefined> {
  const git = await gitFolder(folder);
  if (git === undefined) return await Deno.realPath(folder).catch(() => "");
  // A pull locks the index, writes files, and moves HEAD last.
  return await isLocked(git, now) ? undefined : `${git} ${await headOf(git)}`;
}

async function isLocked(git: string, now: number): Promise<boolean> {
  for (const name of LOCKS) {
    const lock = await statOf(join(git, name));
    if (lock !== undefined && now - (lock.mtime?.getTime() ?? 0) < STALE_LOCK) return true;
  }
  return false;
}

async function packed(folder: string, name: string): Promise<string | undefined> {
  const lines = (await read(join(folder, "packed-refs")))?.split("\n") ?? [];
  return lines.find((line) => line.endsWith(` ${name}`))?.split(" ")[0];
}

async function statOf(path: string): Promise<Deno.FileInfo | undefined> {
  return await unlessMissing(Deno.stat(path));
}

async function read(path: string): Promise<string | undefined> {
  return await unlessMissing(Deno.readTextFile(path));
}

/** Undefined for what is not there, is no file, or may not be read: git's folder can belong to somebody else. */
async function unlessMissing<T>(asked: Promise<T>): Promise<T | undefined> {
  const { IsADirectory, NotADirectory, NotFound, PermissionDenied } = Deno.errors;
  try {
    return await asked;
  } catch (error) {
    if ([IsADirectory, NotADirectory, NotFound, PermissionDenied].some((kind) => error instanceof kind)) {
      return undefined;
    }
    throw error;
  }
}
