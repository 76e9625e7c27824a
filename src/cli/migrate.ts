/**
 * `tq migrate`
 *
 * @module
 */

import type { AddCommand } from "./add_command.ts";
import { prepare } from "./context.ts";
import { print, printJson } from "./output.ts";

/** Adds the command. */
export const addMigrate: AddCommand = (program) => {
  program.command("migrate")
    .description("make the schema, or bring it up to date")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  TQ_DATABASE_URL=postgres://localhost/app tq migrate")
    .action(async (flags: { json?: true }) => {
      const settings = await prepare();
      const { connectStore } = await import("../store/connect.ts");
      await using store = connectStore(settings, { applicationName: "tq migrate", connections: 1 });
      const names = await store.migrate();
      if (flags.json) return printJson({ migrated: names });
      print(
        names.length === 0 ? "the schema is up to date" : names.map((name) => `migrated ${name}`).join("\n"),
      );
    });
};
