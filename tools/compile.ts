/**
 * `deno task compile`: makes `dist/tq`, one executable with migrations and the embedded database inside.
 * `deno task release`: the same for Linux x64 and arm64, with SHA-256 sums; needs Deno's download server.
 *
 *     deno task compile --output /elsewhere/tq
 *
 * The Deno that runs this is the one that goes in. With -A, because handlers may need anything.
 *
 * @module
 */

import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { readCommit } from "../src/commit.ts";
import { V8_FLAGS } from "../src/self.ts";
import { leftOut } from "./left_out.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const DIST = join(ROOT, "dist");
const TARGETS = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"];

/**
 * Without V8's code cache: the executable would look for it in the shared temporary folder, under a name that is the
 * same for all users, where anybody could put code for the others. tq ends by `Deno.exit`, which never writes it.
 */
const OPTIONS = [
  ...["-A", "--no-check", "--no-code-cache", V8_FLAGS],
  // What handlers import as "@tq/tq", and what is read at run time.
  ...["mod.ts", "migrations", "dist/build.json", "src/http/dashboard/assets"].flatMap((
    path,
  ) => ["--include", path]),
];

async function deno(...args: string[]): Promise<string> {
  const { success, stdout } = await new Deno.Command(Deno.execPath(), {
    args,
    cwd: ROOT,
    stderr: "inherit",
  }).output();
  if (!success) throw new Error(`deno ${args[0]} failed`);
  return new TextDecoder().decode(stdout);
}

/** Compiles for `target`, or for this machine. */
async function compile(output: string, exclude: readonly string[], target?: string): Promise<void> {
  const options = [...OPTIONS, ...exclude.map((path) => `--exclude=${path}`)];
  if (target !== undefined) options.push("--target", target);
  await deno("compile", ...options, "--output", output, "main.ts");
  const megabytes = (await Deno.stat(output)).size / 1e6;
  console.log(`${output}: ${megabytes.toFixed(1)} MB, Deno ${Deno.version.deno}`);
}

async function sum(path: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", await Deno.readFile(path));
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

const { values } = parseArgs({
  args: Deno.args,
  options: { output: { type: "string" }, release: { type: "boolean" } },
});
await Deno.mkdir(DIST, { recursive: true });
await Deno.writeTextFile(
  join(DIST, "build.json"),
  JSON.stringify({ commit: await readCommit(ROOT) ?? null }),
);
// It must run, and its packages be in the cache: what is left out is named file by file.
await deno("run", "-A", "--frozen", "--no-check", "main.ts", "self-test");
const exclude = await leftOut(ROOT, JSON.parse(await deno("info", "--json")).npmCache);
if (values.release) {
  const sums: string[] = [];
  for (const target of TARGETS) {
    const name = `tq-${target}`;
    await compile(join(DIST, name), exclude, target);
    sums.push(`${await sum(join(DIST, name))}  ${name}`);
  }
  await Deno.writeTextFile(join(DIST, "SHA256SUMS"), sums.join("\n") + "\n");
} else await compile(values.output === undefined ? join(DIST, "tq") : resolve(values.output), exclude);
