/**
 * `tq handlers`
 *
 * @module
 */

import type { AddCommand } from "./add_command.ts";
import { prepare } from "./context.ts";
import { paint, print, printJson, table } from "./output.ts";

/** Adds the command. */
export const addHandlers: AddCommand = (program, exit) => {
  program.command("handlers")
    .description("list what can be run, and what does not import; exit 1 if anything does not")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  tq handlers")
    .action(async (flags: { json?: true }) => {
      const settings = await prepare();
      const { need } = await import("../config.ts");
      const { HandlerRegistry } = await import("../handler/registry.ts");
      const registry = new HandlerRegistry(need(settings.handlersFolder, "handlers"), new Map());
      const { problems } = await registry.loadAll();
      const entries = registry.list();
      if (flags.json) printJson({ handlers: entries, problems });
      else {
        if (entries.length === 0) print("no handlers");
        else {
          print(
            await table(
              ["HANDLER", "FILE", "DEFAULTS"],
              entries.map((entry) => [
                `${entry.model} ${entry.fname}`,
                entry.file,
                Object.entries(entry.defaults).map(([name, value]) => `${name}: ${value}`).join(", "),
              ]),
            ),
          );
        }
        for (const problem of problems) print(`${paint.red("does not import:")} ${problem.message}`);
      }
      if (problems.length > 0) exit(1);
    });
};
