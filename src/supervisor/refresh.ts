/**
 * Takes new code when it is checked out, and keeps the old where the new one is no good.
 *
 * @module
 */

import { type Clock, systemClock } from "../clock.ts";
import { describe, messageOf, UnreachableError } from "../errors.ts";
import { logger } from "../log.ts";
import { type CodeFolders, type CodeVersion, CodeWatch, type CodeWatchOptions } from "./code_watch.ts";
import type { RefreshReport } from "./status_file.ts";

/** How it is made. */
export interface RefreshOptions extends CodeFolders, Pick<CodeWatchOptions, "watch" | "program"> {
  /** Replaces the engines the gapless way; rejects when new ones cannot start. */
  reload(): Promise<void>;
  /** Puts the new tq in this one's place; rejects when that is no good. Returns only where it cannot be done so. */
  replaceSelf(): Promise<void>;
  /** Called after each refresh. */
  changed(): void;
  readonly clock?: Clock;
}

/** Watches the code and reloads engines. */
export class Refresh {
  readonly #options: RefreshOptions;
  readonly #clock: Clock;
  readonly #watch: CodeWatch;
  readonly #log = logger("supervisor");
  #commit: string | undefined;
  /** The program that runs here. */
  #program: string | undefined;
  #last: RefreshReport | null = null;
  #turn: Promise<unknown> = Promise.resolve();
  #isStopping = false;
  /** Whether the last one was refused for a reason that passes: it will be tried again. */
  #isRetry = false;

  constructor(options: RefreshOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#watch = new CodeWatch({ ...options, changed: (version) => this.#changed(version) });
  }

  /** The commit that is checked out, as of the last look. */
  get commit(): string | undefined {
    return this.#commit;
  }

  /** The last refresh, or null. */
  get last(): RefreshReport | null {
    return this.#last;
  }

  /** Whether engines that are started now would get code that was refused. */
  get isRefused(): boolean {
    return this.#last?.outcome === "refused";
  }

  /** Notes what is there before the first engines start. */
  begin(): void {
    const version = this.#watch.look();
    this.#watch.settle(version);
    this.#commit = version.commit;
    this.#program = version.program;
  }

  /** Another program has given way to this one, which takes tasks by now: that was a refresh. */
  succeeded(): void {
    this.#report(null);
  }

  /** Begins to watch. */
  start(): void {
    this.#watch.start();
  }

  /** Stops; a refresh that is under way ends first. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await this.#watch.stop();
    await this.#turn;
  }

  /** Reloads whatever is there. Never rejects: what went wrong is in the report. */
  now(): Promise<RefreshReport> {
    return this.#inTurn(() => this.#take());
  }

  async #changed(version: CodeVersion): Promise<void> {
    await this.#inTurn(async () => {
      // Somebody who reloaded by hand may have been quicker.
      if (this.#watch.isSettled(version)) return;
      if (!this.#isRetry) {
        this.#log.info("Other code is there", { commit: version.commit, folder: version.folder });
      }
      await this.#take(version);
    });
  }

  /** One refresh at a time: two would replace each other's engines. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work);
    this.#turn = turn.catch(() => {});
    return turn;
  }

  async #take(found?: CodeVersion): Promise<RefreshReport> {
    let version = found;
    let reason: string | null = null;
    const wasRetry = this.#isRetry;
    this.#isRetry = false;
    try {
      version ??= this.#watch.look();
      this.#commit = version.commit;
      // Until it has ended engines may be of two commits: then going back to the one before is a change as well.
      this.#watch.settle(undefined);
      if (version.program === this.#program) await this.#options.reload();
      else await this.#options.replaceSelf();
      this.#log.info("New code was taken", { commit: version.commit });
      this.#watch.settle(version);
    } catch (error) {
      this.#isRetry = error instanceof UnreachableError;
      reason = this.#isRetry ? `${messageOf(error)}; it is tried again` : describe(error);
      if (version !== undefined && !this.#isRetry) this.#watch.settle(version);
      // Tried again and again, it is said once; and at a stop it is no news that engines do not start.
      if (!this.#isStopping && !(wasRetry && this.#isRetry)) {
        const level = this.#isRetry ? "warn" : "error";
        this.#log[level]("New code was refused; the old goes on", { commit: this.#commit, reason });
      }
    }
    return this.#report(reason);
  }

  #report(reason: string | null): RefreshReport {
    const at = new Date(this.#clock.now()).toISOString();
    const outcome = reason === null ? "taken" : "refused";
    this.#last = { at, commit: this.#commit ?? null, outcome, reason };
    this.#options.changed();
    return this.#last;
  }
}
