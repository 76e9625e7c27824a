import assert from "node:assert/strict";
import { join } from "node:path";
import { stopDaemon } from "../../src/cli/daemon.ts";
import { loadSettings, type Settings } from "../../src/config.ts";
import { describe, type TqError } from "../../src/errors.ts";
import { PidFile } from "../../src/supervisor/pidfile.ts";
import { eventually, tempFolder } from "../support/fixtures.ts";
import { signal } from "../support/processes.ts";
import { cleanEnvironment, REPOSITORY } from "../support/tq.ts";

/** Holds the pid file of a folder until it has heard so many INTs. */
const STAND_IN = `
  import { PidFile } from "file://${REPOSITORY}/src/supervisor/pidfile.ts";
  let left = Number(Deno.args[1]);
  Deno.addSignalListener("SIGINT", () => --left === 0 && Deno.exit());
  Deno.addSignalListener("SIGTERM", () => {});
  PidFile.take(Deno.args[0]);
  setInterval(() => {}, 60_000);
`;

/** A process in the place of a supervisor. */
class StandIn implements AsyncDisposable {
  readonly settings: Settings;
  readonly #child: Deno.ChildProcess;

  private constructor(settings: Settings, ints: number) {
    this.settings = settings;
    this.#child = new Deno.Command(Deno.execPath(), {
      args: ["eval", "--ext=ts", STAND_IN, settings.varFolder!, String(ints)],
      env: cleanEnvironment(),
      clearEnv: true,
    }).spawn();
  }

  static async make(folder: string, ints: number): Promise<StandIn> {
    const settings = loadSettings({ flags: { TQ_ROOT: folder }, environment: {}, folder });
    const standIn = new StandIn(settings, ints);
    await Deno.mkdir(join(folder, "var"));
    await eventually(() => PidFile.holder(settings.varFolder!) === standIn.pid, {
      within: 20_000,
      what: "the stand-in",
    });
    return standIn;
  }

  get pid(): number {
    return this.#child.pid;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    signal(this.pid, "SIGKILL");
    await this.#child.status;
  }
}

Deno.test("stopDaemon() sends INT until it is heard, since two that wait together are one", async () => {
  await using folder = await tempFolder();
  await using standIn = await StandIn.make(folder.path, 3);
  assert.equal(await stopDaemon(standIn.settings, true), true);
  assert.equal(await stopDaemon(standIn.settings, true), false);
});

Deno.test("stopDaemon() gives up a supervisor that is suspended, and says which process that is", async () => {
  await using folder = await tempFolder();
  await using standIn = await StandIn.make(folder.path, 1);
  const { pid, settings } = standIn;
  signal(pid, "SIGSTOP");
  for (const now of [false, true]) {
    await assert.rejects(stopDaemon(settings, now, 0.1), (error: TqError) => {
      assert.equal(error.exitCode, 1);
      assert.equal(
        describe(error),
        `the engine, process ${pid}, has not ended within 0.1 s: see tq logs, or end it with kill -9 ${pid}`,
      );
      return true;
    });
  }
});
