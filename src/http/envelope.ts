/**
 * The form of every answer: what clients of the original look at first.
 *
 * @module
 */

import type { ContentfulStatusCode } from "npm:hono@4.13.19/utils/http-status";
import {
  BadValueError,
  describe,
  InputError,
  NotFoundError,
  OutdatedError,
  RefusedError,
  SchemaError,
  stackOf,
  TooSlowError,
  UnreachableError,
} from "../errors.ts";
import { logger } from "../log.ts";
import type { Page } from "../store/mod.ts";
import type { HttpContext } from "./parts.ts";

/** A request that cannot be answered, and with which status. */
export class HttpError extends Error {
  /** The name of this class. */
  override readonly name = "HttpError";
  readonly status: ContentfulStatusCode;

  constructor(status: ContentfulStatusCode, message: string) {
    super(message);
    this.status = status;
  }
}

/** One thing: `{"status": true, "data": …}`. */
export function one<Data>(data: Data): { status: true; data: Data } {
  return { status: true, data };
}

/** A list: `{"status": true, "size", "count", "start", "sort", "data": […]}`; an estimated count says so. */
export function list<Row, Shown>(
  page: Page<Row>,
  asked: { readonly size: number; readonly start: number; readonly sort: string },
  show: (row: Row) => Shown,
) {
  return {
    status: true,
    size: asked.size,
    count: page.count,
    ...(page.isEstimate ? { count_estimated: true } : {}),
    start: asked.start,
    sort: asked.sort,
    data: page.rows.map(show),
  };
}

/** An error: `{"status": false, "error", "error_code"}`, the code being that of HTTP. */
export function refuse(c: HttpContext, status: ContentfulStatusCode, error: string): Response {
  return c.json({ status: false, error, error_code: status }, status);
}

/** The answer to a path that nobody serves. */
export function notFound(c: HttpContext): Response {
  return refuse(c, 404, "there is no such path: see /rpc/taskqueue/docs");
}

/** What a client is told of anything that was thrown, and with which status. What nobody foresaw is not told. */
export function toldOf(error: unknown): { status: ContentfulStatusCode; text: string } {
  if (error instanceof HttpError) return { status: error.status, text: error.message };
  if (error instanceof NotFoundError) return { status: 404, text: describe(error) };
  if (error instanceof InputError || error instanceof BadValueError || error instanceof TooSlowError) {
    return { status: 400, text: describe(error) };
  }
  if (
    error instanceof UnreachableError || error instanceof RefusedError || error instanceof SchemaError ||
    error instanceof OutdatedError
  ) {
    // In brackets is what the server said, host names too.
    return { status: 503, text: `${error.message.replace(/ \(.*$/s, "")}: try again later` };
  }
  return { status: 500, text: "something went wrong: see the log of tq" };
}

/** The answer to anything that was thrown; what is not the client's fault is logged. */
export function errorAnswer(error: unknown, c: HttpContext): Response {
  const { status, text } = toldOf(error);
  const log = logger("http");
  if (status === 503) log.warn("Cannot answer for now", { path: c.req.path, error: describe(error) });
  if (status === 500) {
    log.error("A request failed", { method: c.req.method, path: c.req.path, error: stackOf(error) });
  }
  return refuse(c, status, text);
}
