/**
 * Notices that other code is there: a commit, another folder behind the root's name, or a new tq.
 *
 * The git directory is watched for a hint, and looked at every 5 s whatever the watch says: it can miss, and it is
 * not to be had everywhere. What counts is the commit that HEAD names, so `git status`, `fetch` and `gc` change
 * nothing; and a change counts when git has been quiet for a moment and is not in the middle of something.
 *
 * @module
 */

import { dirname } from "node:path";
import { type Clock, systemClock } from "../clock.ts";
import { commitOf, gitFolder, isGitBusy } from "../commit.ts";
import { messageOf } from "../errors.ts";
import { logger } from "../log.ts";
import { selfFingerprint } from "../self.ts";
import { Service } from "../service.ts";

/** Where the code is. */
export interface CodeFolders {
  readonly root: string;
  /** Handlers may be in a submodule, or outside the root. */
  readonly handlers: string;
}

/** What is checked out. */
export interface CodeVersion {
  /** Of the root; undefined where there is no git. */
  readonly commit: string | undefined;
  /** Of the handlers: another one than the root's where they are in a submodule. */
  readonly handlersCommit: string | undefined;
  /** The root without symbolic links. */
  readonly folder: string;
  /** A text that changes when tq itself does. */
  readonly program: string;
}

/** How a watch is made. */
export interface CodeWatchOptions extends CodeFolders {
  /**
   * Called when other code is there; the next call comes after it has resolved. Unless `settle` was called meanwhile,
   * it is called again after 5 s.
   */
  changed(version: CodeVersion): Promise<void>;
  /** Tells of events in these folders, not in those below. @default Deno.watchFs */
  watch?(folders: string[]): AsyncIterable<unknown> & Pick<Deno.FsWatcher, "close">;
  /** What tq itself is at. @default selfFingerprint */
  program?(): string;
  readonly clock?: Clock;
}

/** Where git keeps what it knows of the two checkouts, which are one most of the time. */
type GitFolders = { readonly [Name in keyof CodeFolders]: string | undefined };

/** Milliseconds between looks. */
const INTERVAL = 5000;
/** Git must have been quiet for this long, milliseconds. */
const QUIET = 300;

/** The loop that looks. */
export class CodeWatch extends Service {
  readonly #options: CodeWatchOptions;
  readonly #log = logger("supervisor");
  #settled: CodeVersion | undefined;
  #watcher: ReturnType<NonNullable<CodeWatchOptions["watch"]>> | undefined;
  #hearing: Promise<void> | undefined;
  /** The folders that are watched; empty for none. */
  #watched = "";
  #warned = false;

  constructor(options: CodeWatchOptions) {
    super("supervisor", options.clock ?? systemClock);
    this.#options = options;
  }

  /** What is there now. */
  look(): CodeVersion {
    return this.#read(this.#gitFolders());
  }

  /** Whatever is not this version counts as a change from here on; undefined: whatever is there. */
  settle(version: CodeVersion | undefined): void {
    this.#settled = version;
  }

  /** Whether this version was settled last. */
  isSettled(version: CodeVersion): boolean {
    return this.#settled !== undefined && isSame(version, this.#settled);
  }

  async runOnce(signal: AbortSignal): Promise<number> {
    const git = this.#gitFolders();
    await this.#watch(git);
    const version = this.#read(git);
    if (this.isSettled(version)) return INTERVAL;
    await this.clock.sleep(QUIET, signal);
    if (signal.aborted || !isSame(version, this.look())) return 0;
    // When git is done something in its folder changes, so this need not be asked all the time.
    if (this.#isBusy()) return INTERVAL;
    await this.#options.changed(version);
    return this.isSettled(version) ? 0 : INTERVAL;
  }

  override async stop(): Promise<void> {
    await super.stop();
    await this.#unwatch();
  }

  #gitFolders(): GitFolders {
    const { root, handlers } = this.#options;
    return { root: gitFolder(root), handlers: gitFolder(handlers) };
  }

  #read(git: GitFolders): CodeVersion {
    const { root, handlers, program = selfFingerprint } = this.#options;
    const isOne = git.root !== undefined && git.root === git.handlers;
    const commit = commitOf(root, git.root);
    const handlersCommit = isOne ? commit : commitOf(handlers, git.handlers);
    return { commit, handlersCommit, folder: Deno.realPathSync(root), program: program() };
  }

  #isBusy(): boolean {
    const { root, handlers } = this.#options;
    const now = this.clock.now();
    return isGitBusy(root, now) || isGitBusy(handlers, now);
  }

  /** Watches git's folders, which may be others by now. */
  async #watch(git: GitFolders): Promise<void> {
    const folders = this.#folders(git);
    const watched = folders.map(identityOf).join("\n");
    if (watched === this.#watched) return;
    await this.#unwatch();
    if (folders.length === 0) return;
    try {
      const watch = this.#options.watch ?? ((paths) => Deno.watchFs(paths, { recursive: false }));
      this.#watcher = watch(folders);
      this.#watched = watched;
      this.#hearing = this.#hear(this.#watcher);
    } catch (error) {
      // It is tried again at every look: what is missing may come, and a limit may be raised.
      if (!this.#warned) {
        this.#log.warn("Cannot watch git's folder; it is looked at every 5 s", {
          folder: folders.join(", "),
          error: messageOf(error),
        });
      }
      this.#warned = true;
    }
  }

  /** What to watch: git's folders, and where the link is that the root's name may be. */
  #folders(git: GitFolders): string[] {
    const { root } = this.#options;
    const found = [git.root, git.handlers, isLink(root) ? dirname(root) : undefined];
    return [...new Set(found.filter((folder) => folder !== undefined))];
  }

  async #hear(watcher: AsyncIterable<unknown>): Promise<void> {
    try {
      for await (const _event of watcher) this.wake();
    } catch {
      // The next look watches anew.
    }
    if (this.#watcher === watcher) this.#watched = "";
  }

  async #unwatch(): Promise<void> {
    this.#watcher?.close();
    this.#watcher = undefined;
    this.#watched = "";
    // Deno lets go of a path a moment after close(), also when it is watched anew by then (2.9.6).
    await this.#hearing;
  }
}

function isLink(path: string): boolean {
  try {
    return Deno.lstatSync(path).isSymlink;
  } catch {
    return false;
  }
}

/** A folder that was replaced by another of the same name is another one. */
function identityOf(folder: string): string {
  try {
    const { dev, ino } = Deno.statSync(folder);
    return `${folder} ${dev}:${ino}`;
  } catch {
    return folder;
  }
}

function isSame(a: CodeVersion, b: CodeVersion): boolean {
  return a.commit === b.commit && a.handlersCommit === b.handlersCommit && a.folder === b.folder &&
    a.program === b.program;
}
