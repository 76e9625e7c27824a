/**
 * `deno task compile`: makes `dist/tq`, one executable with migrations and the embedded database inside.
 * `deno task release`: the same for Linux x64 and arm64, with SHA-256 sums; needs Deno's download server.
 *
 * With -A, because handlers may need anything.
 *
 * @module
 */

import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { readCommit } from "../src/commit.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const DIST = join(ROOT, "dist");
const TARGETS = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"];

/** Compiles for `target`, or for this machine. */
async function compile(output: string, target?: string): Promise<void> {
  const args = ["compile", "-A", "--no-check", "--include", "migrations", "--include", "dist/build.json"];
  if (target !== undefined) args.push("--target", target);
  const { success } = await new Deno.Command(Deno.execPath(), {
    args: [...args, "--output", output, "main.ts"],
    cwd: ROOT,
  }).spawn().status;
  if (!success) throw new Error(`deno compile failed for ${output}`);
}

async function sum(path: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", await Deno.readFile(path));
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

await Deno.mkdir(DIST, { recursive: true });
await Deno.writeTextFile(
  join(DIST, "build.json"),
  JSON.stringify({ commit: await readCommit(ROOT) ?? null }),
);
if (Deno.args.includes("--release")) {
  const sums: string[] = [];
  for (const target of TARGETS) {
    const name = `tq-${target}`;
    await compile(join(DIST, name), target);
    sums.push(`${await sum(join(DIST, name))}  ${name}`);
  }
  await Deno.writeTextFile(join(DIST, "SHA256SUMS"), sums.join("\n") + "\n");
} else await compile(join(DIST, "tq"));
