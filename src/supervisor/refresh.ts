/**
 * Takes new code when it is checked out, and keeps the old where the new one is no good.
 *
 * @module
 */

import { type Clock, systemClock } from "../clock.ts";
import { messageOf } from "../errors.ts";
import { logger } from "../log.ts";
import { selfFingerprint } from "../self.ts";
import { type CodeVersion, CodeWatch } from "./code_watch.ts";
import type { RefreshReport } from "./status_file.ts";

/** How it is made. */
export interface RefreshOptions {
  readonly root: string;
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

  /** Notes what is there before the first engines start. */
  async begin(): Promise<void> {
    const version = await this.#watch.begin();
    this.#commit = version.commit;
    this.#program = version.program;
  }

  /** Begins to watch. */
  start(): void {
    this.#watch.start();
  }

  /** Stops; a refresh that is under way ends first. */
  async stop(): Promise<void> {
    await this.#watch.stop();
  }

  /** Reloads whatever is there. Never rejects: what went wrong is in `last`. */
  async now(): Promise<RefreshReport> {
    const commit = this.#commit ?? null;
    let outcome: Pick<RefreshReport, "outcome" | "reason"> = { outcome: "taken", reason: null };
    try {
      if (await selfFingerprint() === this.#program) await this.#options.reload();
      else await this.#options.replaceSelf();
      this.#log.info("New code was taken", { commit });
    } catch (error) {
      outcome = { outcome: "refused", reason: messageOf(error) };
      this.#log.error("New code was refused; the old goes on", { commit, reason: outcome.reason });
    }
    this.#last = { at: new Date(this.#clock.now()).toISOString(), commit, ...outcome };
    this.#options.changed();
    return this.#last;
  }

  async #changed(version: CodeVersion): Promise<void> {
    this.#commit = version.commit;
    this.#log.info("Other code is there", { commit: version.commit, folder: version.folder });
    await this.now();
  }
}
