/**
 * One connection of the pool.
 *
 * @module
 */

import type postgres from "npm:postgres@3.4.9";
import { strayErrors } from "./driver_errors.ts";

/** One postgres.js client: one connection. */
export class Client {
  readonly sql: postgres.Sql;
  /** Stray errors name no client, so after one every client that existed is replaced when its statement ends. */
  readonly generation = strayErrors();
  /** Resolves when the server has taken the connection; then `isReady`. */
  readonly ready: Promise<void>;
  isReady = false;

  constructor(sql: postgres.Sql, ready: Promise<void>, readonly startup: Readonly<Record<string, string>>) {
    this.sql = sql;
    this.ready = ready.then(() => void (this.isReady = true));
  }

  /** Ends the connection, without waiting. */
  abandon(): void {
    this.sql.end({ timeout: 0 }).catch(() => {});
  }
}
