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

/**
 * For V8: a young generation of 8 MB a half instead of 16, since rows live for moments; and the old one is collected
 * when it has grown by 80 %, not when it is four times what is in use. Over 5 million no-op tasks an engine takes 142
 * to 147 MB; with 100 % up to 151 (2026-11-28), with neither 182. Halves of 4 MB copy tasks that wait for their end
 * twice as often: 1 µs of processor a task. A handler that does nothing but fill a heap of 300 MB with garbage takes
 * 2.9 s where Deno's own settings and 900 MB take 1.3.
 */
export const V8_FLAGS = "--v8-flags=--max-semi-space-size=8,--heap-growing-percent=80";

/** The executable and the arguments that run `tq <args>` in a process of its own. */
export function selfCommand(...args: string[]): { executable: string; args: string[] } {
  if (COMPILED) return { executable: EXECUTABLE, args };
  return { executable: EXECUTABLE, args: ["run", "-A", "--quiet", V8_FLAGS, fileURLToPath(MAIN), ...args] };
}

/** What of the source makes this program; handlers are not part of it. */
const SOURCES = ["src/", "migrations/", "main.ts", "mod.ts", "deno.json"];

/**
 * A text that changes when this program is replaced on disk: the executable, or its source. Asked every few seconds,
 * and read at one go: Deno would have a thread answer for each of the 200 files, which costs ten times as much.
 */
export function selfFingerprint(): string {
  if (COMPILED) return fingerprintOf(EXECUTABLE);
  const parts: string[] = [];
  for (const name of SOURCES) collect(fileURLToPath(new URL(`../${name}`, import.meta.url)), parts);
  return parts.sort().join("\n");
}

function collect(path: string, parts: string[]): void {
  if (!path.endsWith("/")) return void parts.push(`${path} ${fingerprintOf(path)}`);
  for (const { name, isDirectory } of Deno.readDirSync(path)) {
    collect(path + name + (isDirectory ? "/" : ""), parts);
  }
}

function fingerprintOf(path: string): string {
  try {
    const { size, mtime, ino } = Deno.statSync(path);
    return `${ino}:${size}:${mtime?.getTime()}`;
  } catch {
    // In the middle of being replaced.
    return "missing";
  }
}
