/**
 * A Unix datagram socket that collects what it is sent, as systemd's notify socket does (Linux only).
 *
 * @module
 */

import assert from "node:assert/strict";
import { eventually } from "./fixtures.ts";

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const MSG_DONTWAIT = 0x40;
const CLOCK_MONOTONIC = 1;

const SYMBOLS = {
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  recv: { parameters: ["i32", "buffer", "usize", "i32"], result: "isize" },
  close: { parameters: ["i32"], result: "i32" },
  clock_gettime: { parameters: ["i32", "buffer"], result: "i32" },
} as const;

/** The receiver. */
export class DatagramReceiver implements Disposable {
  readonly #libc = Deno.dlopen("libc.so.6", SYMBOLS);
  readonly #descriptor: number;
  readonly #buffer = new Uint8Array(65_536);
  readonly #received: string[] = [];

  /** @param address a path, or `@` and an abstract name. */
  constructor(address: string) {
    const name = new TextEncoder().encode(
      address.startsWith("@") ? `\0${address.slice(1)}` : `${address}\0`,
    );
    const bytes = new Uint8Array([AF_UNIX, 0, ...name]);
    this.#descriptor = this.#libc.symbols.socket(AF_UNIX, SOCK_DGRAM, 0);
    assert.equal(this.#libc.symbols.bind(this.#descriptor, bytes, bytes.length), 0, `cannot bind ${address}`);
  }

  /** All that was received so far, in order. */
  get received(): readonly string[] {
    for (;;) {
      const { recv } = this.#libc.symbols;
      const length = Number(
        recv(this.#descriptor, this.#buffer, BigInt(this.#buffer.length), MSG_DONTWAIT),
      );
      if (length < 0) return this.#received;
      this.#received.push(new TextDecoder().decode(this.#buffer.subarray(0, length)));
    }
  }

  /** Waits until `pattern` matches `count` of them; returns the last of these. */
  async heard(pattern: RegExp, options: { count?: number; within?: number } = {}): Promise<string> {
    const { count = 1, within = 20_000 } = options;
    const found = await eventually(() => {
      const all = this.received.filter((one) => pattern.test(one));
      return all.length >= count && all;
    }, { within, what: `${pattern} over the socket, ${count} times` });
    return found.at(-1)!;
  }

  /** This machine's CLOCK_MONOTONIC, microseconds. */
  now(): bigint {
    const time = new BigInt64Array(2);
    this.#libc.symbols.clock_gettime(CLOCK_MONOTONIC, new Uint8Array(time.buffer));
    return time[0]! * 1_000_000n + time[1]! / 1000n;
  }

  [Symbol.dispose](): void {
    this.#libc.symbols.close(this.#descriptor);
    this.#libc.close();
  }
}
