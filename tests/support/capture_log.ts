/**
 * What tq logs, for a test to read.
 *
 * @module
 */

import { configureLog, disposeLog, type LogLevel } from "../../src/log.ts";

/** The lines logged since {@linkcode captureLog}. */
export interface CapturedLog extends AsyncDisposable {
  /** Each as `LEVEL   part: message key=value`, without its time. */
  readonly lines: readonly string[];
  /** How many lines match. */
  count(pattern: RegExp): number;
}

/** Collects what is logged, until it is disposed of. The log is one for the process: one capture at a time. */
export async function captureLog(level: LogLevel = "info"): Promise<CapturedLog> {
  const lines: string[] = [];
  await configureLog({
    level,
    format: "text",
    write: (line) => lines.push(line.slice(line.indexOf(" ") + 1)),
  });
  return {
    lines,
    count: (pattern) => lines.filter((line) => pattern.test(line)).length,
    // Disposing alone would leave the level and the sink in place for the next test.
    async [Symbol.asyncDispose]() {
      await configureLog({ level: "error", format: "text", write() {} });
      await disposeLog();
    },
  };
}
