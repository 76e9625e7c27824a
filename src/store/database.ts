/**
 * One schema in one Postgres: statements, sent again when that is safe.
 *
 * @module
 */

import { type Clock, systemClock } from "../clock.ts";
import { reconnectDelay } from "../retry_policy.ts";
import { UnreachableError } from "../errors.ts";
import { isConflict } from "./errors.ts";
import type { Parameter, Pool, Rows } from "./pool.ts";

/** A statement, for the schema that it is to run in. Write it once, at the top of its file. */
export type Statement = (schema: string) => string;

/** How long a statement is sent again while there is no answer. */
export interface Patience {
  /** Milliseconds for one try. @default 30,000 */
  readonly deadline?: number;
  /** Milliseconds for all tries: 0 is one try, whatever comes. A conflict with another statement is always tried again. @default 0 */
  readonly patience?: number;
  /** Ends the tries. */
  readonly signal?: AbortSignal;
}

/** A conflict ends by itself; more than this many in a row are something else. */
const MOST_CONFLICTS = 20;

/** Runs statements in one schema. */
export class Database {
  readonly schema: string;
  readonly pool: Pool;
  readonly #clock: Clock;
  readonly #texts = new Map<Statement, string>();

  constructor(pool: Pool, schema: string, clock: Clock = systemClock) {
    this.pool = pool;
    this.schema = schema;
    this.#clock = clock;
  }

  /** The statement's text in this schema. */
  text(statement: Statement): string {
    let text = this.#texts.get(statement);
    if (text === undefined) this.#texts.set(statement, text = statement(this.schema));
    return text;
  }

  /** Runs one statement. Every statement may be sent again (invariant 14), so a lost answer is asked for anew. */
  async run<Row>(
    statement: Statement,
    parameters: readonly Parameter[] = [],
    how: Patience = {},
  ): Promise<Rows<Row>> {
    const text = this.text(statement);
    const until = this.#clock.monotonic() + (how.patience ?? 0);
    for (let tries = 0;; tries++) {
      try {
        return await this.pool.run<Row>(text, parameters, how.deadline);
      } catch (error) {
        const again = isConflict(error)
          ? tries < MOST_CONFLICTS
          : error instanceof UnreachableError && !this.pool.isClosed && this.#clock.monotonic() < until;
        if (!again || how.signal?.aborted) throw error;
        await this.#clock.sleep(reconnectDelay(tries, 1000), how.signal);
      }
    }
  }
}

/**
 * A query for the values that a column of `tasks` has in one state. It skips from value to value through the index
 * that begins with that column, whereas `distinct` would read all of it.
 */
export function valuesOf(schema: string, column: "channel" | "engine_id", state: number): string {
  const next = (after = "") =>
    `select t.${column} as value from ${schema}.tasks t where t.state = ${state} ${after} order by t.${column} limit 1`;
  return `with recursive v as (
      (${next()}) union all select (${next(`and t.${column} > v.value`)}) from v where v.value is not null
    ) select value as ${column} from v where value is not null`;
}

/** A one-dimensional array parameter of numbers or of null, as Postgres' text form; cast it in the statement. */
export function numbers(values: readonly (number | null)[]): string {
  return `{${values.map((value) => value ?? "NULL").join(",")}}`;
}

/** A one-dimensional array parameter of strings or of null, as Postgres' text form (manual, section 8.15.6). */
export function strings(values: readonly (string | null)[]): string {
  return `{${
    values.map((value) =>
      value === null ? "NULL" : `"${value.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`
    ).join(",")
  }}`;
}
