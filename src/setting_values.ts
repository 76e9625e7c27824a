/**
 * What the values of settings look like: schemas, each with what it allows, in the words of an error.
 *
 * @module
 */

import { z } from "npm:zod@4.6.7";
import { parseDuration } from "./duration.ts";
import type { ApiToken, HttpAddress, Subscription } from "./settings.ts";
import { CHANNEL_PATTERN } from "./task.ts";

/** A number from `min` to `max`. */
export const number = (allowed: string, min: number, max: number, whole = true) =>
  z.union([z.string().trim().min(1, allowed), z.number()], allowed).transform(Number)
    .refine((n) => n >= min && n <= max && (!whole || Number.isInteger(n)), allowed);
/** A duration; a bare number is in `unit`. */
export const duration = (allowed: string, min: number, max: number, unit: "s" | "d" = "s") =>
  z.union([z.string(), z.number()], allowed).transform((value) => parseDuration(value, unit) ?? NaN)
    .refine((n) => n >= min && n <= max, allowed);
/** A switch. */
export const flag = z.union([z.boolean(), z.string()], "true or false").transform((value, context) => {
  if (value === true || value === "true" || value === "1" || value === "on") return true;
  if (value === false || value === "false" || value === "0" || value === "off") return false;
  context.addIssue("true or false");
  return z.NEVER;
});
/** A size in bytes, from `min`. */
export const bytes = (allowed: string, min = 1) =>
  z.union([z.string(), z.number()], allowed).transform((value) => {
    const match = /^(\d+)\s*([kmg]i?b?)?$/i.exec(String(value).trim());
    if (match === null) return NaN;
    return Number(match[1]) * 1024 ** " kmg".indexOf((match[2] ?? " ").charAt(0).toLowerCase());
  }).refine((n) => n >= min, allowed);
/** Text of a form. */
export const matching = (allowed: string, pattern: RegExp) => z.string(allowed).regex(pattern, allowed);
/** A URL of one of these protocols. */
export const url = (allowed: string, ...protocols: string[]) =>
  z.string(allowed).refine(
    (text) => URL.canParse(text) && protocols.includes(new URL(text).protocol),
    allowed,
  );

/** Channels with their limits, or undefined. */
export function subscriptions(text: string): Subscription[] | undefined {
  const found: Subscription[] = [];
  for (const part of text.split(",").map((part) => part.trim()).filter((part) => part !== "")) {
    const [channel = "", limit, ...rest] = part.split(":");
    const count = limit === undefined ? undefined : Number(limit);
    if (!CHANNEL_PATTERN.test(channel) || rest.length > 0) return undefined;
    if (count !== undefined && !(Number.isInteger(count) && count > 0)) return undefined;
    if (found.some((other) => other.channel === channel)) return undefined;
    found.push({ channel, limit: count });
  }
  return found.length === 0 ? undefined : found;
}

/** `host:port`, or undefined. */
export function httpAddress(text: string): HttpAddress | undefined {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+)):(\d{1,5})$/.exec(text.trim());
  const [, six, name, port] = match ?? [];
  const hostname = six ?? name;
  return hostname === undefined || Number(port) > 65_535 ? undefined : { hostname, port: Number(port) };
}

/** Tokens with what they may do, or undefined. */
export function apiTokens(text: string): ApiToken[] | undefined {
  const found: ApiToken[] = [];
  for (const part of text.split(",").map((part) => part.trim()).filter((part) => part !== "")) {
    const [, right, token] = /^(view|manage):([\x21-\x7e]{16,200})$/.exec(part) ?? [];
    if ((right !== "view" && right !== "manage") || token === undefined) return undefined;
    found.push({ right, token });
  }
  return found.length === 0 ? undefined : found;
}

/** The keys of secrets for signing, or undefined. */
export function webSecrets(text: string): Uint8Array[] | undefined {
  const found: Uint8Array[] = [];
  for (const part of text.split(",").map((part) => part.trim()).filter((part) => part !== "")) {
    const [, key] = /^whsec_((?:[A-Za-z0-9+/]{4})+(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?)$/.exec(part) ??
      [];
    if (key === undefined) return undefined;
    const bytes = Uint8Array.from(atob(key), (character) => character.charCodeAt(0));
    if (bytes.length < 24 || bytes.length > 64) return undefined;
    found.push(bytes);
  }
  return found.length === 0 ? undefined : found;
}

/** Parts of a list that is separated by commas, each of which must match. */
export const listOf = (allowed: string, pattern: RegExp) =>
  z.string(allowed).default("").transform((text, context) => {
    const parts = text.split(",").map((part) => part.trim()).filter((part) => part !== "");
    if (parts.every((part) => pattern.test(part))) return parts;
    context.addIssue(allowed);
    return z.NEVER;
  });
/** What a text means, where it means something. */
export const parsed = <T>(allowed: string, parse: (text: string) => T | undefined) =>
  z.string(allowed).transform((text, context) => {
    const found = parse(text);
    if (found !== undefined) return found;
    context.addIssue(allowed);
    return z.NEVER;
  });

/** What `httpAddress` reads. */
export const ADDRESS = "host:port, such as 127.0.0.1:7654 or [::1]:7654, or off";
/** What `apiTokens` reads. */
export const TOKENS = "view:<token> or manage:<token>, separated by commas, each token 16 to 200 characters";
/** What `webSecrets` reads. */
export const SECRETS = "whsec_ and 24 to 64 random bytes as base64; several are separated by commas";
/** What `subscriptions` reads. */
export const CHANNELS = "channel names separated by commas, each with an optional limit: tq_hook:5";
/** The path of a folder. */
export const folderPath = matching("the path of a folder", /./);
