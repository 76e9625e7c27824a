/**
 * What a supervisor tells of itself: `var/status.json`, written anew when something changes and at every beat.
 *
 * @module
 */

import { join } from "node:path";
import type { EngineStatus } from "../engine/protocol.ts";
import { messageOf } from "../errors.ts";
import { logger } from "../log.ts";

/** The state of a supervisor. */
export interface SupervisorStatus {
  readonly pid: number;
  /** ISO 8601. */
  readonly started: string;
  /** When this was written, ISO 8601. */
  readonly written: string;
  /** Whether its engines take tasks. */
  readonly ready: boolean;
  readonly version: string;
  /** The commit that is checked out, as of the last look. */
  readonly commit: string | null;
  /** `redis`, `postgres`, or `postgres, redis is away`. */
  readonly dispatch: string;
  readonly leader: boolean;
  /** Where HTTP is served; null while it is not. */
  readonly http?: string | null;
  readonly engines: readonly EngineReport[];
  /** The last refresh of code; null when there was none. */
  readonly refresh: RefreshReport | null;
  /** What is wrong with the engines, in one line; null when they live. */
  readonly trouble: string | null;
}

/** One engine. */
export interface EngineReport {
  readonly pid: number;
  readonly id: string | null;
  readonly commit: string | null;
  readonly state: "starting" | "ready" | "draining";
  readonly status: EngineStatus | null;
}

/** One refresh of code. */
export interface RefreshReport {
  readonly at: string;
  readonly commit: string | null;
  readonly outcome: "taken" | "refused";
  /** Why it was refused. */
  readonly reason: string | null;
}

function statusPath(varFolder: string): string {
  return join(varFolder, "status.json");
}

/** The file as its supervisor has it. */
export class StatusFile {
  readonly #path: string;
  #written = Promise.resolve();

  constructor(varFolder: string) {
    this.#path = statusPath(varFolder);
  }

  /**
   * Writes what `status` gives when its turn comes; whoever reads sees the old one or the new one. A failure is
   * logged.
   */
  write(status: () => SupervisorStatus): Promise<void> {
    // One at a time: two would move each other's file away.
    return this.#written = this.#written.then(async () => {
      await Deno.writeTextFile(`${this.#path}.part`, JSON.stringify(status()));
      await Deno.rename(`${this.#path}.part`, this.#path);
    }).catch((error) => logger("supervisor").warn("Cannot write the status", { error: messageOf(error) }));
  }
}

/** Reads the status that was written last, by whichever supervisor; undefined when there is none. */
export async function readStatus(varFolder: string): Promise<SupervisorStatus | undefined> {
  try {
    return JSON.parse(await Deno.readTextFile(statusPath(varFolder)));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
