/**
 * What clients send, read within bounds of size and time.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { HttpError } from "./envelope.ts";
import type { HttpContext, HttpParts } from "./parts.ts";

/** A body must have arrived by then, milliseconds. */
export const BODY_TIME = 10_000;
/** Bytes that a body may have besides the data of one task: names and options. */
const BODY_ROOM = 1024 * 1024;

/** Bytes that a body may have. */
export function bodyLimit(parts: HttpParts): number {
  return parts.settings.TQ_MAX_DATA + BODY_ROOM;
}

/**
 * The fields of a request's body: a JSON object, or a form. None is no fields.
 *
 * @throws {HttpError} 413 when it is too large, 408 when it comes too slowly, 400 when it is neither
 */
export async function readFields(c: HttpContext, parts: HttpParts): Promise<Record<string, unknown>> {
  const text = decode(await readBody(c, parts)).trim();
  if (text === "") return {};
  // By what it is, not by its header: curl calls JSON a form unless told otherwise.
  if (
    !text.startsWith("{") && /^application\/x-www-form-urlencoded\b/i.test(c.req.header("content-type") ?? "")
  ) {
    return Object.fromEntries(new URLSearchParams(text));
  }
  let fields: unknown;
  try {
    fields = JSON.parse(text);
  } catch {
    throw new HttpError(400, "the body is not JSON: send a JSON object");
  }
  if (typeof fields === "object" && fields !== null && !Array.isArray(fields)) {
    // Of no use as a field, and of none to whoever copies the others.
    const { ["__proto__"]: _, ...named } = fields as Record<string, unknown>;
    return named;
  }
  throw new HttpError(400, "the body is not a JSON object: send fields by name");
}

async function readBody(c: HttpContext, parts: HttpParts): Promise<Uint8Array> {
  const limit = bodyLimit(parts);
  const tooLarge = () => new HttpError(413, `the body is larger than ${limit} bytes: send less`);
  if (Number(c.req.header("content-length") ?? 0) > limit) throw tooLarge();
  const stream = c.req.raw.body;
  if (stream === null) return new Uint8Array();
  const reader = stream.getReader();
  let isLate = false;
  const cancel = parts.clock.after(BODY_TIME, () => {
    isLate = true;
    reader.cancel().catch(() => {});
  });
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      size += value.length;
      if (size > limit) throw tooLarge();
      chunks.push(value);
    }
  } catch (error) {
    if (error instanceof HttpError) {
      reader.cancel().catch(() => {});
      throw error;
    }
    if (!isLate) throw new HttpError(400, "the body was cut off: send it again");
  } finally {
    cancel();
  }
  if (isLate) throw new HttpError(408, `the body did not arrive within ${BODY_TIME / 1000} s: send it again`);
  return Buffer.concat(chunks);
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new HttpError(400, "the body is not UTF-8 text: convert it");
  }
}
