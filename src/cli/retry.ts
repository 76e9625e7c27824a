/**
 * `tq retry`
 *
 * @module
 */

import type { AddCommand } from "./add_command.ts";
import { idsText, openQueue, parseIds, prepare } from "./context.ts";
import { print, printError, printJson } from "./output.ts";

/** Adds the command. */
export const addRetry: AddCommand = (program, exit) => {
  program.command("retry")
    .description("make ended tasks ready again, with all their attempts")
    .argument("<id...>", "their ids")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  tq retry 22 23")
    .action(async (texts: string[], flags: { json?: true }) => {
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
