/**
 * `tq demo`
 *
 * @module
 */

import type { AddCommand } from "./add_command.ts";

/** Adds the command. */
export const addDemo: AddCommand = (program, exit) => {
  program.command("demo")
    .description("see the main job done, on an embedded database: no server, no settings")
    .addHelpText("after", "\nExample:\n  tq demo")
    .action(async () => {
      const { runDemo } = await import("./run_demo.ts");
      exit(await runDemo());
    });
};
