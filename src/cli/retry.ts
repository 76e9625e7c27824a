/**
 * `tq retry`
 *
 * @module
 */

import { TERMINAL_STATES } from "../task.ts";
import type { AddCommand } from "./add_command.ts";
import { idsText, openQueue, parseIds, prepare } from "./context.ts";
import { type Act, actOnMany, type ManyFlags, meansMany } from "./many.ts";
import { print, printError, printJson } from "./output.ts";
import { addFilterOptions } from "./task_filter.ts";

/** Adds the command. */
export const addRetry: AddCommand = (program, exit) => {
  const command = program.command("retry")
    .description("make ended tasks ready again, with all their attempts")
    .argument("[id...]", "their ids; without them those that --state and other options mean");
  addFilterOptions(command)
    .option("--yes", "do not ask before many are retried")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExamples:\n  tq retry 22 23\n  tq retry --state failed --channel mail")
    .action(async (texts: string[], flags: ManyFlags) => {
      if (meansMany("retry", texts, flags)) return exit(await actOnMany(RETRY, flags));
      const ids = parseIds(texts);
      await using queue = await openQueue(await prepare());
      const retried = await queue.retryNow(ids);
      if (flags.json) printJson({ retried });
      else for (const id of retried) print(`task ${id} is ready again`);
      const rest = ids.filter((id) => !retried.includes(id));
      if (rest.length === 0) return;
      printError(
        `not retried: ${idsText(rest)}: not ended, not there, or another with its unique key waits`,
      );
      exit(1);
    });
};

const RETRY: Act = {
  verb: "retry",
  done: "retried",
  states: TERMINAL_STATES,
  unless: "changed meanwhile, or another with its unique key waits",
  run: async (queue, ids, states) => ({ done: (await queue.retryNow(ids, { states })).length, asked: 0 }),
};
