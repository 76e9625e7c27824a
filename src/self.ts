/**
 * How this program starts another process of itself: from source, or as the compiled executable.
 *
 * @module
 */

import { fileURLToPath } from "node:url";

/** Whether this is the compiled executable. */
export const COMPILED: boolean = Deno.build.standalone;

const MAIN = new URL("../main.ts", import.meta.url);

/** The executable and the arguments that run `tq <args>` in a process of its own. */
export function selfCommand(...args: string[]): { executable: string; args: string[] } {
  if (COMPILED) return { executable: Deno.execPath(), args };
  return { executable: Deno.execPath(), args: ["run", "-A", "--quiet", fileURLToPath(MAIN), ...args] };
}
