/**
 * Reads what handlers report (see role/reporter.ts), while they run.
 *
 * @module
 */

import { join } from "node:path";

/** A moment in one process: so many had run there. Milliseconds since the epoch. */
interface Stamp {
  readonly time: number;
  readonly count: number;
}

/** One process's file. */
class Log {
  readonly stamps: Stamp[] = [];
  readonly latencies: number[] = [];
  readonly #file: Deno.FsFile;
  #rest = "";

  constructor(path: string) {
    this.#file = Deno.openSync(path);
  }

  read(): void {
    const buffer = new Uint8Array(1 << 16);
    const decoder = new TextDecoder();
    for (;;) {
      const length = this.#file.readSync(buffer);
      if (length === null) break;
      const lines = (this.#rest + decoder.decode(buffer.subarray(0, length))).split("\n");
      this.#rest = lines.pop() ?? "";
      for (const line of lines) {
        const [first = "", second = ""] = line.split(" ");
        if (first === "latency") this.latencies.push(Number(second));
        else this.stamps.push({ count: Number(first), time: Number(second) });
      }
    }
  }

  close(): void {
    this.#file.close();
  }
}

/** The reports of all processes of one run. */
export class Reports implements Disposable {
  readonly #folder: string;
  readonly #logs = new Map<string, Log>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** How many have run, as far as is reported. */
  count(): number {
    this.#read();
    return [...this.#logs.values()].reduce((sum, log) => sum + (log.stamps.at(-1)?.count ?? 0), 0);
  }

  /** When so many had run, over all processes. */
  timeOf(count: number): number {
    this.#read();
    const events = [...this.#logs].flatMap(([name, { stamps }]) =>
      stamps.map((stamp) => ({ name, ...stamp }))
    )
      .sort((a, b) => a.time - b.time);
    const counts = new Map<string, number>();
    let sum = 0;
    for (const event of events) {
      sum += event.count - (counts.get(event.name) ?? 0);
      counts.set(event.name, event.count);
      if (sum >= count) return event.time;
    }
    throw new Error(`fewer than ${count} have run`);
  }

  /** When the last one was reported. */
  lastTime(): number {
    this.#read();
    return Math.max(...[...this.#logs.values()].map((log) => log.stamps.at(-1)?.time ?? 0));
  }

  /** Milliseconds from publish to start, in the order of the starts in each process. */
  latencies(): number[] {
    this.#read();
    return [...this.#logs.values()].flatMap((log) => log.latencies);
  }

  [Symbol.dispose](): void {
    for (const log of this.#logs.values()) log.close();
  }

  #read(): void {
    for (const { name } of Deno.readDirSync(this.#folder)) {
      if (!this.#logs.has(name)) this.#logs.set(name, new Log(join(this.#folder, name)));
    }
    for (const log of this.#logs.values()) log.read();
  }
}
