import assert from "node:assert/strict";
import { systemClock, within } from "../../src/clock.ts";

/** A client waits this long for its answers, milliseconds. */
const PATIENCE = 10_000;

/** A client of Postgres that speaks its protocol message by message: https://www.postgresql.org/docs/current/protocol.html */
export class Wire implements Disposable {
  readonly #connection: Deno.TcpConn;
  #rest = new Uint8Array();

  private constructor(connection: Deno.TcpConn) {
    this.#connection = connection;
  }

  /** A connection that has said nothing yet. */
  static async open(port: number): Promise<Wire> {
    return new Wire(await Deno.connect({ hostname: "127.0.0.1", port }));
  }

  /** A connection that is ready for a query. */
  static async connect(port: number): Promise<Wire> {
    const wire = await Wire.open(port);
    await wire.send(startup("user", "postgres"));
    while ((await wire.answers(1))[0] !== "Z I");
    return wire;
  }

  /** What a query answers, if it gives one row. */
  async ask(sql: string): Promise<string | undefined> {
    await this.send(query(sql));
    return (await this.answers(4))[1];
  }

  async send(...messages: readonly Uint8Array[]): Promise<void> {
    const bytes = joined(messages);
    for (let sent = 0; sent < bytes.length;) sent += await this.#connection.write(bytes.subarray(sent));
  }

  /** The next answers, each its kind, with the text of a row's only column, a command's tag or a state. */
  async answers(count: number): Promise<string[]> {
    const answers: string[] = [];
    while (answers.length < count) {
      const length = this.#rest.length < 5 ? Infinity : 1 + new DataView(this.#rest.buffer).getUint32(1);
      if (this.#rest.length >= length) {
        answers.push(shown(this.#rest.subarray(0, length)));
        this.#rest = this.#rest.slice(length);
      } else {
        await this.#more(answers.join(", "));
      }
    }
    return answers;
  }

  /** The next bytes as text, which are no message. */
  async text(count: number): Promise<string> {
    while (this.#rest.length < count) await this.#more("");
    const taken = this.#rest.subarray(0, count);
    this.#rest = this.#rest.slice(count);
    return new TextDecoder().decode(taken);
  }

  async #more(after: string): Promise<void> {
    const read = await this.#read();
    assert.ok(read !== null, `the connection ended after ${after}`);
    this.#rest = joined([this.#rest, read]);
  }

  /** Waits until the other side has hung up; gives what it has said before, as it came. */
  async end(): Promise<string> {
    const parts: Uint8Array[] = [];
    for (let read = await this.#read(); read !== null; read = await this.#read()) parts.push(read);
    return new TextDecoder().decode(joined(parts));
  }

  async #read(): Promise<Uint8Array | null> {
    const chunk = new Uint8Array(65_536);
    const read = await within(systemClock, PATIENCE, this.#connection.read(chunk));
    assert.ok(read !== undefined, `no answer within ${PATIENCE} ms`);
    return read === null ? null : chunk.subarray(0, read);
  }

  [Symbol.dispose](): void {
    try {
      this.#connection.close();
    } catch (error) {
      if (!(error instanceof Deno.errors.BadResource)) throw error;
    }
  }
}

const int32 = (value: number) => [value >>> 24, value >>> 16 & 255, value >>> 8 & 255, value & 255];
const text = (value: string) => [...new TextEncoder().encode(value), 0];
const joined = (parts: readonly Uint8Array[]) => new Uint8Array(parts.flatMap((part) => [...part]));

/** A message of a kind with its length. */
export const message = (kind: string, body: readonly number[] = []): Uint8Array =>
  Uint8Array.from([kind.charCodeAt(0), ...int32(body.length + 4), ...body]);
export const parse = (sql: string, name = ""): Uint8Array =>
  message("P", [...text(name), ...text(sql), 0, 0]);
export const bind = (name = ""): Uint8Array => message("B", [0, ...text(name), 0, 0, 0, 0, 0, 0]);
export const query = (sql: string): Uint8Array => message("Q", text(sql));
export const EXECUTE: Uint8Array = message("E", [0, ...int32(0)]);
export const FLUSH: Uint8Array = message("H");
export const SYNC: Uint8Array = message("S");

export function startup(...parameters: readonly string[]): Uint8Array {
  const body = [...int32(196_608), ...parameters.flatMap(text), 0];
  return Uint8Array.from([...int32(body.length + 4), ...body]);
}

function shown(answer: Uint8Array): string {
  const [kind, body] = [String.fromCharCode(answer[0]!), new TextDecoder().decode(answer.subarray(5))];
  if (kind === "D") return `D ${body.slice(6)}`;
  if (kind === "C" || kind === "Z") return `${kind} ${body.replace("\0", "")}`;
  return kind === "E" ? `E ${/\0M([^\0]*)/.exec(body)?.[1]}` : kind;
}
