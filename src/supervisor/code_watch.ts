/**
 * Notices that other code is there: a commit, another folder behind the root's name, or a new tq.
 *
 * The git directory is watched for a hint, and looked at every 5 s whatever the watch says: it can miss, and it is
 * not to be had everywhere. What counts is the commit that HEAD names, so `git status`, `fetch` and `gc` change
 * nothing; and a change counts when git has been quiet for a moment and is not in the middle of something.
 *
 * @module
 */

import { join } from "node:path";
import { type Clock, systemClock } from "../clock.ts";
import { gitFolder, readCommit } from "../commit.ts";
import { messageOf } from "../errors.ts";
import { logger } from "../log.ts";
import { selfFingerprint } from "../self.ts";
import { Service } from "../service.ts";

/** What is checked out. */
export interface CodeVersion {
  /** Undefined where there is no git. */
  readonly commit: string | undefined;
  /** The root without symbolic links. */
  readonly folder: string;
  /** See `selfFingerprint`. */
  readonly program: string;
}

/** How a watch is made. */
export interface CodeWatchOptions {
  readonly root: string;
  /** Called when other code is there; the next call comes after it has resolved. */
  changed(version: CodeVersion): Promise<void>;
  readonly clock?: Clock;
}

/** Milliseconds between looks. */
const INTERVAL = 5000;
/** Git must have been quiet for this long, milliseconds. */
const QUIET = 300;
/** Names in git's folder that say it is in the middle of something. */
const BUSY = ["index.lock", "HEAD.lock", "rebase-merge", "rebase-apply"];

/** What is checked out at `root` now. */
export async function codeVersion(root: string): Promise<CodeVersion> {
  return {
    commit: await readCommit(root),
    folder: await Deno.realPath(root),
    program: await selfFingerprint(),
  };
}

/** The loop that looks. */
export class CodeWatch extends Service {
  readonly #options: CodeWatchOptions;
  readonly #log = logger("supervisor");
  #known: CodeVersion | undefined;
  #watcher: Deno.FsWatcher | undefined;
  #watched: string | undefined;
  #cannotWatch = false;

  constructor(options: CodeWatchOptions) {
    super("supervisor", options.clock ?? systemClock);
    this.#options = options;
  }

  /** Notes what is there now; changes count from here. */
  async begin(): Promise<CodeVersion> {
    this.#known = await codeVersion(this.#options.root);
    return this.#known;
  }

  async runOnce(signal: AbortSignal): Promise<number> {
    await this.#watch();
    const version = await codeVersion(this.#options.root);
    this.#known ??= version;
    if (isSame(version, this.#known)) return INTERVAL;
    if (!await this.#isQuiet(version, signal)) return QUIET;
    this.#known = version;
    await this.#options.changed(version);
    return 0;
  }

  override async stop(): Promise<void> {
    this.#unwatch();
    await super.stop();
  }

  /** Whether `version` is still there after a moment, and git is done. */
  async #isQuiet(version: CodeVersion, signal: AbortSignal): Promise<boolean> {
    await this.clock.sleep(QUIET, signal);
    if (signal.aborted) return false;
    const folder = await gitFolder(this.#options.root);
    if (folder !== undefined) {
      for (const name of BUSY) if (await exists(join(folder, name))) return false;
    }
    return isSame(version, await codeVersion(this.#options.root));
  }

  /** Watches git's folder, which may be another one by now. */
  async #watch(): Promise<void> {
    const folder = await gitFolder(this.#options.root);
    if (folder === this.#watched || this.#cannotWatch) return;
    this.#unwatch();
    if (folder === undefined) return;
    try {
      this.#watcher = Deno.watchFs(folder, { recursive: false });
      this.#watched = folder;
      this.#hear(this.#watcher);
    } catch (error) {
      this.#cannotWatch = true;
      this.#log.warn("Cannot watch git's folder; it is looked at every 5 s", {
        folder,
        error: messageOf(error),
      });
    }
  }

  async #hear(watcher: Deno.FsWatcher): Promise<void> {
    try {
      for await (const _event of watcher) this.wake();
    } catch {
      // The folder is gone: the next look finds where it is now.
      this.#watched = undefined;
    }
  }

  #unwatch(): void {
    this.#watcher?.close();
    this.#watcher = undefined;
    this.#watched = undefined;
  }
}

function isSame(a: CodeVersion, b: CodeVersion): boolean {
  return a.commit === b.commit && a.folder === b.folder && a.program === b.program;
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch {
    return false;
  }
}
