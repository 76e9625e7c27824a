/**
 * `tq self-test` (hidden): imports all that a supervisor and an engine need. Run before a new tq takes over.
 *
 * @module
 */

import type { AddCommand } from "./add_command.ts";

/** Adds the command. */
export const addSelfTest: AddCommand = (program) => {
  program.command("self-test", { hidden: true })
    .description("imports everything; run before a new tq takes over")
    .action(async () => {
      await Promise.all([
        import("../supervisor/supervisor.ts"),
        import("../engine/engine.ts"),
        import("../config.ts"),
      ]);
    });
};
