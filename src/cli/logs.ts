/**
 * `tq logs`
 *
 * @module
 */

import { systemClock } from "../clock.ts";
import { need } from "../settings.ts";
import { InputError, TqError } from "../errors.ts";
import type { AddCommand } from "./add_command.ts";
import { openStore, parseIds, prepare } from "./context.ts";
import { plain, print } from "./output.ts";

/** Bytes from the end of the log in which its last lines are looked for. */
const TAIL = 1024 * 1024;
/** Milliseconds between looks for more. */
const LOOK = 200;

/** Adds the command. */
export const addLogs: AddCommand = (program) => {
  program.command("logs")
    .description("show the engine's log, or one task's")
    .option("-f, --follow", "go on as it grows")
    .option("--lines <number>", "lines from its end", "50")
    .option("--task <id>", "the log of this task")
    .addHelpText("after", "\nExample:\n  tq logs -f")
    .action(async (flags: { follow?: true; lines: string; task?: string }) => {
      const settings = await prepare();
      if (flags.task !== undefined) return await followTask(settings, flags.task, flags.follow ?? false);
      if (!/^\d+$/.test(flags.lines)) {
        throw new InputError(`--lines is ${JSON.stringify(flags.lines)}`, { remedy: "give a whole number" });
      }
      const { logPath } = await import("../supervisor/log_file.ts");
      await followFile(logPath(need(settings.varFolder, "var")), Number(flags.lines), flags.follow ?? false);
    });
};

async function followTask(
  settings: Awaited<ReturnType<typeof prepare>>,
  text: string,
  follow: boolean,
): Promise<void> {
  const [id = 0] = parseIds([text]);
  await using store = await openStore(settings);
  for (let last = 0;;) {
    const lines = await store.readLog(id, last);
    for (const line of lines) print(plain(`${line.created.toISOString()} ${line.kind}: ${line.text}`));
    last = lines.at(-1)?.id ?? last;
    if (lines.length > 0) continue;
    if (!follow) return;
    await systemClock.sleep(LOOK);
  }
}

async function followFile(path: string, lines: number, follow: boolean): Promise<void> {
  let file: Deno.FsFile;
  try {
    file = await Deno.open(path);
  } catch (error) {
    throw new TqError(`there is no log at ${path}`, { cause: error, remedy: "use tq start" });
  }
  let { size: at, ino } = await file.stat();
  const tail = await read(file, Math.max(0, at - TAIL), at);
  const shown = tail.trimEnd().split("\n").slice(-lines).join("\n");
  if (shown !== "") print(plain(shown));
  while (follow) {
    await systemClock.sleep(LOOK);
    const now = await Deno.stat(path).catch(() => undefined);
    if (now === undefined) continue;
    if (now.ino !== ino || now.size < at) {
      // Rotated, or cut.
      file.close();
      file = await Deno.open(path);
      [at, ino] = [0, now.ino];
    }
    const text = await read(file, at, now.size);
    at += new TextEncoder().encode(text).length;
    if (text !== "") print(plain(text.replace(/\n$/, "")));
  }
  file.close();
}

async function read(file: Deno.FsFile, from: number, to: number): Promise<string> {
  await file.seek(from, Deno.SeekMode.Start);
  const bytes = new Uint8Array(Math.max(0, to - from));
  let at = 0;
  while (at < bytes.length) {
    const count = await file.read(bytes.subarray(at));
    if (count === null) break;
    at += count;
  }
  // Only whole lines: a character may be cut in two at the end.
  const end = bytes.subarray(0, at).lastIndexOf(10) + 1;
  return new TextDecoder().decode(bytes.subarray(0, end));
}
