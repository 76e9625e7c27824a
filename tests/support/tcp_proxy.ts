/**
 * A network that a test can break: a TCP proxy between a client and a server.
 *
 * @module
 */

import { freePort } from "./free_port.ts";

/** One client, and the server's end once it is reached. */
interface Pair {
  readonly client: Deno.TcpConn;
  server: Deno.TcpConn | undefined;
  closed: boolean;
}

/** Where a proxy leads: an address such as `postgres://…@127.0.0.1:5432/test`, or a host and a port. */
export type Target = string | { readonly hostname: string; readonly port: number };

const USUAL_PORTS: Readonly<Record<string, number>> = {
  "postgres:": 5432,
  "postgresql:": 5432,
  "redis:": 6379,
};

/** Starts a proxy to `target`, on 127.0.0.1. Dispose of it. */
export function tcpProxy(target: Target): TcpProxy {
  return new TcpProxy(target);
}

/** See {@linkcode tcpProxy}. */
export class TcpProxy implements AsyncDisposable {
  readonly hostname = "127.0.0.1";
  readonly port: number = freePort();
  /** How many connections it has taken. */
  accepted = 0;

  readonly #target: Target;
  readonly #pairs = new Set<Pair>();
  readonly #running = new Set<Promise<void>>();
  #listener: Deno.TcpListener | undefined;
  /** Pending while it listens. */
  #accepting: Promise<void> | undefined;
  /** Pending while silent. */
  #gate = Promise.resolve();
  #openGate: (() => void) | undefined;

  constructor(target: Target) {
    this.#target = target;
    this.#listen();
  }

  /** The target's address with the proxy's host and port in place of its own. */
  get url(): string {
    if (typeof this.#target !== "string") return `tcp://${this.hostname}:${this.port}`;
    const url = new URL(this.#target);
    url.hostname = this.hostname;
    url.port = String(this.port);
    return url.href;
  }

  /** How many connections are open. */
  get connections(): number {
    return [...this.#pairs].filter((pair) => !pair.closed).length;
  }

  /** As behind a cable that was pulled: connections stay open, new ones are taken, and nothing comes through. */
  goSilent(): void {
    if (this.#openGate !== undefined) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#gate = promise;
    this.#openGate = resolve;
  }

  /** Closes every connection; new ones are taken. */
  cut(): void {
    for (const pair of this.#pairs) close(pair);
  }

  /** Takes no new connections, as a port where nobody listens; those that are open stay. */
  async refuse(): Promise<void> {
    this.#listener?.close();
    this.#listener = undefined;
    await this.#accepting; // Until then the kernel still takes connections.
  }

  /** All is well again: it listens, and what was held back comes through. */
  async resume(): Promise<void> {
    this.#openGate?.();
    this.#openGate = undefined;
    if (this.#listener !== undefined) return;
    await this.#accepting;
    this.#listen();
  }

  /** Ends it, and waits until every connection is gone. */
  async [Symbol.asyncDispose](): Promise<void> {
    const refused = this.refuse();
    this.cut();
    this.#openGate?.();
    await refused;
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  #listen(): void {
    const listener = Deno.listen({ hostname: this.hostname, port: this.port });
    this.#listener = listener;
    this.#accepting = this.#accept(listener);
  }

  async #accept(listener: Deno.TcpListener): Promise<void> {
    for await (const client of listener) {
      if (listener !== this.#listener) {
        client.close(); // It slipped in while the listener was being closed.
        continue;
      }
      this.accepted++;
      this.#track(this.#serve({ client, server: undefined, closed: false }));
    }
  }

  async #serve(pair: Pair): Promise<void> {
    this.#pairs.add(pair);
    try {
      await this.#gate;
      if (pair.closed) return;
      const server = await Deno.connect(this.#address());
      pair.server = server;
      if (pair.closed) return server.close();
      await Promise.all([this.#pump(pair, pair.client, server), this.#pump(pair, server, pair.client)]);
    } catch {
      // The target is not there: the client sees its connection closed.
    } finally {
      close(pair);
      this.#pairs.delete(pair);
    }
  }

  async #pump(pair: Pair, from: Deno.TcpConn, to: Deno.TcpConn): Promise<void> {
    const buffer = new Uint8Array(64 * 1024);
    try {
      for (;;) {
        const size = await from.read(buffer);
        await this.#gate;
        if (pair.closed) return;
        if (size === null) return await to.closeWrite();
        for (let sent = 0; sent < size;) sent += await to.write(buffer.subarray(sent, size));
      }
    } catch {
      close(pair); // One end broke off: so does the other.
    }
  }

  #address(): { hostname: string; port: number } {
    if (typeof this.#target !== "string") return this.#target;
    const { hostname, port, protocol } = new URL(this.#target);
    return { hostname, port: Number(port || USUAL_PORTS[protocol]) };
  }

  #track(work: Promise<void>): void {
    this.#running.add(work);
    work.finally(() => this.#running.delete(work));
  }
}

function close(pair: Pair): void {
  if (pair.closed) return;
  pair.closed = true;
  pair.client.close();
  pair.server?.close();
}
