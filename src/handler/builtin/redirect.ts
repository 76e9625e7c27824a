/**
 * From data to a first request, and from a redirect to the next one.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import type { Json } from "../../task.ts";
import type { WebClientRequest } from "./web_client.ts";
import { isQueryMethod, type WebRequestData } from "../../publish/web_request_data.ts";

const REDIRECTS = new Set([301, 302, 303, 307, 308]);
/** What describes a body, and goes with it. */
const BODY_HEADERS = [
  "content-type",
  "content-encoding",
  "content-language",
  "content-location",
];
/** What another origin has no business to see. */
const CREDENTIAL_HEADERS = ["authorization", "cookie", "proxy-authorization"];

/** The first request of a task. The task's id makes the key that is the same at each retry. */
export function firstRequest(data: WebRequestData, idempotencyKey: string): WebClientRequest {
  const method = data.method ?? "POST";
  const headers = new Headers(data.headers);
  const url = new URL(data.url);
  moveCredentials(url, headers);
  if (!headers.has("user-agent")) headers.set("user-agent", "tq");
  if (!headers.has("idempotency-key")) headers.set("idempotency-key", idempotencyKey);
  if (data.data === undefined) return { url, method, headers, body: undefined };
  if (isQueryMethod(method)) {
    addQuery(url, data.data);
    return { url, method, headers, body: undefined };
  }
  if (!headers.has("content-type")) headers.set("content-type", "application/json");
  return { url, method, headers, body: JSON.stringify(data.data) };
}

/** Where an answer sends us: a URL, undefined for nowhere, or null for something that is no http or https URL. */
export function redirectTarget(
  status: number,
  location: string | undefined,
  base: URL,
): URL | undefined | null {
  if (!REDIRECTS.has(status) || location === undefined) return undefined;
  const url = URL.parse(location, base);
  return url?.protocol === "http:" || url?.protocol === "https:" ? url : null;
}

/**
 * The request that follows a redirect, as browsers make it: 303, and 301 and 302 of a POST, become a GET without
 * a body; credentials stay with their origin.
 */
export function redirected(request: WebClientRequest, status: number, target: URL): WebClientRequest {
  const url = new URL(target);
  const headers = new Headers(request.headers);
  const dropped = url.origin === request.url.origin ? [] : CREDENTIAL_HEADERS;
  for (const name of dropped) headers.delete(name);
  moveCredentials(url, headers);
  const becomesGet = status === 303
    ? !isQueryMethod(request.method)
    : status < 303 && request.method === "POST";
  if (!becomesGet) return { url, method: request.method, headers, body: request.body };
  for (const name of BODY_HEADERS) headers.delete(name);
  return { url, method: "GET", headers, body: undefined };
}

/** A URL as it may be shown: without user, password, query and fragment, which may hold secrets. */
export function shownUrl(url: URL): string {
  return url.origin + url.pathname;
}

/** Takes user and password out of the URL, and into a header unless there is one. */
function moveCredentials(url: URL, headers: Headers): void {
  if (url.username === "" && url.password === "") return;
  const credentials = `${decoded(url.username)}:${decoded(url.password)}`;
  url.username = "";
  url.password = "";
  if (headers.has("authorization")) return;
  headers.set("authorization", `Basic ${Buffer.from(credentials).toString("base64")}`);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // A lone %, which URL leaves as it is.
  }
}

/** Adds names and values behind the query that is there, which is left exactly as it was written. */
function addQuery(url: URL, data: Json): void {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(data ?? {})) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== null) query.append(name, String(one));
    }
  }
  url.search = [url.search.slice(1), query.toString()].filter((part) => part !== "").join("&");
}
