/**
 * Repositories for tests, made with git itself.
 *
 * @module
 */

import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { type TempFolder, tempFolder } from "./fixtures.ts";

/** Whoever commits; and nothing of the machine's own settings. A hook that runs tests would hand its repository down. */
const ENVIRONMENT = {
  PATH: Deno.env.get("PATH") ?? "",
  GIT_CONFIG_GLOBAL: "/dev/null",
  GIT_CONFIG_NOSYSTEM: "1",
  GIT_EDITOR: "true",
  GIT_AUTHOR_NAME: "tq",
  GIT_AUTHOR_EMAIL: "tq@example.com",
  GIT_COMMITTER_NAME: "tq",
  GIT_COMMITTER_EMAIL: "tq@example.com",
};

/** A git that is about to run in `folder`; submodules may be fetched from other folders. */
export function gitCommand(folder: string, ...args: string[]): Deno.Command {
  return new Deno.Command("git", {
    args: ["-c", "protocol.file.allow=always", ...args],
    cwd: folder,
    clearEnv: true,
    env: ENVIRONMENT,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
}

/** Runs git in `folder`; returns what it says. Rejects when it fails. */
export async function git(folder: string, ...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await gitCommand(folder, ...args).output();
  assert.ok(success, `git ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout).trim();
}

/** A repository with one commit, on the branch `main`. `options` are those of `git init`. */
export async function repository(...options: string[]): Promise<TempFolder> {
  const folder = await tempFolder();
  await git(folder.path, "init", "--quiet", "--initial-branch=main", ...options);
  await commit(folder.path);
  return folder;
}

/** Writes files, commits all that changed, and returns the commit. */
export async function commit(folder: string, files: Readonly<Record<string, string>> = {}): Promise<string> {
  for (const [name, text] of Object.entries(files)) {
    await Deno.mkdir(dirname(join(folder, name)), { recursive: true });
    await Deno.writeTextFile(join(folder, name), text);
  }
  await git(folder, "add", "--all");
  await git(folder, "commit", "--quiet", "--allow-empty", "--message=more");
  return await head(folder);
}

/** What git itself says is checked out. */
export function head(folder: string): Promise<string> {
  return git(folder, "rev-parse", "HEAD");
}
