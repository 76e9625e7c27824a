/**
 * `tq prune`
 *
 * @module
 */

import { parseDuration } from "../duration.ts";
import { InputError } from "../errors.ts";
import type { AddCommand } from "./add_command.ts";
import { confirmed, isAttended } from "./confirm.ts";
import { openStore, prepare } from "./context.ts";
import { print, printError, printJson, taskNoun, tasksText } from "./output.ts";
import { progressBar } from "./progress.ts";

interface Flags {
  completedAfter?: string;
  after?: string;
  yes?: true;
  json?: true;
}

/** Rows a statement. */
const LIMIT = 1000;

/** Adds the command. */
export const addPrune: AddCommand = (program, exit) => {
  program.command("prune")
    .description("delete ended tasks past their age, with their logs; the engine does so by itself")
    .option("--completed-after <duration>", "age of completed ones: 7d (default: TQ_DELETE_COMPLETED_AFTER)")
    .option("--after <duration>", "age of failed and canceled ones: 30d (default: TQ_DELETE_AFTER)")
    .option("--yes", "do not ask, on a terminal, before they are deleted")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  tq prune --completed-after 1d")
    .action(async (flags: Flags) => {
      const settings = await prepare();
      const completedAfter = days("--completed-after", flags.completedAfter) ??
        settings.TQ_DELETE_COMPLETED_AFTER;
      const after = days("--after", flags.after) ?? settings.TQ_DELETE_AFTER;
      await using store = await openStore(settings);
      // From cron, where nobody looks, it is not counted before.
      const total = isAttended() ? await store.prunable(completedAfter, after) : 0;
      if (total > 0 && !flags.yes && !confirmed(`Delete ${tasksText(total, "ended")}?`)) {
        printError("nothing is deleted: the answer was no");
        return exit(1);
      }
      let count = 0;
      {
        using bar = await progressBar(total);
        const walk = { from: "-infinity" };
        for (let deleted = LIMIT; deleted === LIMIT; bar.update(count += deleted)) {
          deleted = await store.prune(completedAfter, after, LIMIT, { walk });
        }
      }
      if (flags.json) printJson({ deleted: count });
      else print(`deleted ${count} ${taskNoun(count)}`);
    });
};

function days(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = parseDuration(text, "d");
  if (value !== undefined) return value;
  throw new InputError(`${option} is ${JSON.stringify(text)}`, {
    remedy: "give a duration: 7d, 12h; a bare number is days",
  });
}
