/**
 * Every error class of tq. Each carries what is wrong (`message`) and how to mend it (`remedy`); the command
 * line prints both on one line and exits with `exitCode`.
 *
 * @module
 */

/** Options of every tq error. */
export interface TqErrorOptions {
  /** How to mend it: a short imperative sentence. */
  readonly remedy?: string;
  /** What was caught, where something was. */
  readonly cause?: unknown;
}

/** The base of all errors that tq throws on purpose. */
export class TqError extends Error {
  /** The name of this class. */
  override readonly name: string = "TqError";
  /** How to mend it, or undefined. */
  readonly remedy: string | undefined;
  /** What a command exits with: 1 it failed. */
  readonly exitCode: number = 1;

  /** Makes an error. */
  constructor(message: string, options: TqErrorOptions = {}) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.remedy = options.remedy;
  }
}

/** An argument, option, name or task data that tq does not accept. Nothing was written. */
export class InputError extends TqError {
  /** The name of this class. */
  override readonly name = "InputError";
  /** 2: bad usage or input. */
  override readonly exitCode = 2;
}

/** A setting with a bad value, an unknown key in `tq.json`, or a missing root. */
export class SettingsError extends TqError {
  /** The name of this class. */
  override readonly name = "SettingsError";
  /** 2: bad usage or input. */
  override readonly exitCode = 2;
}

/** Postgres or Redis cannot be reached, or did not answer in time. Try again later. */
export class UnreachableError extends TqError {
  /** The name of this class. */
  override readonly name = "UnreachableError";
  /** 75: a service is unreachable, try again. */
  override readonly exitCode = 75;
}

/** Postgres answered and said no: wrong password, no such database, no right. */
export class RefusedError extends TqError {
  /** The name of this class. */
  override readonly name = "RefusedError";
}

/** The schema is missing, incomplete, or was edited after it was migrated. */
export class SchemaError extends TqError {
  /** The name of this class. */
  override readonly name = "SchemaError";
}

/** This program is older than the schema allows (`min_program`). */
export class OutdatedError extends TqError {
  /** The name of this class. */
  override readonly name = "OutdatedError";
}

/** One value in a statement was refused by Postgres: the batch is split to find it. */
export class BadValueError extends TqError {
  /** The name of this class. */
  override readonly name = "BadValueError";
}

/** An answer would take longer than anybody should wait: ask for less. */
export class TooSlowError extends TqError {
  /** The name of this class. */
  override readonly name = "TooSlowError";
}

/** No handler of that name, or one that does not import. */
export class HandlerError extends TqError {
  /** The name of this class. */
  override readonly name: string = "HandlerError";
}

/** The handler's module is there and cannot be used: it does not import. */
export class HandlerModuleError extends HandlerError {
  /** The name of this class. */
  override readonly name = "HandlerModuleError";
}

/** Git changed the code while it was imported, so that it may be of two commits. Start again. */
export class CodeChangedError extends TqError {
  /** The name of this class. */
  override readonly name = "CodeChangedError";
}

/** A task was asked for by an id that the record does not have. */
export class NotFoundError extends TqError {
  /** The name of this class. */
  override readonly name = "NotFoundError";
}

/** A wait ended before what it waited for. */
export class WaitTimeoutError extends TqError {
  /** The name of this class. */
  override readonly name = "WaitTimeoutError";
}

/**
 * The message of anything that was thrown: errors of another realm are no `Error` of this one, and handlers throw
 * objects that cannot be made into text, too.
 */
export function messageOf(error: unknown): string {
  try {
    const message = (error as { message?: unknown } | null | undefined)?.message;
    return String(error instanceof Error || typeof message === "string" ? message : error);
  } catch {
    return "something without a text was thrown";
  }
}

/** The stack of anything that was thrown, else its message. */
export function stackOf(error: unknown): string {
  try {
    return error instanceof Error && error.stack ? String(error.stack) : messageOf(error);
  } catch {
    return messageOf(error);
  }
}

/** An error as the command line prints it: `what is wrong: how to mend it`. */
export function describe(error: unknown): string {
  const remedy = error instanceof TqError ? error.remedy : undefined;
  return remedy === undefined ? messageOf(error) : `${messageOf(error)}: ${remedy}`;
}
