/**
 * What the benchmark asks of each contestant. Runs on Deno and on Node.
 *
 * @module
 */

import type { BenchData, HandlerName, Handlers } from "./handlers.ts";

/** Where a contestant works, and how it is set up. */
export interface DriverConfig {
  /** The address of its own database. */
  readonly postgres: string;
  /** The address of its own Redis database. */
  readonly redis: string;
  /** What sets contestants apart that share a driver. */
  readonly variant: string;
  /** Where handlers report. */
  readonly reports: string;
  /** Workers: tasks at once in this process. */
  readonly workers: number;
  /** Workers: the one handler that this run needs. */
  readonly handler: HandlerName;
  /** Publishers: how many callers there will be at once. */
  readonly callers: number;
  /** Connections to Postgres that this process may have. */
  readonly connections: number;
}

/** Publishes. */
export interface PublisherDriver {
  /** Publishes one task; resolves when the queue has taken it, and not before. Absent where only batches exist. */
  publish?(handler: HandlerName, data: BenchData): Promise<unknown>;
  /** Publishes many tasks with one call of the contestant's own. */
  publishMany(handler: HandlerName, data: readonly BenchData[]): Promise<unknown>;
}

/** A contestant, as its `driver.ts` or `driver.mjs` exports it. */
export interface Driver {
  /** Makes the schema in an empty database. */
  prepare?(config: DriverConfig): Promise<void>;
  /** Connects a publisher. */
  publisher(config: DriverConfig): Promise<PublisherDriver>;
  /** Starts a worker; resolves when it takes tasks. */
  worker?(config: DriverConfig, handlers: Handlers): Promise<void>;
}
