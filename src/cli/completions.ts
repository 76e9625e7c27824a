/**
 * `tq completions`: a placeholder for the help; `main` puts the real one in its place.
 *
 * @module
 */

import type { AddCommand } from "./add_command.ts";

/** Adds the command. */
export const addCompletions: AddCommand = (program) => {
  program.command("completions")
    .description("print shell completions: bash, zsh, fish or powershell")
    .argument("<shell>", "bash, zsh, fish or powershell")
    .addHelpText("after", "\nExample:\n  source <(tq completions bash)");
};
