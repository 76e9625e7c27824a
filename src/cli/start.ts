/**
 * `tq start`, `tq stop`, `tq restart` and `tq reload`
 *
 * @module
 */

import { systemClock } from "../clock.ts";
import { TqError } from "../errors.ts";
import type { AddCommand } from "./add_command.ts";
import { prepare } from "./context.ts";
import { print } from "./output.ts";

/** A reload must be over by then, milliseconds. */
const RELOAD_DEADLINE = 120_000;

/** Adds the commands. */
export const addStart: AddCommand = (program) => {
  program.command("start")
    .description("start the engine in the background; returns when it takes tasks")
    .option("--no-migrate", "leave the schema as it is")
    .addHelpText("after", "\nExample:\n  tq start")
    .action(async (flags: { migrate: boolean }) => {
      const settings = await prepare();
      const { runningPid, runsAlready, startDaemon } = await import("./daemon.ts");
      const pid = runningPid(settings);
      if (pid !== undefined) throw runsAlready(pid);
      const status = await startDaemon(settings, flags.migrate);
      print(`started, as process ${status.pid} with ${status.engines.length} engine processes`);
    });
  program.command("stop")
    .description("stop the engine: running tasks get TQ_DRAIN_TIMEOUT, then are put back")
    .option("--now", "put running tasks back at once")
    .addHelpText("after", "\nExample:\n  tq stop")
    .action(async (flags: { now?: true }) => {
      const settings = await prepare();
      const { stopDaemon } = await import("./daemon.ts");
      print(await stopDaemon(settings, flags.now ?? false) ? "stopped" : "the engine does not run");
    });
  program.command("restart")
    .description("stop the engine, then start it")
    .option("--now", "put running tasks back at once")
    .option("--no-migrate", "leave the schema as it is")
    .addHelpText("after", "\nExample:\n  tq restart")
    .action(async (flags: { now?: true; migrate: boolean }) => {
      const settings = await prepare();
      const [{ startDaemon, stopDaemon }, { checkDatabase }] = await Promise.all([
        import("./daemon.ts"),
        import("../store/connect.ts"),
      ]);
      // What could not be started again is not stopped.
      checkDatabase(settings);
      await stopDaemon(settings, flags.now ?? false);
      print(`started, as process ${(await startDaemon(settings, flags.migrate)).pid}`);
    });
  program.command("reload")
    .description("replace the engine processes one by one, with the code that is there now")
    .addHelpText("after", "\nExample:\n  tq reload")
    .action(async () => {
      const settings = await prepare();
      const { signalDaemon } = await import("./daemon.ts");
      const { readStatus } = await import("../supervisor/status_file.ts");
      const varFolder = settings.varFolder ?? "";
      const before = (await readStatus(varFolder))?.refresh?.at;
      signalDaemon(settings, "SIGHUP");
      const until = systemClock.monotonic() + RELOAD_DEADLINE;
      for (;;) {
        const refresh = (await readStatus(varFolder))?.refresh;
        if (refresh !== null && refresh !== undefined && refresh.at !== before) {
          if (refresh.outcome === "taken") return print("reloaded");
          throw new TqError(`the new code was refused: ${refresh.reason}`, { remedy: "the old one goes on" });
        }
        if (systemClock.monotonic() > until) {
          throw new TqError("the reload takes too long", { remedy: "see tq logs" });
        }
        await systemClock.sleep(25);
      }
    });
};
