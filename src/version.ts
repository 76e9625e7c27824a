/**
 * What this tq is.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import config from "../deno.json" with { type: "json" };
import { readCommit } from "./commit.ts";
import { COMPILED } from "./self.ts";

/** As in `deno.json`. */
export const VERSION: string = config.version;

/** Written by `deno task compile`, and part of the executable. */
const BUILD = new URL("../dist/build.json", import.meta.url);

/** `tq 0.1.0 (commit 0123456789ab, Deno 2.9.6, V8 15.0)` */
export async function describeVersion(): Promise<string> {
  const commit = COMPILED
    ? JSON.parse(await Deno.readTextFile(BUILD)).commit
    : readCommit(fileURLToPath(new URL("..", import.meta.url)));
  const { deno, v8 } = Deno.version;
  return `tq ${VERSION} (commit ${String(commit ?? "unknown").slice(0, 12)}, Deno ${deno}, V8 ${v8})`;
}
