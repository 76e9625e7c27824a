/**
 * `tq database` (hidden): the process of the embedded database.
 *
 * @module
 */

import { join } from "node:path";
import type { AddCommand } from "./add_command.ts";
import { prepare } from "./context.ts";

/** Adds the command. */
export const addDatabase: AddCommand = (program) => {
  program.command("database", { hidden: true })
    .description("the process of the embedded database")
    .action(async () => {
      const { need } = await import("../config.ts");
      const { serveEmbedded } = await import("../store/embedded.ts");
      let path = "";
      const write = (line: string) => Deno.writeTextFileSync(path, line + "\n", { append: true });
      const settings = await prepare({}, { write, quiet: false });
      const varFolder = need(settings.varFolder, "var");
      path = join(varFolder, "db.log");
      try {
        await serveEmbedded(varFolder, settings.TQ_SCHEMA);
      } catch (error) {
        write(String((error as Error).stack ?? error));
        throw error;
      }
    });
};
