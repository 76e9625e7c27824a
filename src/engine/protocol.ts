/**
 * What a supervisor and its engines say to each other: JSON lines over the engine's stdin and stdout.
 *
 * @module
 */

import type { CountsReport } from "../metrics/engine_counts.ts";
import type { HeldRow } from "../store/mod.ts";

/** From the supervisor. */
export type ToEngine =
  /** Take no more tasks, end those that run, then exit. `seconds` until they are aborted; null: their own time limits. */
  | { readonly type: "drain"; readonly seconds: number | null }
  /** What the record says the engine holds, as of its last beat. */
  | { readonly type: "held"; readonly rows: readonly HeldRow[] }
  /** The supervisor will be replaced: go on without it until TERM comes, or for half a minute. */
  | { readonly type: "handover" }
  /** Abort these, if they are here. */
  | { readonly type: "cancel"; readonly ids: readonly number[] };

/** How an engine does. */
export interface EngineStatus {
  /** Tasks it has claimed since it started. */
  readonly claimed: number;
  /** Bytes of memory that the process uses. */
  readonly rss: number;
  /** Tasks inside their handlers. */
  readonly running: number;
  /** Of those, the tasks that are over and whose handlers go on all the same. */
  readonly stuck: number;
  /** Claimed tasks that wait for a place. */
  readonly waiting: number;
  /** Channels that it would take a task from now. */
  readonly open: readonly string[];
}

/** What an engine has counted, and whether its Redis answers; null when it has none. */
export interface EngineCounted {
  readonly counts: CountsReport;
  readonly redisUp: boolean | null;
}

/** From an engine. */
export type FromEngine =
  /** It takes tasks now. */
  | {
    readonly type: "ready";
    readonly id: string;
    readonly commit: string | null;
    readonly problems: readonly { readonly file: string; readonly message: string }[];
  }
  /** Its answer to every beat. */
  | ({ readonly type: "status" } & EngineStatus)
  /** Every second while there is something new, and as its last word. */
  | ({ readonly type: "counted" } & EngineCounted)
  /** A line for the log. */
  | { readonly type: "log"; readonly line: string }
  /** It cannot start. */
  | {
    readonly type: "refused";
    readonly reason: string; /** Whether it is worth another try. */
    readonly passing: boolean;
  };

/** Longer lines of log text are cut, in characters. */
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
  try {
    return JSON.parse(line.slice(token.length));
  } catch {
    // A process that a handler started shares this stdout, and wrote into the middle of the line.
    return undefined;
  }
}

/**
 * The lines of a stream; empty ones are left out.
 *
 * @param whole lines that start with this are messages, which are kept whole; others are cut at `LINE_LIMIT`
 */
export async function* linesOf(stream: ReadableStream<Uint8Array>, whole: string): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  let cut = false;
  for await (const chunk of stream) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = parts.pop() ?? "";
    for (const part of parts) {
      if (!cut && part !== "") yield part.startsWith(whole) ? part : part.slice(0, LINE_LIMIT);
      cut = false;
    }
    if (rest.length > LINE_LIMIT && (cut || !rest.startsWith(whole))) {
      if (!cut) yield rest.slice(0, LINE_LIMIT);
      [rest, cut] = ["", true];
    }
  }
  if (rest !== "" && !cut) yield rest;
}
