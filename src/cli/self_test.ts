/**
 * `tq self-test` (hidden): imports all that a supervisor and an engine need, and reads the settings. Run before a new
 * tq takes over.
 *
 * @module
 */

import type { AddCommand } from "./add_command.ts";
import { prepare } from "./context.ts";

/** Adds the command. */
export const addSelfTest: AddCommand = (program) => {
  program.command("self-test", { hidden: true })
    .description("imports everything and reads the settings; run before a new tq takes over")
    .action(async () => {
      const [settings, { checkDatabase }] = await Promise.all([
        // What is said of variables of other programs is not what is wrong.
        prepare({}, { quiet: false }),
        import("../store/connect.ts"),
        import("../supervisor/supervisor.ts"),
        import("../engine/engine.ts"),
      ]);
      checkDatabase(settings);
    });
};
