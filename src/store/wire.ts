/**
 * Messages of Postgres's protocol, as a server takes them from a client.
 *
 * Protocol: https://www.postgresql.org/docs/current/protocol-flow.html and protocol-message-formats.html
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { InputError } from "../errors.ts";

/** A message, kind and all. */
export type Message = Uint8Array<ArrayBuffer>;

/** What a client's buffer holds at first, bytes; it grows to the longest message. */
const BUFFER = 65_536;
/** Postgres's limits of a message, bytes: https://github.com/postgres/postgres/blob/master/src/include/libpq/libpq.h */
const LONG = 2 ** 30 - 2;
const SHORT = 10_000;
/** What is taken, by kind: Query, Parse, Bind, Describe, Execute, Close, Flush, Sync and Terminate; no COPY. */
const LONGEST = new Map(
  Object.entries({ Q: LONG, P: LONG, B: LONG, D: SHORT, E: SHORT, C: SHORT, H: SHORT, S: SHORT, X: SHORT }),
);
/** What may stand in the first message: the protocol's version, or one of these. */
const VERSION = 3;
const CANCEL = 80_877_102;
const ENCRYPT = { ssl: 80_877_103, gss: 80_877_104 };

/** What a client has sent, taken message by message. */
export class ClientInput {
  readonly #connection: Deno.Conn;
  #buffer = new Uint8Array(BUFFER);
  #start = 0;
  #end = 0;

  constructor(connection: Deno.Conn) {
    this.#connection = connection;
  }

  /** Takes the startup message, and declines encryption; false when the client wants no session. */
  async start(): Promise<boolean> {
    while (await this.#holds(8)) {
      const [length, code] = [this.#uint32(0), this.#uint32(4)];
      if (length < 8 || length > SHORT) throw new InputError(`a first message of ${length} bytes`);
      if (!await this.#holds(length)) return false;
      this.#take(length);
      if (code === ENCRYPT.ssl || code === ENCRYPT.gss) {
        await write(this.#connection, new TextEncoder().encode("N"));
      } else if (code >>> 16 === VERSION) return true;
      else if (code === CANCEL) return false;
      else throw new InputError(`a first message with code ${code}`);
    }
    return false;
  }

  /** The next message whole; undefined when the client has ended. */
  async next(): Promise<Message | undefined> {
    if (!await this.#holds(5)) return undefined;
    const [kind, length] = [String.fromCharCode(this.#buffer[this.#start]!), this.#uint32(1)];
    const longest = LONGEST.get(kind);
    if (longest === undefined) throw new InputError(`a message of kind ${JSON.stringify(kind)}`);
    if (length < 4 || length > longest) throw new InputError(`a message ${kind} of ${length} bytes`);
    return await this.#holds(1 + length) ? this.#take(1 + length) : undefined;
  }

  /** Waits for so many bytes; false when the client has ended before. */
  async #holds(count: number): Promise<boolean> {
    while (this.#end - this.#start < count) {
      this.#buffer.copyWithin(0, this.#start, this.#end);
      [this.#start, this.#end] = [0, this.#end - this.#start];
      if (count > this.#buffer.length) {
        const larger = new Uint8Array(count);
        larger.set(this.#buffer);
        this.#buffer = larger;
      }
      const read = await this.#connection.read(this.#buffer.subarray(this.#end));
      if (read === null) return false;
      this.#end += read;
    }
    return true;
  }

  #uint32(offset: number): number {
    return new DataView(this.#buffer.buffer).getUint32(this.#start + offset);
  }

  #take(count: number): Message {
    return this.#buffer.slice(this.#start, this.#start += count);
  }
}

/** A message of a kind, with texts as they are. */
export function message(kind: string, ...texts: readonly string[]): Message {
  return Buffer.concat([new TextEncoder().encode(kind), sized(texts)]);
}

/** The first message of a client. */
export function startup(...texts: readonly string[]): Message {
  return sized([`\0${String.fromCharCode(VERSION)}\0\0`, ...texts]);
}

/** The kind of a message. */
export function kindOf(message: Message): string {
  return String.fromCharCode(message[0]!);
}

/** The first text in a message, which ends with a zero. */
export function firstText(message: Message): string {
  return new TextDecoder().decode(message.subarray(5, message.indexOf(0, 5)));
}

/** Whether an answer to Parse ends with ParseComplete. */
export function isParsed(answer: Uint8Array): boolean {
  return endsWith(answer, "1\0\0\0\x04");
}

/** What ReadyForQuery at the end of an answer says: `I` in no transaction, `T` in one, `E` in a failed one. */
export function readyState(answer: Uint8Array): "I" | "T" | "E" | undefined {
  return (["I", "T", "E"] as const).find((state) => endsWith(answer, `Z\0\0\0\x05${state}`));
}

/** Writes all of it. */
export async function write(connection: Deno.Conn, bytes: Uint8Array): Promise<number> {
  for (let sent = 0; sent < bytes.length;) sent += await connection.write(bytes.subarray(sent));
  return bytes.length;
}

function endsWith(answer: Uint8Array, end: string): boolean {
  const at = answer.length - end.length;
  return at >= 0 && [...end].every((char, i) => answer[at + i] === char.charCodeAt(0));
}

function sized(texts: readonly string[]): Message {
  const body = new TextEncoder().encode(texts.join(""));
  const length = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, 4 + body.length);
  return Buffer.concat([length, body]);
}
