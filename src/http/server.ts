/**
 * The HTTP server of a supervisor. Made when the supervisor starts, and gone after its engines: while they drain it
 * still tells how they do. Engines come and go beside it.
 *
 * @module
 */

import { systemClock, within } from "../clock.ts";
import type { HttpAddress, Settings } from "../config.ts";
import { messageOf } from "../errors.ts";
import { logger } from "../log.ts";
import { TaskQueue } from "../publish/queue.ts";
import { connectStore } from "../store/connect.ts";
import type { Store } from "../store/mod.ts";
import type { Served, Server } from "../supervisor/serving.ts";
import { Access } from "./access.ts";
import { createApp } from "./app.ts";
import type { HttpApp } from "./parts.ts";

/** Connections for reading, besides those of bounded reads. */
const CONNECTIONS = 3;
/** Seconds for which a publish is tried while Postgres does not answer: a client waits. */
const PATIENCE = 4;
/** The server outlives the code of the handlers: seconds after which it asks what they say of themselves. */
const DEFAULTS_AGE = 5;
/** Requests that are under way get so long to end at a stop, milliseconds. */
const GRACE = 2000;
/** Pauses before the address is tried again, milliseconds: the last one over and over. */
const PAUSES = [50, 50, 100, 200, 500, 1000, 5000];

/** See the module. */
export class HttpServer implements Server {
  readonly #settings: Settings;
  readonly #address: HttpAddress;
  readonly #log = logger("http");
  readonly #stopping = new AbortController();
  readonly #store: Store;
  readonly #queue: TaskQueue;
  readonly #app: HttpApp;
  #server: Deno.HttpServer<Deno.NetAddr> | undefined;
  /** Ends the connections that are left. */
  readonly #cut = new AbortController();
  #listening: Promise<void> = Promise.resolve();

  private constructor(settings: Settings, address: HttpAddress, access: Access, served: Served) {
    this.#settings = settings;
    this.#address = address;
    this.#store = connectStore(settings, { applicationName: "tq http", connections: CONNECTIONS });
    this.#queue = new TaskQueue(settings, { patience: PATIENCE, defaultsAge: DEFAULTS_AGE });
    this.#app = createApp({
      settings,
      store: this.#store,
      queue: this.#queue,
      access,
      clock: systemClock,
      stopping: this.#stopping.signal,
      status: () => served.status(),
      metrics: served.metrics,
      control: served.control,
    });
  }

  /**
   * Starts to serve. An address that is taken is tried again and again: tasks run without it.
   *
   * @throws {SettingsError} when other machines would reach it without a token of the user's own
   */
  static async start(settings: Settings, address: HttpAddress, served: Served): Promise<HttpServer> {
    const access = await Access.open(settings, systemClock);
    const server = new HttpServer(settings, address, access, served);
    const problem = server.#listen();
    if (problem !== undefined) server.#listening = server.#keepTrying(problem);
    return server;
  }

  /** `http://127.0.0.1:7654`, or undefined while it does not listen. */
  get url(): string | undefined {
    if (this.#server === undefined) return undefined;
    const { hostname, port } = this.#server.addr;
    return `http://${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`;
  }

  /** Takes no more requests, lets those under way end, and closes connections. */
  async stop(grace = GRACE): Promise<void> {
    this.#stopping.abort();
    await this.#listening;
    const server = this.#server;
    this.#server = undefined;
    if (server !== undefined) {
      const ended = server.shutdown();
      if (await within(systemClock, grace, ended.then(() => true)) === undefined) this.#cut.abort();
      await server.finished;
    }
    await this.#queue.close();
    await this.#store.close();
  }

  /** Listens; what stands in the way, or undefined. */
  #listen(): unknown {
    try {
      const { hostname, port } = this.#address;
      this.#server = Deno.serve({
        hostname,
        port,
        signal: this.#cut.signal,
        onListen: () => {},
        onError: (error) => {
          this.#log.error("A request failed", { error });
          return Response.json({ status: false, error: "something went wrong", error_code: 500 }, {
            status: 500,
          });
        },
      }, (request) => this.#app.fetch(request));
      this.#log.info("Listening", { url: this.url });
      return undefined;
    } catch (error) {
      return error;
    }
  }

  async #keepTrying(problem: unknown): Promise<void> {
    const { signal } = this.#stopping;
    for (let tries = 0;; tries++) {
      // The program before this one may have had it a moment ago: that is not worth a word.
      if (tries === PAUSES.length - 1) {
        this.#log.warn("Cannot listen; tasks run without REST and the dashboard until that ends", {
          address: this.#settings.given.TQ_HTTP ?? `${this.#address.hostname}:${this.#address.port}`,
          error: messageOf(problem),
        });
      }
      await systemClock.sleep(PAUSES[tries] ?? PAUSES.at(-1) ?? 0, signal);
      if (signal.aborted || this.#listen() === undefined) return;
    }
  }
}
