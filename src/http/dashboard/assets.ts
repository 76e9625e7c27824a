/**
 * The dashboard's files: read once, and sent with a tag so that browsers ask whether theirs is the newest. In the
 * executable they come from inside it (`--include` in tools/compile.ts).
 *
 * @module
 */

import { createHash } from "node:crypto";
import type { HttpContext } from "../parts.ts";

const FOLDER = new URL("./assets/", import.meta.url);

const TYPES: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  css: "text/css; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  svg: "image/svg+xml",
};

/** `pages/overview.js`: no dots but the one before the end, so that no path leads out. */
const NAME = /^[a-z_]+(?:\/[a-z_]+)?\.(html|css|js|svg)$/;

interface Asset {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly type: string;
  readonly tag: string;
}

const assets = new Map<string, Asset>();

/** Answers with a file of the dashboard, or undefined when there is none of that name. */
export async function assetAnswer(c: HttpContext, name: string): Promise<Response | undefined> {
  const asset = await assetOf(name);
  if (asset === undefined) return undefined;
  // Asked for each time, and answered with nothing while it is the same: a new tq never meets old files.
  const headers = { etag: asset.tag, "cache-control": "no-cache" };
  if (c.req.header("if-none-match") === asset.tag) return new Response(null, { status: 304, headers });
  return new Response(asset.bytes, { headers: { ...headers, "content-type": asset.type } });
}

async function assetOf(name: string): Promise<Asset | undefined> {
  const known = assets.get(name);
  if (known !== undefined) return known;
  const type = TYPES[NAME.exec(name)?.[1] ?? ""];
  if (type === undefined) return undefined;
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = await Deno.readFile(new URL(name, FOLDER));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  const tag = `"${createHash("sha256").update(bytes).digest("base64url").slice(0, 22)}"`;
  const asset = { bytes, type, tag };
  assets.set(name, asset);
  return asset;
}
