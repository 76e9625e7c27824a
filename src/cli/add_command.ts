/**
 * What each command's file gives.
 *
 * @module
 */

import type { Command } from "npm:commander@15.1.0";

/** Adds a command to the program; it tells its exit code when that is not 0. */
export type AddCommand = (program: Command, exit: (code: number) => void) => void;
