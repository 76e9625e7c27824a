/**
 * `tq cancel`
 *
 * @module
 */

import { State } from "../task.ts";
import type { AddCommand } from "./add_command.ts";
import { idsText, openQueue, parseIds, prepare } from "./context.ts";
import { print, printError, printJson } from "./output.ts";

/** Adds the command. */
export const addCancel: AddCommand = (program, exit) => {
  program.command("cancel")
    .description("cancel tasks: waiting ones at once, running ones are asked to stop")
    .argument("<id...>", "their ids")
    .option("--reason <text>", "why, for the record")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  tq cancel 22 --reason 'wrong month'")
    .action(async (texts: string[], flags: { reason?: string; json?: true }) => {
      const ids = parseIds(texts);
      await using queue = await openQueue(await prepare());
      const canceled = await queue.cancel(ids, flags.reason);
      if (flags.json) printJson({ canceled });
      else {
        for (const { id, state } of canceled) {
          print(state === State.started ? `task ${id} was asked to stop` : `task ${id} is canceled`);
        }
      }
      const rest = ids.filter((id) => !canceled.some((one) => one.id === id));
      if (rest.length === 0) return;
      printError(`not canceled: ${idsText(rest)}: ended already, or not there`);
      exit(1);
    });
};
