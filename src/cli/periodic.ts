/**
 * `tq periodic`
 *
 * @module
 */

import type { Settings } from "../settings.ts";
import { TqError } from "../errors.ts";
import { selfCommand } from "../self.ts";
import type { AddCommand } from "./add_command.ts";
import { openStore, prepare } from "./context.ts";
import { oneLine, print } from "./output.ts";

/** Adds the command. */
export const addPeriodic: AddCommand = (program) => {
  program.command("periodic")
    .description("from cron: start the engine if it does not run, report backlog; silent when all is well")
    .option("--install", "print the line for crontab")
    .addHelpText("after", "\nExample:\n  (crontab -l; tq periodic --install) | crontab -")
    .action(async (flags: { install?: true }) => {
      const settings = await prepare();
      if (flags.install) {
        const { crontabLines } = await import("../service_files/cron.ts");
        return crontabLines(settings, Deno.env.toObject(), selfCommand("periodic")).forEach(print);
      }
      const { runningPid, startDaemon } = await import("./daemon.ts");
      if (runningPid(settings) === undefined) {
        try {
          print(`the engine did not run; started, as process ${(await startDaemon(settings)).pid}`);
        } catch (error) {
          // Another one at the same moment was quicker.
          if (!(error instanceof TqError) || runningPid(settings) === undefined) throw error;
        }
      }
      await reportBacklog(settings);
    });
};

async function reportBacklog(settings: Settings): Promise<void> {
  await using store = await openStore(settings);
  for (const [channel, ready] of await store.readyCounts(await store.activeChannels())) {
    if (ready > settings.TQ_REPORT_BACKLOG) {
      print(`backlog: ${ready > 10_000 ? "over 10,000" : ready} tasks are ready on ${oneLine(channel)}`);
    }
  }
}
