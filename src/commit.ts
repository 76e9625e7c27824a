/**
 * The commit that a checkout is at, read from git's own files: git need not be installed. They are read at one go, for
 * the reason that `selfFingerprint` has: it is done every few seconds.
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
export function gitFolder(folder: string): string | undefined {
  // Upward from where it really is: the parent of a link is not that of its target.
  let at = realPath(folder);
  while (at !== undefined) {
    const path = join(at, ".git");
    const found = statOf(path);
    if (found?.isDirectory) return path;
    if (found !== undefined) {
      const target = /^gitdir: (.+)$/m.exec(read(path) ?? "")?.[1]?.trim();
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
export function readCommit(folder: string): string | undefined {
  return commitOf(folder, gitFolder(folder));
}

/** `readCommit`, where git's folder is known. */
export function commitOf(folder: string, git: string | undefined): string | undefined {
  const value = (git === undefined ? read(join(folder, "REVISION")) : headOf(git))?.trim();
  return value !== undefined && /^[0-9a-f]{40}([0-9a-f]{24})?$/.test(value) ? value : undefined;
}

function headOf(git: string): string | undefined {
  // A worktree has its own HEAD, but shares refs with the repository it belongs to.
  const common = read(join(git, "commondir"))?.trim();
  const shared = common === undefined ? git : isAbsolute(common) ? common : join(git, common);
  let value = read(join(git, "HEAD"))?.trim();
  for (let hops = 0; value?.startsWith("ref: ") && hops < 5; hops++) {
    const name = value.slice(5).trim();
    value = (read(join(git, name)) ?? read(join(shared, name)))?.trim() ?? packed(shared, name);
  }
  return value;
}

/**
 * Whether git is changing the files of the checkout that `folder` is in, or has stopped amid a rebase.
 *
 * @param now milliseconds since the epoch: the lock of a git that died long ago counts for nothing
 */
export function isGitBusy(folder: string, now: number): boolean {
  const git = gitFolder(folder);
  if (git === undefined) return false;
  return SEQUENCES.some((name) => statOf(join(git, name)) !== undefined) || isLocked(git, now);
}

/**
 * A text that is another one when git has changed files of the checkout that `folder` is in, or a link leads to
 * another checkout: what was read between two equal ones belongs together. Undefined while git changes files.
 *
 * @param now see `isGitBusy`
 */
export function checkoutStamp(folder: string, now: number): string | undefined {
  const git = gitFolder(folder);
  if (git === undefined) return realPath(folder) ?? "";
  // A pull locks the index, writes files, and moves HEAD last.
  return isLocked(git, now) ? undefined : `${git} ${headOf(git)}`;
}

function isLocked(git: string, now: number): boolean {
  for (const name of LOCKS) {
    const lock = statOf(join(git, name));
    if (lock !== undefined && now - (lock.mtime?.getTime() ?? 0) < STALE_LOCK) return true;
  }
  return false;
}

function packed(folder: string, name: string): string | undefined {
  const lines = read(join(folder, "packed-refs"))?.split("\n") ?? [];
  return lines.find((line) => line.endsWith(` ${name}`))?.split(" ")[0];
}

function statOf(path: string): Deno.FileInfo | undefined {
  return unlessMissing(() => Deno.statSync(path));
}

function read(path: string): string | undefined {
  return unlessMissing(() => Deno.readTextFileSync(path));
}

function realPath(path: string): string | undefined {
  try {
    return Deno.realPathSync(path);
  } catch {
    return undefined;
  }
}

/** Undefined for what is not there, is no file, or may not be read: git's folder can belong to somebody else. */
function unlessMissing<T>(ask: () => T): T | undefined {
  const { IsADirectory, NotADirectory, NotFound, PermissionDenied } = Deno.errors;
  try {
    return ask();
  } catch (error) {
    if ([IsADirectory, NotADirectory, NotFound, PermissionDenied].some((kind) => error instanceof kind)) {
      return undefined;
    }
    throw error;
  }
}
