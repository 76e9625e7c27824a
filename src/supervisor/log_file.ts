/**
 * The log of a daemon: `var/tq_worker.log`, rotated by size.
 *
 * @module
 */

import { join } from "node:path";
import { getRotatingFileSink } from "npm:@logtape/file@2.3.10";
import type { LogRecord, Sink } from "npm:@logtape/logtape@2.4.2";
import { systemClock } from "../clock.ts";

/** Bytes of one file. */
const MOST_BYTES = 10 * 1024 * 1024;
/** Files that are kept, the current one included. */
const MOST_FILES = 5;

/** The path of the log under `var`. */
export function logPath(varFolder: string): string {
  return join(varFolder, "tq_worker.log");
}

/** Lines, in files that are rotated. */
export class LogFile implements Disposable {
  readonly #path: string;
  #sink: Sink & Disposable;

  constructor(path: string) {
    this.#path = path;
    this.#sink = open(path);
  }

  /** Writes one line; the file is written before this returns. */
  write(line: string): void {
    this.#sink(recordOf(line));
  }

  /** Opens the file anew, after somebody moved it. */
  reopen(): void {
    this.#sink[Symbol.dispose]();
    this.#sink = open(this.#path);
  }

  [Symbol.dispose](): void {
    this.#sink[Symbol.dispose]();
  }
}

function open(path: string): Sink & Disposable {
  return getRotatingFileSink(path, {
    nonBlocking: false,
    maxSize: MOST_BYTES,
    maxFiles: MOST_FILES,
    // Not buffered: the last line before a crash is the one that matters.
    bufferSize: 0,
    formatter: (record) => `${record.message.join("")}\n`,
  });
}

/** The line as a record of its own, since what is logged here is formatted already. */
function recordOf(line: string): LogRecord {
  return {
    category: ["tq"],
    level: "info",
    message: [line],
    rawMessage: line,
    properties: {},
    timestamp: systemClock.now(),
  };
}
