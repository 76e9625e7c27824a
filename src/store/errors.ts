/**
 * From what Postgres and its driver say to what tq says.
 *
 * @module
 */

import { BadValueError, messageOf, RefusedError, SchemaError, TqError, UnreachableError } from "../errors.ts";

/** Codes of the driver and of the network that mean: no answer, send it again. */
const LOST = new Set([
  "CONNECTION_CLOSED",
  "CONNECTION_ENDED",
  "CONNECTION_DESTROYED",
  "CONNECT_TIMEOUT",
  "ECONNREFUSED",
  "ECONNRESET",
  "ECONNABORTED",
  "EPIPE",
  "ENOTFOUND",
  "ENOENT",
  "EAI_AGAIN",
  "ETIMEDOUT",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "57P01", // admin_shutdown
  "57P02", // crash_shutdown
  "57P03", // cannot_connect_now
  "57P05", // idle_session_timeout
  "53300", // too_many_connections
  "25006", // read_only_sql_transaction: a standby, before or after a failover
]);

/** Serialization failure, deadlock, lock not available. */
const CONFLICTS = new Set(["40001", "40P01", "55P03"]);

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

/** Whether the connection is gone, so that its client must be replaced. */
export function isConnectionLoss(error: unknown): boolean {
  if (error instanceof UnreachableError) return true;
  const code = codeOf(error);
  // An error without an SQLSTATE comes from the driver, whose state is unknown then.
  return LOST.has(code) || code.startsWith("08") || !/^[0-9A-Z]{5}$/.test(code);
}

/** Whether the statement met another one: it changed nothing. */
export function isConflict(error: unknown): boolean {
  return CONFLICTS.has(codeOf(error));
}

/** Whether Postgres named a unique index that the statement would have broken. */
export function isDuplicate(error: unknown): boolean {
  return codeOf(error) === "23505";
}

/** Whether Postgres ended the statement at its time limit (query_canceled). */
export function isCanceled(error: unknown): boolean {
  return codeOf(error) === "57014";
}

/** The tq error for anything that a statement threw. */
export function mapError(error: unknown): unknown {
  if (error instanceof TqError) return error;
  const code = codeOf(error);
  const message = messageOf(error);
  const at = { cause: error };
  if (isConnectionLoss(error)) {
    return new UnreachableError(`Postgres is unreachable (${message})`, {
      ...at,
      remedy: "see that it runs and that TQ_DATABASE_URL is right",
    });
  }
  if (code.startsWith("28") || code === "3D000") {
    return new RefusedError(`Postgres refused the connection (${message})`, {
      ...at,
      remedy: "correct TQ_DATABASE_URL",
    });
  }
  if (code === "42501") {
    return new RefusedError(`Postgres refused the statement (${message})`, {
      ...at,
      remedy: "grant the user of TQ_DATABASE_URL what it needs",
    });
  }
  if (["42P01", "3F000", "42703", "42P10", "42704"].includes(code)) {
    return new SchemaError(`the schema is missing or out of date (${message})`, {
      ...at,
      remedy: "run tq migrate",
    });
  }
  // 22: data exceptions; 23514: a check; 54000: a limit of the program, such as an index row too large.
  if (code.startsWith("22") || code === "23514" || code.startsWith("54")) {
    return new BadValueError(`Postgres cannot store a value (${message})`, at);
  }
  return error;
}
