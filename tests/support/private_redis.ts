/**
 * A Redis of a test's own.
 *
 * @module
 */

import { redisBinary } from "./binaries.ts";
import { PrivateServer, type Settings, started } from "./private_server.ts";
import { answersRedis } from "./probe.ts";

/** A Redis of one's own, that keeps nothing on disk unless it is told to. */
export class PrivateRedis extends PrivateServer {
  readonly #settings: Settings;

  /** @param settings more settings, such as `{ maxmemory: "10mb" }` or `{ appendonly: "yes" }`. */
  constructor(settings: Settings = {}) {
    super("redis");
    this.#settings = { save: "", appendonly: "no", ...settings };
  }

  /** Whether this machine has the binary. */
  static available(): boolean {
    return redisBinary() !== undefined;
  }

  /** Makes one and starts it. */
  static async started(settings: Settings = {}): Promise<PrivateRedis> {
    return await started(new PrivateRedis(settings));
  }

  /** Its address. */
  url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  protected override signalFor(mode: "fast" | "immediate"): Deno.Signal {
    return mode === "fast" ? "SIGTERM" : "SIGKILL";
  }

  protected override command(): string[] {
    const program = redisBinary();
    if (program === undefined) {
      throw new Error("no redis-server on this machine: see tests/support/binaries.ts");
    }
    const own = { port: this.port, bind: "127.0.0.1", dir: this.folder, daemonize: "no" };
    const settings = { ...own, ...this.#settings };
    return [program, ...Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)])];
  }

  protected override async isReady(): Promise<boolean> {
    return await answersRedis(this.url());
  }
}
