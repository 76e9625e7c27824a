/**
 * What handlers report: how many have run by when, and how long each took to start. It goes into a file for each
 * process, a few lines at a time, so that reporting costs the same little in every contestant. Runs on Deno and on
 * Node.
 *
 * @module
 */

import { openSync, writeSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { wall } from "./wall.ts";

/** Runs between two stamps. */
const STAMP_EVERY = 50;
/** Milliseconds between two writes while handlers run. */
const FLUSH = 10;

/** Counts runs in this process. */
export class Reporter {
  readonly #file: number;
  #count = 0;
  #written = 0;
  #lines = "";
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(folder: string) {
    this.#file = openSync(join(folder, String(process.pid)), "a");
  }

  /** A handler has run. */
  ran(): void {
    this.#count++;
    if (this.#count % STAMP_EVERY === 1) this.#lines += `${this.#count} ${wall()}\n`;
    this.#timer ??= setTimeout(() => this.#flush(), FLUSH);
  }

  /** A handler has started so many milliseconds after its task was published. */
  started(latency: number): void {
    this.#lines += `latency ${latency.toFixed(3)}\n`;
    this.ran();
  }

  #flush(): void {
    this.#timer = undefined;
    writeSync(this.#file, `${this.#lines}${this.#count} ${wall()}\n`);
    this.#lines = "";
    // An idle worker must be idle: the timer ends with the runs.
    if (this.#count !== this.#written) this.#timer = setTimeout(() => this.#flush(), FLUSH);
    this.#written = this.#count;
  }
}
