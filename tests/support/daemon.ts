/**
 * The background service of a test's project, by its commands.
 *
 * @module
 */

import assert from "node:assert/strict";
import { join } from "node:path";
import type { RefreshReport, SupervisorStatus } from "../../src/supervisor/status_file.ts";
import { eventually } from "./fixtures.ts";
import type { Ended, Project } from "./tq.ts";

/** A started daemon; disposing of it stops it at once. */
export class Daemon implements AsyncDisposable {
  readonly project: Project;
  readonly #environment: Readonly<Record<string, string>>;

  private constructor(project: Project, environment: Readonly<Record<string, string>>) {
    this.project = project;
    this.#environment = environment;
  }

  /** Starts it; `environment` is for it and the commands here, beyond the project's own. */
  static async start(project: Project, environment: Readonly<Record<string, string>> = {}): Promise<Daemon> {
    const daemon = new Daemon(project, environment);
    const { code, stderr } = await daemon.command("start");
    assert.equal(code, 0, stderr);
    return daemon;
  }

  /** Runs a command. */
  command(...args: string[]): Promise<Ended> {
    return this.project.commandIn(this.#environment, ...args);
  }

  /** What it tells of itself. */
  async status(): Promise<SupervisorStatus> {
    return JSON.parse((await this.command("status", "--json")).stdout).supervisor;
  }

  /** The report on this commit, once it is there. */
  async refreshed(commit: string, outcome: "taken" | "refused"): Promise<RefreshReport> {
    let last: SupervisorStatus | undefined;
    try {
      return await eventually(() => {
        last = JSON.parse(this.read("status.json")) as SupervisorStatus;
        const { refresh } = last;
        return refresh?.commit === commit && refresh.outcome === outcome && refresh;
      }, { within: 30_000, what: `commit ${commit} to be ${outcome}` });
    } catch (error) {
      throw new Error(`the last refresh is ${JSON.stringify(last?.refresh)}`, { cause: error });
    }
  }

  /** How many lines of its log match. */
  logged(pattern: RegExp): number {
    return this.read("tq_worker.log").split("\n").filter((line) => pattern.test(line)).length;
  }

  /** A file in its `var`. */
  read(name: string): string {
    return Deno.readTextFileSync(join(this.#environment.TQ_VAR ?? this.project.varFolder, name));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.command("stop", "--now");
  }
}
