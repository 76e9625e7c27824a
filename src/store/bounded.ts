/**
 * Reads of which nobody knows how much they look at: a filter that has no index, a count. Each is given a time by
 * the server itself, so that one that was abandoned does not go on for minutes.
 *
 * The limit is set inside a transaction, the only place where PgBouncer lets it be set, so each read has a
 * connection of its own, as transactions have: some milliseconds more, for people. The embedded database cannot cut a
 * statement off; it holds few tasks.
 *
 * @module
 */

import { TooSlowError, UnreachableError } from "../errors.ts";
import type { Database } from "./database.ts";
import { isCanceled } from "./errors.ts";
import type { Parameter, Transaction } from "./pool.ts";

/** Runs statements under a limit. */
export interface BoundedRun {
  /** Gives the following statements `milliseconds` each. */
  limit(milliseconds: number): Promise<void>;
  /** Runs one statement, planned for these parameters. */
  run<Row>(text: string, parameters?: readonly Parameter[]): Promise<readonly Row[]>;
}

/** Reads at once; others wait for them. */
const MOST_READS = 4;
/** Reads that wait at most. */
const MOST_WAITING = 50;
/** What the connection and the statements around the read may take besides, milliseconds. */
const MARGIN = 5000;

/** Does bounded reads, a few at a time. */
export class BoundedReads {
  readonly #db: Database;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(db: Database) {
    this.#db = db;
  }

  /**
   * Runs `read` in a read-only transaction, all of whose statements see the record at one moment.
   *
   * @param milliseconds for each of its statements, unless it sets another limit
   * @throws {TooSlowError} when a statement took longer
   * @throws {UnreachableError} when too many wait already
   */
  async read<T>(milliseconds: number, read: (bounded: BoundedRun) => Promise<T>): Promise<T> {
    await this.#enter();
    try {
      return await this.#db.pool.transaction(async (tx: Transaction) => {
        const bounded = on(tx);
        await tx.unsafe("set transaction isolation level repeatable read, read only");
        await bounded.limit(milliseconds);
        return await read(bounded);
      }, milliseconds + MARGIN);
    } catch (error) {
      if (!isCanceled(error)) throw error;
      throw new TooSlowError(`the answer takes longer than ${milliseconds / 1000} s`, {
        cause: error,
        remedy: "ask for less",
      });
    } finally {
      this.#running--;
      this.#waiting.shift()?.();
    }
  }

  async #enter(): Promise<void> {
    if (this.#running >= MOST_READS) {
      if (this.#waiting.length >= MOST_WAITING) {
        throw new UnreachableError("too many lists are read already", { remedy: "try again later" });
      }
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    this.#running++;
  }
}

function on(tx: Transaction): BoundedRun {
  return {
    limit: async (milliseconds) =>
      void await tx.unsafe(`set local statement_timeout = ${Math.round(milliseconds)}`),
    run: async <Row>(text: string, parameters: readonly Parameter[] = []) =>
      Array.from(await tx.unsafe(text, parameters as never[], { prepare: false }) as Row[]),
  };
}
