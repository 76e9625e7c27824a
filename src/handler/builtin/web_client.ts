/**
 * One HTTP exchange at a time over kept-alive connections, with a bounded answer, and no connection to an
 * address that `address_guard.ts` refuses.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { lookup as dnsLookup } from "node:dns/promises";
import net from "node:net";
import { setImmediate } from "node:timers/promises";
import tls from "node:tls";
import type { Agent, buildConnector, Dispatcher } from "npm:undici@8.12.4";
// Not undici's index: that one needs zlib's zstd, which Deno 2.4 lacks ("Cannot read properties of undefined
// (reading 'bind')", decompress.js:78), and loads fetch, caches and mocks besides.
import UndiciAgent from "npm:undici@8.12.4/lib/dispatcher/agent.js";
import type { Clock } from "../../clock.ts";
import { refusalOf, RefusedAddressError } from "./address_guard.ts";

/** An address that a name stands for. */
export interface LookupAddress {
  readonly address: string;
  /** 4 or 6. */
  readonly family: number;
}

/** Finds the addresses of a host name; rejects when there are none. */
export type Lookup = (hostname: string) => Promise<LookupAddress[]>;

/** Options of a web client. */
export interface WebClientOptions {
  readonly clock: Clock;
  readonly allowLinkLocal: boolean;
  /** @default the system's resolver */
  readonly lookup?: Lookup | undefined;
}

/** A request, ready to be sent. */
export interface WebClientRequest {
  /** Its user and password are not sent. */
  readonly url: URL;
  readonly method: string;
  readonly headers: Headers;
  readonly body: string | undefined;
}

/** What came back. */
export interface Answer {
  readonly status: number;
  readonly statusText: string;
  readonly headers: Dispatcher.ResponseData["headers"];
  /** At most `BODY_LIMIT` bytes. */
  readonly body: Uint8Array;
  /** Whether the body was longer than that: the rest was not read. */
  readonly cut: boolean;
}

/** Bytes of a body that are read: as many as a task's log keeps. */
export const BODY_LIMIT = 64 * 1024;

/**
 * A connection that is not there by then never will be. It outlives the request that asked for it, so no
 * request's timeout can end it.
 */
const CONNECT_LIMIT_MS = 60_000;

const AgentClass: typeof Agent = UndiciAgent;

/** Sends requests; owns their connections. */
export class WebClient {
  readonly #clock: Clock;
  readonly #allowLinkLocal: boolean;
  readonly #lookup: Lookup;
  readonly #agent: Agent;
  /** What gives up each connection that is not ready yet. */
  readonly #connecting = new Set<(reason: Error) => void>();

