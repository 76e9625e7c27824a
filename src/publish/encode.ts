/**
 * From values to the JSON text that the record keeps; whatever would not survive the way is refused before
 * anything is written.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { InputError, messageOf } from "../errors.ts";
import type { Json } from "../task.ts";

/** Deeper than this, Postgres' own parser may give up. */
const DEEPEST = 500;

/** An odd number of backslashes before `u0000` or half of a surrogate pair: not text that holds a backslash itself. */
const REFUSED_ESCAPE = /(?<!\\)(?:\\\\)*\\u(?:0000|d[89a-f][0-9a-f]{2})/;
const REFUSED = "NUL or half a surrogate pair";

/**
 * The JSON text of `value`.
 *
 * @param what how an error names it: `data` or `result`
 * @param maxBytes the longest text, in bytes of UTF-8
 * @throws {InputError} names the place: `data.list[3] is undefined`
 */
export function encodeJson(value: unknown, what: string, maxBytes: number): string {
  let problem: string | undefined;
  let text: string | undefined;
  try {
    problem = findProblem(value, 0);
    text = problem === undefined ? JSON.stringify(value) : undefined;
  } catch (error) {
    // A getter or a toJSON that throws.
    const why = shorten(messageOf(error));
    throw new InputError(`${what} cannot be serialised (${why})`, {
      cause: error,
      remedy: "give plain JSON",
    });
  }
  if (problem !== undefined) throw new InputError(shorten(what + problem), { remedy: "give plain JSON" });
  if (text === undefined) throw new InputError(`${what} has no JSON`, { remedy: "give plain JSON" });
  if (Buffer.byteLength(text) > maxBytes) {
    throw new InputError(`${what} is larger than TQ_MAX_DATA, ${maxBytes} bytes`, {
      remedy: "store it elsewhere and pass a reference",
    });
  }
  if (text.includes("\\u") && REFUSED_ESCAPE.test(text)) {
    // V8 15.0 (Deno 2.9.6) reads an escaped key as a backslash after an object with such a key: then there is no place.
    const place = findRefused(JSON.parse(text)) ?? ` has a string with ${REFUSED}`;
    throw new InputError(`${shorten(what + place)}, which Postgres cannot store`, {
      remedy: "remove it, or encode the string as base64",
    });
  }
  return text;
}

/** The JSON text of an object; anything else, arrays too, is refused. */
export function encodeObject(value: unknown, what: string, maxBytes: number): string {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new InputError(`${what} is ${nameOf(value)}`, { remedy: 'give a JSON object: {"id": 22}' });
  }
  const text = encodeJson(value, what, maxBytes);
  if (text.startsWith("{")) return text;
  throw new InputError(`${what} has a toJSON that gives no object`, {
    remedy: 'give a JSON object: {"id": 22}',
  });
}

/**
 * What is wrong with the first thing in `value` that JSON would drop or change, after the path that leads to it:
 * `.list[3] is undefined`. Undefined when there is nothing. The path is put together on the way back, so that
 * sound data pays nothing for it.
 */
function findProblem(value: unknown, depth: number): string | undefined {
  switch (typeof value) {
    case "string":
    case "boolean":
      return undefined;
    case "number":
      return Number.isFinite(value) ? undefined : ` is ${value}`;
    case "object":
      break;
    default:
      return ` is ${nameOf(value)}`;
  }
  if (value === null) return undefined;
  // A cycle has no bottom either, so depth finds both.
  if (depth >= DEEPEST) return " is nested too deeply, or in a cycle";
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      const problem = findProblem(value[i], depth + 1);
      if (problem !== undefined) return `[${i}]${problem}`;
    }
    return undefined;
  }
  const { toJSON } = value as { toJSON?: unknown };
  if (typeof toJSON === "function") return findProblem(toJSON.call(value, ""), depth + 1);
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== null && prototype !== Object.prototype && Object.getPrototypeOf(prototype) !== null) {
    return ` is ${nameOf(value)}`;
  }
  for (const key of Object.keys(value)) {
    const problem = findProblem((value as Record<string, unknown>)[key], depth + 1);
    if (problem !== undefined) return step(key) + problem;
  }
  return undefined;
}

/** Where Postgres would refuse a string, as `findProblem` says it: `.list[3] is a string with NUL …`. */
function findRefused(value: Json): string | undefined {
  if (typeof value === "string") return isRefused(value) ? ` is a string with ${REFUSED}` : undefined;
  if (typeof value !== "object" || value === null) return undefined;
  for (const [key, inner] of Object.entries(value)) {
    if (isRefused(key)) return ` has a key with ${REFUSED}`;
    const found = findRefused(inner);
    if (found !== undefined) return (Array.isArray(value) ? `[${key}]` : step(key)) + found;
  }
  return undefined;
}

function isRefused(text: string): boolean {
  return text.includes("\0") || !text.isWellFormed();
}

/** A key as it stands in a path, on one line. */
function step(key: string): string {
  return /^[\w$]+$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
}

function nameOf(value: unknown): string {
  if (value === undefined || value === null) return String(value);
  if (Array.isArray(value)) return "an array";
  if (typeof value !== "object") return `a ${typeof value}`;
  const name = value.constructor?.name;
  return name === undefined || name === "Object" ? "an object" : `an instance of ${name}`;
}

function shorten(problem: string): string {
  return problem.length <= 160 ? problem : `${problem.slice(0, 80)}…${problem.slice(-70)}`;
}
