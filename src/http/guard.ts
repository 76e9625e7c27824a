/**
 * The steps that every request goes through before its route.
 *
 * @module
 */

import { getCookie } from "npm:hono@4.13.19/cookie";
import { logger } from "../log.ts";
import { type Right, suffices } from "./access.ts";
import { refuse } from "./envelope.ts";
import type { HttpContext, HttpParts, HttpStep } from "./parts.ts";

/** The cookie of a session. */
export const SESSION_COOKIE = "tq_session";

/** Nothing but our own files; no script or style inside a page; in nobody's frame. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "font-src 'self'",
  "connect-src 'self'",
  "manifest-src 'self'",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join("; ");

const HEADERS: Readonly<Record<string, string>> = {
  "content-security-policy": POLICY,
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  // Not no-referrer: a form would then be sent with the origin null.
  "referrer-policy": "same-origin",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "permissions-policy": "camera=(), geolocation=(), microphone=()",
};

/** What each answer says to browsers. Answers are not kept, unless their route says so. */
export function secureHeaders(): HttpStep {
  return async (c, next) => {
    await next();
    for (const [name, value] of Object.entries(HEADERS)) c.res.headers.set(name, value);
    if (!c.res.headers.has("cache-control")) c.res.headers.set("cache-control", "no-store");
  };
}

/** A line of the log for each request, at the level `debug`. Queries are left out: codes and searches are in them. */
export function accessLog(parts: HttpParts): HttpStep {
  const log = logger("http");
  return async (c, next) => {
    const start = parts.clock.monotonic();
    await next();
    log.debug("Answered", {
      method: c.req.method,
      path: c.req.path,
      status: c.res.status,
      ms: Math.round(parts.clock.monotonic() - start),
      by: c.get("by"),
    });
  };
}

/**
 * Refuses requests that a browser was led to send: those for a name that is not ours (another site's, made to point
 * here), and those from a page of another origin.
 */
export function checkHost(parts: HttpParts): HttpStep {
  const { TQ_HTTP: address, TQ_HTTP_HOSTS: names } = parts.settings;
  const known = new Set(["localhost", ...names, address?.hostname ?? ""].map((name) => name.toLowerCase()));
  return async (c, next) => {
    const host = hostOf(c);
    // Whoever looks whether the process is alive may call it anything, and is told nothing else.
    const isProbe = c.req.path === "/healthz" || c.req.path === "/readyz";
    if (!isProbe && !isAddress(host) && !known.has(withoutPort(host))) {
      return refuse(c, 403, "this host name is not served here: name it in TQ_HTTP_HOSTS");
    }
    const origin = c.req.header("origin");
    if (origin !== undefined && !isOwn(origin, host, names)) {
      return refuse(c, 403, "requests from pages of other origins are refused");
    }
    await next();
  };
}

/** Finds out what the request may do, by its token, else by its session. */
export function identify(parts: HttpParts): HttpStep {
  const { access } = parts;
  return async (c, next) => {
    const authorization = c.req.header("authorization");
    const cookie = getCookie(c, SESSION_COOKIE);
    // A proxy with a password of its own passes that on with each request of a session.
    const isToken = cookie === undefined || /^Bearer\b/i.test(authorization ?? "");
    if (authorization !== undefined && isToken) {
      const [, token] = /^Bearer +(\S+) *$/i.exec(authorization) ?? [];
      c.set("right", token === undefined ? undefined : await access.rightOf(token));
      c.set("by", "token");
    } else if (cookie !== undefined) {
      c.set("right", await access.sessionRight(cookie));
      c.set("by", "session");
    }
    await next();
  };
}

/** Lets through who has the right. A session acts only where the browser says which page asked for it. */
export function requires(asked: Right): HttpStep {
  return async (c, next) => {
    const right = c.get("right");
    if (right === undefined) {
      c.header("www-authenticate", "Bearer");
      return refuse(c, 401, whyUnknown(c));
    }
    if (!suffices(right, asked)) {
      return refuse(c, 403, `this needs a token for ${asked}: yours is for ${right}`);
    }
    if (c.get("by") === "session" && !isReading(c) && c.req.header("origin") === undefined) {
      return refuse(c, 403, "a session may act from its own pages alone: use a token");
    }
    await next();
  };
}

function whyUnknown(c: HttpContext): string {
  if (c.get("by") === "token") {
    return "the token is wrong: use one of TQ_API_TOKENS, or that in var/api_token";
  }
  if (c.get("by") === "session") return "the session has ended: sign in again";
  return "a token is missing: send the header Authorization: Bearer <token>";
}

function isReading(c: HttpContext): boolean {
  return c.req.method === "GET" || c.req.method === "HEAD";
}

/** As the client called us, in lower case: `localhost:7654`. */
export function hostOf(c: HttpContext): string {
  return (c.req.header("host") ?? new URL(c.req.url).host).toLowerCase();
}

function withoutPort(host: string): string {
  return host.replace(/:\d*$/, "");
}

/** A name of somebody else's can be made to point here; an address cannot. */
function isAddress(host: string): boolean {
  return /^(\d{1,3}(\.\d{1,3}){3}|\[[0-9a-f:.]+\])(:\d+)?$/.test(host);
}

function isOwn(origin: string, host: string, names: readonly string[]): boolean {
  if (!URL.canParse(origin)) return false;
  const url = new URL(origin);
  return url.host === host || names.some((name) => name.toLowerCase() === url.hostname);
}
