/**
 * Logs: a constant message and fields, by category. The library configures nothing, so a program that imports
 * `mod.ts` decides itself (LogTape, category `tq`); the commands call `configureLog`.
 *
 * @module
 */

import { configure, dispose, getLogger, type Logger, type LogRecord } from "npm:@logtape/logtape@2.4.2";
import { tracing } from "./trace.ts";

/** Levels that `TQ_LOG_LEVEL` accepts. */
export type LogLevel = "debug" | "info" | "warning" | "error";
/** Layouts that `TQ_LOG_FORMAT` accepts. */
export type LogFormat = "text" | "json";

/** The logger of one part of tq, named in each of its lines. */
export function logger(name: string): Logger {
  return getLogger(["tq", name]);
}

/** One record as a line of text: time, level, part, message, `key=value` fields. */
export function formatText(record: LogRecord): string {
  const fields = Object.entries(record.properties)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => ` ${key}=${quote(value)}`)
    .join("");
  const time = new Date(record.timestamp).toISOString();
  const part = record.category.slice(1).join(".") || "tq";
  return `${time} ${record.level.toUpperCase().padEnd(7)} ${part}: ${record.message.join("")}${fields}`;
}

/** One record as a line of JSON. */
export function formatJson(record: LogRecord): string {
  const line = {
    time: new Date(record.timestamp).toISOString(),
    level: record.level,
    part: record.category.slice(1).join(".") || "tq",
    message: record.message.join(""),
    ...record.properties,
  };
  return jsonOf(line);
}

/** Sends every record of at least `level` to `write`, formatted, one line without its end at a time. */
export async function configureLog(
  options: { level: LogLevel; format: LogFormat; write: (line: string) => void },
): Promise<void> {
  const format = options.format === "json" ? formatJson : formatText;
  // A line of a task's run tells whose trace it is part of.
  const formatted = tracing === undefined
    ? format
    : (record: LogRecord) => format({ ...record, properties: { ...record.properties, ...tracing?.ids } });
  await configure({
    reset: true,
    sinks: { tq: (record) => options.write(formatted(record)) },
    loggers: [
      { category: "tq", sinks: ["tq"], lowestLevel: options.level },
      { category: ["logtape", "meta"], sinks: [], lowestLevel: "error" },
    ],
  });
}

/** Flushes and closes the sinks. Needed on every way out. */
export async function disposeLog(): Promise<void> {
  await dispose();
}

function quote(value: unknown): string {
  const plain = readable("", value);
  const text = typeof plain === "string" ? plain : jsonOf(plain);
  return /^[^\s"=\p{Cc}]+$/u.test(text) ? text : jsonOf(text);
}

/** Without any control character: `JSON.stringify` escapes those below U+0020 alone, and a terminal obeys others, too. */
function jsonOf(value: unknown): string {
  const text = JSON.stringify(value, readable) ?? "undefined";
  return text.replaceAll(/\p{Cc}/gu, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** For `JSON.stringify`: it would make `{}` of an error, and throw at a bigint. */
function readable(_key: string, value: unknown): unknown {
  if (value instanceof Error) return value.message;
  return typeof value === "bigint" ? String(value) : value;
}
