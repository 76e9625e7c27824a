/**
 * What a web request carries, and its check: at publishing and again before it is sent. Loads nothing of the
 * HTTP client, because every program that publishes imports it.
 *
 * @module
 */

import { InputError } from "../errors.ts";
import type { Json } from "../task.ts";

/** The data of a web-request task. */
export interface WebRequestData {
  /** An absolute `http` or `https` URL. A user and a password in it are sent as Basic Authorization. */
  url: string;
  /** GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS. @default "POST" */
  method?: string;
  /** The body, sent as JSON; for GET and HEAD an object that is added to the query string. @default none */
  data?: Json;
  /** Sent as they are; they win over the defaults (`content-type`, `user-agent`, `idempotency-key`). */
  headers?: Record<string, string>;
  /** Seconds that the whole exchange may take, redirects and body included. @default `TQ_WEB_TIMEOUT` */
  timeout?: number;
}

const FIELDS = ["url", "method", "data", "headers", "timeout"];
const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
/** They frame the message or belong to the connection: the HTTP client writes them. */
const RESERVED_HEADERS = new Set([
  "host",
  "content-length",
  "transfer-encoding",
  "connection",
  "proxy-connection",
  "keep-alive",
  "upgrade",
  "expect",
  "te",
  "trailer",
]);
const HEADER_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/** Whether the data of such a request goes into the query string instead of a body. */
export function isQueryMethod(method: string): boolean {
  return method === "GET" || method === "HEAD";
}

/**
 * Checks the data of a web request.
 *
 * @throws {InputError} names the bad field; no message holds a header's value or a URL's credentials or query
 */
export function checkWebRequest(data: unknown): WebRequestData {
  if (!isRecord(data)) refuse("the data of a web request is not an object", "give { url }");
  for (const field of Object.keys(data)) {
    if (!FIELDS.includes(field)) {
      refuse(`a web request has no field ${JSON.stringify(field)}`, `known: ${FIELDS.join(", ")}`);
    }
  }
  const method = checkMethod(data["method"]);
  const headers = checkHeaders(data["headers"]);
  const timeout = checkTimeout(data["timeout"]);
  const body = data["data"];
  if (body !== undefined && isQueryMethod(method ?? "POST")) checkQuery(body);
  return {
    url: checkUrl(data["url"]),
    ...(method === undefined ? {} : { method }),
    // That it is JSON is what publishing makes sure of, for every kind of task.
    ...(body === undefined ? {} : { data: body as Json }),
    ...(headers === undefined ? {} : { headers }),
    ...(timeout === undefined ? {} : { timeout }),
  };
}

function checkUrl(url: unknown): string {
  const parsed = typeof url === "string" ? URL.parse(url) : null;
  if (typeof url !== "string" || parsed === null) {
    return refuse("url is not a URL", 'give an absolute one, as "https://example.com/hook"');
  }
  if (parsed.protocol !== "http:" && parsed.protocol !== "https:") {
    return refuse(`url has the scheme ${parsed.protocol.slice(0, -1)}`, "give an http or https URL");
  }
  return url;
}

function checkMethod(method: unknown): string | undefined {
  if (method === undefined || (typeof method === "string" && METHODS.includes(method))) return method;
  return refuse(`method is ${shown(method)}`, `use one of ${METHODS.join(", ")}`);
}

function checkHeaders(headers: unknown): Record<string, string> | undefined {
  if (headers === undefined) return undefined;
  if (!isRecord(headers)) return refuse("headers is not an object", "give names and their values");
  const checked: Record<string, string> = {};
  const seen = new Set<string>();
  for (const [name, value] of Object.entries(headers)) {
    const key = name.toLowerCase();
    if (!HEADER_NAME.test(name)) refuse(`headers has the name ${shown(name)}`, "use a valid header name");
    if (RESERVED_HEADERS.has(key)) refuse(`headers sets ${shown(name)}`, "leave it to the HTTP client");
    if (seen.has(key)) refuse(`headers sets ${shown(name)} twice`, "write each name once, in any case");
    if (typeof value !== "string" || !HEADER_VALUE.test(value)) {
      return refuse(
        `headers has a bad value for ${shown(name)}`,
        "give a string of Latin-1 text on one line",
      );
    }
    seen.add(key);
    checked[name] = value;
  }
  return checked;
}

function checkTimeout(timeout: unknown): number | undefined {
  if (timeout === undefined) return undefined;
  if (typeof timeout === "number" && Number.isFinite(timeout) && timeout > 0) return timeout;
  return refuse(`timeout is ${shown(timeout)}`, "give a number of seconds above 0");
}

function checkQuery(data: unknown): void {
  if (data === null) return;
  if (!isRecord(data)) refuse("data of a GET or HEAD is not an object", "give names and their values");
  for (const [name, value] of Object.entries(data)) {
    const values = Array.isArray(value) ? value : [value];
    if (values.every((one) => one === null || typeof one !== "object")) continue;
    refuse(
      `data of a GET or HEAD has a nested ${shown(name)}`,
      "give text, numbers, booleans, null or arrays of them",
    );
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function shown(value: unknown): string {
  return (JSON.stringify(value) ?? String(value)).slice(0, 100);
}

function refuse(message: string, remedy: string): never {
  throw new InputError(message, { remedy });
}
