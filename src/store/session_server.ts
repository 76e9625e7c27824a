/**
 * Many clients on the one session of the embedded database. A client that begins a cycle of messages has the session
 * until the cycle is over and no transaction is open; whoever else asks waits. `pglite-socket` keeps a client's
 * messages together only inside a transaction, so that those of two get mixed, and what one was told is committed
 * goes with the other's error (electric-sql/pglite#1046).
 *
 * Protocol: https://www.postgresql.org/docs/current/protocol-flow.html and protocol-message-formats.html
 *
 * @module
 */

import { BadValueError, messageOf, UnreachableError } from "../errors.ts";
import { logger } from "../log.ts";

/** The one session, as PGlite has it: takes a message of a client, gives what Postgres answers. */
export interface Session {
  execProtocolRawStream(
    message: Uint8Array,
    options: { onRawData(data: Uint8Array): void },
  ): Promise<void>;
  isInTransaction(): boolean;
}

/** Clients at once. */
const MOST_CLIENTS = 200;
/** What a client's buffer holds at first, bytes; it grows to the longest message. */
const BUFFER = 65_536;
/** The longest message and the longest first one, bytes, as in Postgres. */
const LONGEST = 2 ** 30;
const LONGEST_FIRST = 10_000;
/** Parse, Bind, Describe, Execute, Close and Flush: their cycle goes on until Sync. */
const IN_CYCLE = "PBDECH";
/** Query and Sync; the first message, which has no kind, begins with a zero. */
const CYCLE_ENDS = "QS\0";
/** Codes that stand in the first message, where its protocol version would be. */
const CODES = { ssl: 80_877_103, gss: 80_877_104, cancel: 80_877_102 };

/** A client's message, kind and all. */
type Message = Uint8Array<ArrayBuffer>;

/** Serves a session on a free port of loopback. */
export class SessionServer implements AsyncDisposable {
  readonly #session: Session;
  readonly #onBroken: () => void;
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #clients = new Map<Deno.Conn, Promise<void>>();
  readonly #log = logger("database");
  readonly #accepting: Promise<void>;
  #lastTurn = Promise.resolve();
  #broken = false;

  /** @param onBroken called when the session has thrown, as no failed query makes it: nothing more can be asked */
  constructor(session: Session, onBroken: () => void) {
    this.#session = session;
    this.#onBroken = onBroken;
    this.#accepting = this.#accept().catch((error) => this.#fail(error));
  }

  get port(): number {
    return this.#listener.addr.port;
  }

  /** How many are connected. */
  get clients(): number {
    return this.#clients.size;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#accepting;
    for (const connection of this.#clients.keys()) hangUp(connection);
    await Promise.all(this.#clients.values());
  }

  async #accept(): Promise<void> {
    for await (const connection of this.#listener) {
      connection.setNoDelay();
      const served = this.#clients.size < MOST_CLIENTS ? this.#serve(connection) : refuse(connection);
      this.#clients.set(
        connection,
        served
          .catch((error) => this.#log.debug("A client is cut off", { error: messageOf(error) }))
          .finally(() => {
            hangUp(connection);
            this.#clients.delete(connection);
          }),
      );
    }
  }

  async #serve(connection: Deno.Conn): Promise<void> {
    const statements = new Set<string>();
    let giveBack: (() => void) | undefined;
    let answers: Uint8Array[] = [];
    try {
      for await (const message of messagesOf(connection)) {
        const kind = String.fromCharCode(message[0]!);
        if (kind === "X") break;
        const inCycle = IN_CYCLE.includes(kind);
        // Postgres would end such a client's backend, which here is everybody's.
        if (!inCycle && !CYCLE_ENDS.includes(kind)) throw new BadValueError(`a message of kind ${kind}`);
        giveBack ??= await this.#turn();
        if (kind === "P") statements.add(firstText(message));
        answers.push(...await this.#ask(message));
        if (inCycle && kind !== "H") continue;
        if (!inCycle && !this.#session.isInTransaction()) {
          // Before the answer is written: who does not read holds up nobody.
          giveBack();
          giveBack = undefined;
        }
        await write(connection, ...answers);
        answers = [];
      }
    } finally {
      await this.#clear(statements, giveBack);
    }
  }

  /** Leaves nothing of a client in the session: not half a cycle, no transaction and no prepared statement. */
  async #clear(statements: Set<string>, giveBack: (() => void) | undefined): Promise<void> {
    statements.delete("");
    if (giveBack === undefined && statements.size === 0) return;
    giveBack ??= await this.#turn();
    try {
      // Sync alone would commit half a cycle: an error takes it back.
      await this.#ask(message("P", "\0this is an error\0", "\0\0"));
      await this.#ask(message("S"));
      if (this.#session.isInTransaction()) await this.#ask(message("Q", "rollback\0"));
      for (const name of statements) await this.#ask(message("C", `S${name}\0`));
      await this.#ask(message("S"));
    } finally {
      giveBack();
    }
  }

  /** Waits until nobody else has the session; what it gives gives the session back. */
  async #turn(): Promise<() => void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const before = this.#lastTurn;
    this.#lastTurn = promise;
    await before;
    return resolve;
  }

