/**
 * Signs web requests as the Standard Webhooks specification says (https://www.standardwebhooks.com), so that a receiver
 * can tell them from anybody else's, and a repeated one from a new one.
 *
 * Written by hand: it is one HMAC. The tests verify what it makes with the specification's own library.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import type { WebClientRequest } from "./web_client.ts";

/** The headers of a signature. */
export const SIGNATURE_HEADERS = ["webhook-id", "webhook-timestamp", "webhook-signature"] as const;

/** What a request is signed with. */
export interface Signing {
  /** The keys of `TQ_WEB_SECRET`: a signature by each, so that a receiver may have the old one or the new one. */
  readonly keys: readonly Uint8Array[];
  /** The message's id: the same each time that it is sent. Without a dot, which separates what is signed. */
  readonly id: string;
  /** The time of this sending, milliseconds since the epoch: receivers refuse an old one. */
  readonly now: number;
}

/**
 * The request with its signature. What is signed is the id, the time and the body; not the URL, nor other headers.
 * A request that came with `webhook-signature` was signed by whoever published it, and stays as it is.
 */
export async function signed(
  request: WebClientRequest,
  { keys, id, now }: Signing,
): Promise<WebClientRequest> {
  if (request.headers.has("webhook-signature")) return request;
  const timestamp = String(Math.floor(now / 1000));
  const content = new TextEncoder().encode(`${id}.${timestamp}.${request.body ?? ""}`);
  const signatures = await Promise.all(keys.map((key) => signature(key, content)));
  const headers = new Headers(request.headers);
  headers.set("webhook-id", id);
  headers.set("webhook-timestamp", timestamp);
  headers.set("webhook-signature", signatures.join(" "));
  return { ...request, headers };
}

/* Not by node:crypto, whose createHmac prints a deprecation warning in Deno 2.4. */
async function signature(key: Uint8Array, content: Uint8Array<ArrayBuffer>): Promise<string> {
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const imported = await crypto.subtle.importKey("raw", Uint8Array.from(key), algorithm, false, ["sign"]);
  return `v1,${Buffer.from(await crypto.subtle.sign("HMAC", imported, content)).toString("base64")}`;
}
