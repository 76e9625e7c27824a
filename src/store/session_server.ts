/**
 * Many clients on the one session of the embedded database. A client that begins a cycle of messages has the session
 * until the cycle is over and no transaction is open; whoever else asks waits. `pglite-socket` keeps a client's
 * messages together only inside a transaction, so that those of two get mixed, and what one was told is committed
 * goes with the other's error (electric-sql/pglite#1046).
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { type Clock, within } from "../clock.ts";
import { messageOf, TooSlowError, TqError, UnreachableError } from "../errors.ts";
import { logger } from "../log.ts";
import {
  ClientInput,
  firstText,
  isParsed,
  kindOf,
  type Message,
  message,
  readyState,
  startup,
  write,
} from "./wire.ts";

/** The one session, as PGlite has it: takes a message of a client, gives what Postgres answers. */
export interface Session {
  execProtocolRawStream(
    message: Uint8Array,
    options: { onRawData(data: Uint8Array): void },
  ): Promise<void>;
  isInTransaction(): boolean;
}

/** What {@linkcode SessionServer.start} takes. */
export interface SessionServerOptions {
  readonly session: Session;
  readonly clock: Clock;
  /** Called when the session has failed as no query makes it fail: nothing more can be asked. */
  onBroken(): void;
}

/** Clients at once. */
const MOST_CLIENTS = 200;
/** Who has the session may be silent, or not read, for this long, milliseconds. */
const PATIENCE = 10_000;
/** After a connection that could not be accepted, milliseconds. */
const PAUSE = 100;

/** Serves a session on a free port of loopback. */
export class SessionServer implements AsyncDisposable {
  readonly #options: SessionServerOptions;
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #clients = new Map<Deno.Conn, Promise<void>>();
  readonly #log = logger("database");
  #greeting: Uint8Array = new Uint8Array();
  #accepting = Promise.resolve();
  #lastTurn = Promise.resolve();
  #broken = false;

  private constructor(options: SessionServerOptions) {
    this.#options = options;
  }

  static async start(options: SessionServerOptions): Promise<SessionServer> {
    const server = new SessionServer(options);
    // All have this session: what a client says of itself changes nothing, so each gets the same answer.
    server.#greeting = await server.#ask(startup("user\0postgres\0database\0postgres\0\0"));
    server.#accepting = server.#accept();
    return server;
  }

  get port(): number {
    return this.#listener.addr.port;
  }

  /** How many are connected. */
  get clients(): number {
    return this.#clients.size;
  }

  /** Hangs up. A client that does not read what is being written to it can hold this up. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#accepting;
    for (const connection of this.#clients.keys()) hangUp(connection);
    await Promise.all(this.#clients.values());
  }

  async #accept(): Promise<void> {
    while (true) {
      try {
        const connection = await this.#listener.accept();
        const full = this.#clients.size >= MOST_CLIENTS;
        const served = this.#serve(connection, full).finally(() => this.#clients.delete(connection));
        this.#clients.set(connection, served);
      } catch (error) {
        if (error instanceof Deno.errors.BadResource || error instanceof Deno.errors.Interrupted) return;
        this.#log.warn("A client cannot be accepted", { error: messageOf(error) });
        await this.#options.clock.sleep(PAUSE);
      }
    }
  }

  async #serve(connection: Deno.TcpConn, full: boolean): Promise<void> {
    try {
      connection.setNoDelay();
      const input = new ClientInput(connection);
      if (!await input.start()) return;
      await write(connection, full ? REFUSAL : this.#greeting);
      if (!full) await this.#answer(connection, input);
    } catch (error) {
      const level = error instanceof TqError ? "warn" : "debug";
      this.#log[level]("A client is cut off", { error: messageOf(error) });
    } finally {
      hangUp(connection);
    }
  }

  async #answer(connection: Deno.Conn, input: ClientInput): Promise<void> {
    const prepared = new Set<string>();
    let giveBack: (() => void) | undefined;
    let answers: Uint8Array[] = [];
    try {
      while (true) {
        const message = await (giveBack === undefined ? input.next() : this.#soon(input.next()));
        const kind = message === undefined ? "X" : kindOf(message);
        if (message === undefined || kind === "X") return;
        giveBack ??= await this.#turn();
        const answer = await this.#ask(message);
        answers.push(answer);
        if (kind === "P" && isParsed(answer)) prepared.add(firstText(message));
        if (!"QSH".includes(kind)) continue;
        const ready = readyState(answer) === "I";
        // Before the answer is written: who does not read it holds up nobody then.
        if (ready) giveBack = void giveBack();
        const writing = write(connection, Buffer.concat(answers));
        await (ready ? writing : this.#soon(writing));
        answers = [];
      }
    } finally {
      await this.#clear(prepared, giveBack);
    }
  }

  /** What an owner of the session does next, if it does not let the others wait for too long. */
  async #soon<T>(next: Promise<T>): Promise<T> {
    const done = await within(this.#options.clock, PATIENCE, next.then((value) => ({ value })));
    if (done !== undefined) return done.value;
    throw new TooSlowError(`it has kept the database from all others for ${PATIENCE / 1000} s`);
  }

  /** Ends what a client has left half done: a cycle, a transaction, and the statements that it has prepared. */
  async #clear(prepared: Set<string>, giveBack: (() => void) | undefined): Promise<void> {
    prepared.delete("");
    if (giveBack === undefined && prepared.size === 0) return;
    giveBack ??= await this.#turn();
    try {
      if (this.#broken) return;
      // Sync alone would commit half a cycle: an error takes it back.
      await this.#ask(message("P", "\0this is an error\0", "\0\0"));
      await this.#ask(message("S"));
      if (this.#options.session.isInTransaction()) await this.#ask(message("Q", "rollback\0"));
      for (const name of prepared) await this.#ask(message("C", `S${name}\0`));
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

  async #ask(message: Message): Promise<Uint8Array> {
    if (this.#broken) throw new UnreachableError("the embedded database has failed");
    const parts: Uint8Array[] = [];
    try {
      await this.#options.session.execProtocolRawStream(message, {
        // What it gives is a part of its memory, which it uses again.
        onRawData: (data) => parts.push(data.slice()),
      });
      const answer = Buffer.concat(parts);
      if (kindOf(message) === "S" && readyState(answer) === undefined) throw new Error("it answers no Sync");
      return answer;
    } catch (error) {
      this.#broken = true;
      this.#log.error("Embedded database has failed", { error: messageOf(error) });
      this.#options.onBroken();
      throw error;
    }
  }
}

const REFUSAL = message(
  "E",
  "SFATAL\0VFATAL\0C53300\0",
  `Mthe embedded database has ${MOST_CLIENTS} clients already\0\0`,
);

function hangUp(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
}
