/**
 * What a supervisor and its engines say to each other: JSON lines over the engine's stdin and stdout.
 *
 * @module
 */

import type { HeldRow } from "../store/mod.ts";

/** From the supervisor. */
export type ToEngine =
  /** Take no more tasks, end those that run, then exit. `seconds` until they are aborted; null: their own time limits. */
  | { readonly type: "drain"; readonly seconds: number | null }
  /** What the record says the engine holds, as of its last beat. */
  | { readonly type: "held"; readonly rows: readonly HeldRow[] }
  /** Abort these, if they are here. */
  | { readonly type: "cancel"; readonly ids: readonly number[] };

/** From an engine. */
export type FromEngine =
  /** It takes tasks now. */
  | {
    readonly type: "ready";
    readonly id: string;
    readonly commit: string | null;
    readonly problems: readonly { readonly file: string; readonly message: string }[];
  }
  /** A line for the log. */
  | { readonly type: "log"; readonly line: string }
  /** It cannot start. */
  | { readonly type: "refused"; readonly reason: string };

/** Longer lines are cut, in bytes. */
export const LINE_LIMIT = 64 * 1024;

const encoder = new TextEncoder();

/**
 * Writes lines for the supervisor on stdout. Each starts with a token made at boot, so that nothing a handler
 * prints is taken for one; and with a line end, since a handler may have printed half a line.
 */
export class SupervisorLink {
  readonly #token: string;

  constructor(token: string) {
    this.#token = token;
  }

  /** Writes one message; false when the supervisor is gone. */
  send(message: FromEngine): boolean {
    const bytes = encoder.encode(`\n${this.#token}${JSON.stringify(message)}\n`);
    try {
      for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
      return true;
    } catch {
      return false;
    }
  }
}

/** The message in a line that an engine printed, or undefined when it is log text. */
export function parseFromEngine(line: string, token: string): FromEngine | undefined {
  if (!line.startsWith(token)) return undefined;
  return JSON.parse(line.slice(token.length));
}

/** The lines of a stream, cut at `LINE_LIMIT`; empty ones are left out. */
export async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  let cut = false;
  for await (const chunk of stream) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = parts.pop() ?? "";
    for (const part of parts) {
      if (!cut && part !== "") yield part.slice(0, LINE_LIMIT);
      cut = false;
    }
    if (rest.length > LINE_LIMIT) {
      if (!cut) yield rest.slice(0, LINE_LIMIT);
      [rest, cut] = ["", true];
    }
  }
  if (rest !== "" && !cut) yield rest;
}
