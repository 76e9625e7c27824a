/**
 * `tq handlers`
 *
 * @module
 */

import process from "node:process";
import type { HandlerEntry } from "../handler/registry.ts";
import { need } from "../settings.ts";
import type { AddCommand } from "./add_command.ts";
import { prepare } from "./context.ts";
import { oneLine, paint, print, printJson } from "./output.ts";
import { type Column, table } from "./table.ts";

/** Milliseconds for an import that may have to fetch much. */
const FETCH_DEADLINE = 600_000;

/** Adds the command. */
export const addHandlers: AddCommand = (program, exit) => {
  program.command("handlers")
    .description("list what can be run, and what does not import; exit 1 if anything does not")
    .option("--fetch", "give packages that they import all the time to come: before a deploy")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  tq handlers")
    .action(async (flags: { fetch?: true; json?: true }) => {
      const settings = await prepare();
      const { HandlerRegistry } = await import("../handler/registry.ts");
      const registry = new HandlerRegistry(
        need(settings.handlersFolder, "handlers"),
        new Map(),
        flags.fetch ? { importDeadline: FETCH_DEADLINE } : {},
      );
      keepHandlersQuiet();
      const { problems } = await registry.loadAll();
      const entries = registry.list();
      if (flags.json) printJson({ handlers: entries, problems });
      else print(entries.length === 0 ? "no handlers" : await handlerTable(entries));
      for (const problem of flags.json ? [] : problems) {
        print(`${paint.red("problem:")} ${oneLine(problem.message)}`);
      }
      if (problems.length > 0) exit(1);
    });
};

/** What handlers print while they are imported is not ours; one that ends the process must be told, not obeyed. */
function keepHandlersQuiet(): void {
  console.log = console.info = console.debug = console.error;
  const refuse = () => {
    throw new Error("it ends its process");
  };
  Object.defineProperty(Deno, "exit", { value: refuse });
  process.exit = refuse;
}

const COLUMNS: readonly Column[] = [
  { head: "HANDLER", least: 30 },
  { head: "FILE", least: 16, goes: 2 },
  { head: "DEFAULTS", least: 16, goes: 1 },
];

function handlerTable(entries: readonly HandlerEntry[]): Promise<string> {
  const defaults = (entry: HandlerEntry) =>
    Object.entries(entry.defaults).map(([name, value]) => `${name}: ${value}`).join(", ");
  return table(
    COLUMNS,
    entries.map((entry) => [`${entry.model} ${entry.fname}`, entry.file, defaults(entry)]),
  );
}