  async #ask(message: Message): Promise<Uint8Array[]> {
    if (this.#broken) throw new UnreachableError("the embedded database has failed");
    const answers: Uint8Array[] = [];
    try {
      await this.#session.execProtocolRawStream(message, {
        // What it gives is a part of its memory, which it uses again.
        onRawData: (data) => answers.push(data.slice()),
      });
    } catch (error) {
      this.#fail(error);
      throw error;
    }
    return answers;
  }

  #fail(error: unknown): void {
    this.#broken = true;
    this.#log.error("Embedded database has failed", { error: messageOf(error) });
    this.#onBroken();
  }
}

/** A client's messages, each whole, from its startup message on. */
async function* messagesOf(connection: Deno.Conn): AsyncGenerator<Message> {
  const input = new Input(connection);
  // A kind stands before the length, except in the first message.
  let kind = 0;
  while (await input.holds(kind + 4)) {
    const length = input.uint32(kind);
    const [least, most] = kind === 0 ? [8, LONGEST_FIRST] : [4, LONGEST];
    if (length < least || length > most) throw new BadValueError(`a message of ${length} bytes`);
    if (!await input.holds(kind + length)) return;
    const code = kind === 0 ? input.uint32(4) : undefined;
    if (code === CODES.cancel) return;
    const message = input.take(kind + length);
    if (code === CODES.ssl || code === CODES.gss) {
      await write(connection, new TextEncoder().encode("N"));
      continue;
    }
    kind = 1;
    yield message;
  }
}

/** What a client has sent and nobody has taken yet. */
class Input {
  readonly #connection: Deno.Conn;
  #buffer = new Uint8Array(BUFFER);
  #start = 0;
  #end = 0;

  constructor(connection: Deno.Conn) {
    this.#connection = connection;
  }

  /** Waits for so many bytes; false when the client has ended before. */
  async holds(count: number): Promise<boolean> {
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

  uint32(offset: number): number {
    return new DataView(this.#buffer.buffer).getUint32(this.#start + offset);
  }

  take(count: number): Message {
    return this.#buffer.slice(this.#start, this.#start += count);
  }
}

/** A message of a kind with its length; of texts as they are. */
function message(kind: string, ...texts: readonly string[]): Message {
  const body = new TextEncoder().encode(texts.join(""));
  const message = new Uint8Array(5 + body.length);
  message[0] = kind.charCodeAt(0);
  new DataView(message.buffer).setUint32(1, 4 + body.length);
  message.set(body, 5);
  return message;
}

/** The first text in a message, which ends with a zero. */
function firstText(message: Message): string {
  return new TextDecoder().decode(message.subarray(5, message.indexOf(0, 5)));
}

async function refuse(connection: Deno.Conn): Promise<void> {
  await write(
    connection,
    message(
      "E",
      "SFATAL\0",
      "VFATAL\0",
      "C53300\0",
      `Mthe embedded database has ${MOST_CLIENTS} clients already\0`,
      "\0",
    ),
  );
}

async function write(connection: Deno.Conn, ...parts: readonly Uint8Array[]): Promise<void> {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let filled = 0;
  for (const part of parts) {
    all.set(part, filled);
    filled += part.length;
  }
  for (let sent = 0; sent < all.length;) sent += await connection.write(all.subarray(sent));
}

function hangUp(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
}
