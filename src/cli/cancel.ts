/**
 * `tq cancel`
 *
 * @module
 */

import { State } from "../task.ts";
import type { AddCommand } from "./add_command.ts";
import { idsText, openQueue, parseIds, prepare } from "./context.ts";
import { type Act, actOnMany, type ManyFlags, meansMany } from "./many.ts";
import { print, printError, printJson } from "./output.ts";
import { addFilterOptions } from "./task_filter.ts";

interface Flags extends ManyFlags {
  reason?: string;
}

/** Adds the command. */
export const addCancel: AddCommand = (program, exit) => {
  const command = program.command("cancel")
    .description("cancel tasks: waiting ones at once, running ones are asked to stop")
    .argument("[id...]", "their ids; without them those that --state and other options mean");
  addFilterOptions(command)
    .option("--reason <text>", "why, for the record")
    .option("--yes", "do not ask before many are canceled")
    .option("--json", "print JSON")
    .addHelpText(
      "after",
      "\nExamples:\n  tq cancel 22 --reason 'wrong month'\n  tq cancel --state scheduled,retry_later --channel mail",
    )
    .action(async (texts: string[], flags: Flags) => {
      if (meansMany("cancel", texts, flags)) return exit(await actOnMany(cancelFor(flags.reason), flags));
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

function cancelFor(reason: string | undefined): Act {
  return {
    verb: "cancel",
    done: "canceled",
    states: [State.scheduled, State.retry, State.started],
    unless: "changed meanwhile",
    run: async (queue, ids, states) => {
      const canceled = await queue.cancel(ids, reason, { states });
      const asked = canceled.filter(({ state }) => state === State.started).length;
      return { done: canceled.length - asked, asked };
    },
  };
}
