/**
 * How this program starts another process of itself: from source, or as the compiled executable.
 *
 * @module
 */

import { fileURLToPath } from "node:url";

/** Whether this is the compiled executable. */
export const COMPILED: boolean = Deno.build.standalone;

const MAIN = new URL("../main.ts", import.meta.url);

/** Taken at the start: once the file was replaced, the system calls it deleted. */
const EXECUTABLE = Deno.execPath();

/** The executable and the arguments that run `tq <args>` in a process of its own. */
export function selfCommand(...args: string[]): { executable: string; args: string[] } {
  if (COMPILED) return { executable: EXECUTABLE, args };
  return { executable: EXECUTABLE, args: ["run", "-A", "--quiet", fileURLToPath(MAIN), ...args] };
}

/** What of the source makes this program; handlers are not part of it. */
const SOURCES = ["src/", "migrations/", "main.ts", "mod.ts", "deno.json"];

/** A text that changes when this program is replaced on disk: the executable, or its source. */
export async function selfFingerprint(): Promise<string> {
  if (COMPILED) return await fingerprintOf(EXECUTABLE);
  const parts: string[] = [];
  for (const name of SOURCES) await collect(fileURLToPath(new URL(`../${name}`, import.meta.url)), parts);
  return parts.sort().join("\n");
}

async function collect(path: string, parts: string[]): Promise<void> {
  if (!path.endsWith("/")) return void parts.push(`${path} ${await fingerprintOf(path)}`);
  for await (const { name, isDirectory } of Deno.readDir(path)) {
    await collect(path + name + (isDirectory ? "/" : ""), parts);
  }
}

async function fingerprintOf(path: string): Promise<string> {
  try {
    const { size, mtime, ino } = await Deno.stat(path);
    return `${ino}:${size}:${mtime?.getTime()}`;
  } catch {
    // In the middle of being replaced.
    return "missing";
  }
}
