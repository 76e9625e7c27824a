/**
 * The log of a daemon: `var/tq_worker.log`, rotated by size.
 *
 * Not `@logtape/file` 2.3: it waits for the disk with every line, in the loop that beats, and after one write or
 * renaming that fails it throws at every line from then on. A log must never be what stops tasks.
 *
 * @module
 */

import { join } from "node:path";
import { messageOf } from "../errors.ts";
import { logger } from "../log.ts";

/** Bytes of one file. */
const MOST_BYTES = 10 * 1024 * 1024;
/** Files that are kept, the current one included. */
const MOST_FILES = 5;

const encoder = new TextEncoder();

/** The path of the log under `var`. */
export function logPath(varFolder: string): string {
  return join(varFolder, "tq_worker.log");
}

/**
 * Lines, in files that are rotated: `<path>` is written to, `<path>.1` is the one before it, and so on.
 *
 * A line is with the system when `write` returns, so that it outlives this process. Lines that cannot be written are
 * lost, and counted in the log once it can be.
 */
export class LogFile implements Disposable {
  readonly #path: string;
  readonly #mostBytes: number;
  #file: Deno.FsFile | undefined;
  /** Bytes in the current file. */
  #size = 0;
  /** Whether the file ends in the midst of a line. */
  #torn = false;
  #lost = 0;
  #why = "";

  /** @throws when the file cannot be opened */
  constructor(path: string, mostBytes: number = MOST_BYTES) {
    this.#path = path;
    this.#mostBytes = mostBytes;
    this.#open();
  }

  /** Writes one line; never throws. */
  write(line: string): void {
    try {
      this.#append(encoder.encode(`${this.#torn ? "\n" : ""}${line}\n`));
    } catch (error) {
      this.#lost++;
      this.#why = messageOf(error);
      this.reopen();
      return;
    }
    this.#torn = false;
    if (this.#lost === 0) return;
    const lines = this.#lost;
    this.#lost = 0;
    logger("log").warn("Lines could not be written here", { lines, reason: this.#why });
  }

  /** Lets the next line open the file anew, after somebody moved it. */
  reopen(): void {
    this.#file?.close();
    this.#file = undefined;
  }

  [Symbol.dispose](): void {
    this.reopen();
  }

  #append(bytes: Uint8Array): void {
    let file = this.#file ?? this.#open();
    if (this.#size > 0 && this.#size + bytes.length > this.#mostBytes) file = this.#rotate();
    for (let written = 0; written < bytes.length;) {
      const some = file.writeSync(bytes.subarray(written));
      written += some;
      this.#size += some;
      this.#torn = true;
    }
  }

  #open(): Deno.FsFile {
    this.#file = Deno.openSync(this.#path, { append: true, create: true });
    this.#size = this.#file.statSync().size;
    return this.#file;
  }

  /** Where a file cannot be renamed, the log goes on in the one that it has. */
  #rotate(): Deno.FsFile {
    this.reopen();
    for (let i = MOST_FILES - 1; i > 0; i--) {
      try {
        Deno.renameSync(i === 1 ? this.#path : `${this.#path}.${i - 1}`, `${this.#path}.${i}`);
      } catch {
        // There are not so many yet, somebody moved it, or it is not ours to rename.
      }
    }
    return this.#open();
  }
}
