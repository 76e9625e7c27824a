/**
 * `tq logs`
 *
 * @module
 */

import { systemClock } from "../clock.ts";
import { need } from "../settings.ts";
import { InputError, TqError } from "../errors.ts";
import type { AddCommand } from "./add_command.ts";
import { noTask, openStore, parseId, prepare } from "./context.ts";
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
  const id = parseId(text);
  await using store = await openStore(settings);
  if ((await store.get([id])).length === 0) throw noTask(id);
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
  let { size, ino } = await file.stat();
  let { text, end } = await read(file, Math.max(0, size - TAIL), size);
  const last = text.trimEnd().split("\n");
  show(last.slice(Math.max(0, last.length - lines)).join("\n"));
  while (follow) {
    await systemClock.sleep(LOOK);
    const now = await Deno.stat(path).catch(() => undefined);
    // Also of a file that was rotated: what was written into it before.
    ({ size } = await file.stat());
    // It was cut.
    if (size < end) end = 0;
    ({ text, end } = await read(file, end, size));
    show(text.replace(/\n$/, ""));
    if (now === undefined || now.ino === ino) continue;
    const next = await Deno.open(path).catch(() => undefined);
    if (next === undefined) continue;
    file.close();
    file = next;
    ({ ino } = await file.stat());
    end = 0;
  }
  file.close();
}

function show(text: string): void {
  if (text !== "") print(plain(text));
}

/** The whole lines between two places of a file, and where they end. */
async function read(file: Deno.FsFile, from: number, to: number): Promise<{ text: string; end: number }> {
  await file.seek(from, Deno.SeekMode.Start);
  const bytes = new Uint8Array(Math.max(0, to - from));
  let at = 0;
  while (at < bytes.length) {
    const count = await file.read(bytes.subarray(at));
    if (count === null) break;
    at += count;
  }
  // A character may be cut in two at the end.
  const whole = bytes.subarray(0, bytes.subarray(0, at).lastIndexOf(10) + 1);
  return { text: new TextDecoder().decode(whole), end: from + whole.length };
}