  constructor(options: WebClientOptions) {
    this.#clock = options.clock;
    this.#allowLinkLocal = options.allowLinkLocal;
    this.#lookup = options.lookup ?? ((hostname) => dnsLookup(hostname, { all: true }));
    this.#agent = new AgentClass({
      connect: (target: buildConnector.Options, done: buildConnector.Callback) => this.#connect(target, done),
      // The exchange as a whole has a timeout already.
      headersTimeout: 0,
      bodyTimeout: 0,
    });
  }

  /**
   * Sends a request and reads the answer; follows no redirect.
   *
   * @throws {RefusedAddressError} when the host is, or resolves to, an address that is not allowed
   * @throws the signal's reason once it aborts; else whatever went wrong on the network
   */
  send(request: WebClientRequest, signal: AbortSignal): Promise<Answer> {
    const { url, method, headers, body } = request;
    return new Promise((resolve, reject) => {
      let controller: Dispatcher.DispatchController | undefined;
      // Rejects by itself: undici hands out the controller, that could end it, no sooner than it is connected.
      const abort = () => {
        reject(signal.reason);
        controller?.abort(new Error("the request was aborted"));
      };
      if (signal.aborted) return abort();
      signal.addEventListener("abort", abort, { once: true });
      const handler = collect((answer) => {
        signal.removeEventListener("abort", abort);
        resolve(answer);
      }, (error) => {
        signal.removeEventListener("abort", abort);
        reject(error);
      });
      this.#agent.dispatch({
        origin: url.origin,
        path: url.pathname + url.search,
        method,
        headers: Object.fromEntries(headers),
        body: body ?? null,
      }, {
        ...handler,
        onRequestStart(started: Dispatcher.DispatchController) {
          controller = started;
          if (signal.aborted) abort();
        },
      });
    });
  }

  /** Closes every connection; requests under way fail. */
  async close(): Promise<void> {
    for (const giveUp of this.#connecting) giveUp(new Error("the web client was closed"));
    await this.#agent.destroy();
    // undici leaves one behind after an answer; without it nothing of this client outlives this call.
    await setImmediate();
  }

  /** undici's connector: every connection starts here, so here is where an address is checked. */
  #connect({ hostname, protocol, port }: buildConnector.Options, done: buildConnector.Callback): void {
    const refusal = net.isIP(hostname) === 0 ? undefined : this.#refusal(hostname, hostname);
    // Not at once: undici does not expect an answer before its call has returned.
    if (refusal !== undefined) return queueMicrotask(() => done(refusal, null));
    const secure = protocol === "https:";
    const target = {
      host: hostname,
      port: Number(port) || (secure ? 443 : 80),
      lookup: (name: string, options: LookupOptions, found: LookupCallback) => {
        void this.#resolve(name, options, found);
      },
    };
    const socket = secure ? tls.connect({ ...target, ALPNProtocols: ["http/1.1"] }) : net.connect(target);
    const settle = (error: Error | null) => {
      if (!this.#connecting.delete(giveUp)) return;
      cancel();
      if (error === null) done(null, socket);
      else done(error, null);
    };
    const giveUp = (reason: Error) => {
      settle(reason); // First: on Deno 2.4 a destroyed socket tells of its closing before its error.
      socket.destroy(reason);
    };
    this.#connecting.add(giveUp);
    const cancel = this.#clock.after(CONNECT_LIMIT_MS, () => {
      giveUp(new Error(`no connection within ${CONNECT_LIMIT_MS / 1000} s`));
    });
    socket.setNoDelay(true);
    socket.once(secure ? "secureConnect" : "connect", () => settle(null));
    socket.on("error", settle);
    socket.on("close", () => settle(new Error("the connection was closed before it was ready")));
  }

  /** node:net's lookup. It asks for all addresses when it may try several, else for one. */
  async #resolve(hostname: string, { all }: LookupOptions, found: LookupCallback): Promise<void> {
    let addresses: [LookupAddress, ...LookupAddress[]];
    try {
      addresses = await this.#allowedAddresses(hostname);
    } catch (error) {
      return found(error instanceof Error ? error : new Error(String(error)), []);
    }
    if (all) found(null, addresses);
    else found(null, addresses[0].address, addresses[0].family);
  }

  async #allowedAddresses(hostname: string): Promise<[LookupAddress, ...LookupAddress[]]> {
    const [first, ...others] = await this.#lookup(hostname);
    if (first === undefined) throw new Error(`${hostname} has no address`);
    for (const { address } of [first, ...others]) {
      const refusal = this.#refusal(hostname, address);
      if (refusal !== undefined) throw refusal;
    }
    return [first, ...others];
  }

  #refusal(hostname: string, address: string): RefusedAddressError | undefined {
    const refusal = this.#allowLinkLocal ? undefined : refusalOf(address);
    if (refusal === undefined) return undefined;
    const host = hostname === address ? address : `${hostname} (${address})`;
    return new RefusedAddressError(`${host} is ${refusal}`);
  }
}

interface LookupOptions {
  readonly all?: boolean | undefined;
}

type LookupCallback = (
  error: NodeJS.ErrnoException | null,
  address: string | LookupAddress[],
  family?: number,
) => void;

/** The part of a dispatch that reads the answer: calls one of the two. */
function collect(
  resolve: (answer: Answer) => void,
  reject: (error: Error) => void,
): Dispatcher.DispatchHandler {
  let head = { status: 0, statusText: "", headers: {} };
  const chunks: Uint8Array[] = [];
  let room = BODY_LIMIT;
  const end = (cut: boolean) => resolve({ ...head, body: Buffer.concat(chunks), cut });
  return {
    onResponseStart(_controller, status, headers, statusText = "") {
      // 1xx announce the answer, and are none.
      if (status >= 200) head = { status, statusText, headers };
    },
    onResponseData(controller, chunk) {
      chunks.push(chunk.subarray(0, room));
      room -= chunk.length;
      if (room >= 0) return;
      end(true);
      controller.abort(new Error("the rest of the body is not read"));
    },
    onResponseEnd: () => end(false),
    onResponseError: (_controller, error) => reject(error),
  };
}
