/**
 * The handlers of the benchmark, the same for every contestant. Runs on Deno and on Node.
 *
 * @module
 */

import { Reporter } from "./reporter.ts";
import { wall } from "./wall.ts";

/** The data of the benchmark's tasks. */
export interface BenchData {
  /** When it was published: milliseconds since the epoch. */
  readonly at: number;
  /** Makes it as large as it has to be. */
  readonly text: string;
}

/** Handlers by name. */
export interface Handlers {
  /** Does nothing. */
  noop(): void;
  /** Waits 5 ms. */
  sleep(): Promise<void>;
  /** Tells how long its task took to start. */
  stamp(data: BenchData): void;
  /** Reads its data. */
  read(data: BenchData): void;
}

/** The name of a handler. */
export type HandlerName = keyof Handlers;

/** Milliseconds that `sleep` waits. */
export const SLEEP = 5;

/** Makes the handlers of one process; it reports into `folder`. */
export function makeHandlers(folder: string): Handlers {
  const reporter = new Reporter(folder);
  return {
    noop: () => reporter.ran(),
    async sleep() {
      await new Promise((resolve) => setTimeout(resolve, SLEEP));
      reporter.ran();
    },
    stamp: (data) => reporter.started(wall() - data.at),
    read(data) {
      if (data.text.length === 0) throw new Error("the data did not arrive");
      reporter.ran();
    },
  };
}
