/**
 * What of the packages stays out of the executable. `deno compile` puts in every file of every package in the lock
 * file: types, sources, maps, the forms for other module systems, and what only tests import. (2026-11: 113 MB
 * instead of 127 MB, with Deno 2.4.2.)
 *
 * @module
 */

import { join } from "node:path";

/** Types, sources, maps and pages, which nothing reads at run time, and PGlite's extensions, which tq does not use. */
const UNREAD = /\.(map|md|[cm]?ts|tsx|tar\.gz)$/;
/** PGlite is imported as a module, never required; its other form is as large as the first. */
const REQUIRED_BY_NOBODY = /^@electric-sql\//;

interface Lock {
  /** `npm:ioredis@6.0.0` → `6.0.0`, with its peers behind `_`. */
  readonly specifiers: Readonly<Record<string, string>>;
  /** By `name@version`, with its peers. */
  readonly npm: Readonly<Record<string, { dependencies?: string[]; optionalDependencies?: string[] }>>;
}

/**
 * Files and folders of the npm cache for `--exclude`.
 *
 * @param root the repository; its packages must be in the cache
 * @param cache where Deno keeps npm packages (`npmCache` of `deno info --json`)
 */
export async function leftOut(root: string, cache: string): Promise<string[]> {
  const lock: Lock = JSON.parse(await Deno.readTextFile(join(root, "deno.lock")));
  const needed = neededPackages(lock, await importedPackages(root));
  const found: string[] = [];
  for (const key of Object.keys(lock.npm)) {
    const { name, version } = partsOf(key);
    for (const registry of Deno.readDirSync(cache)) {
      const folder = join(cache, registry.name, name, version);
      if (!isFolder(folder)) continue;
      const also = REQUIRED_BY_NOBODY.test(name) ? /\.cjs$/ : /$^/;
      for (const path of filesOf(folder)) {
        // The description stays: whoever resolves packages may look at it.
        const isOut = needed.has(key) ? UNREAD.test(path) || also.test(path) : !path.endsWith("package.json");
        if (isOut) found.push(path);
      }
    }
  }
  return found;
}

/** Every `npm:` that the program imports, as the lock file's `specifiers` names it. */
async function importedPackages(root: string): Promise<Set<string>> {
  const found = new Set<string>();
  const paths = [join(root, "main.ts"), join(root, "mod.ts"), ...filesOf(join(root, "src"))];
  for (const path of paths.filter((path) => /\.tsx?$/.test(path))) {
    const text = await Deno.readTextFile(path);
    for (const [specifier] of text.matchAll(/npm:(@[\w.-]+\/)?[\w.-]+@[\w.-]+/g)) found.add(specifier);
  }
  return found;
}

/** Those and all that they depend on, as the lock file's `npm` names them. */
function neededPackages(lock: Lock, imported: ReadonlySet<string>): Set<string> {
  const needed = new Set<string>();
  const visit = (key: string) => {
    if (needed.has(key)) return;
    needed.add(key);
    const { dependencies = [], optionalDependencies = [] } = lock.npm[key] ?? {};
    for (const dependency of [...dependencies, ...optionalDependencies]) visit(keyOf(lock, dependency));
  };
  for (const [specifier, version] of Object.entries(lock.specifiers)) {
    if (imported.has(specifier)) visit(`${partsOf(specifier.slice("npm:".length)).name}@${version}`);
  }
  return needed;
}

/** A dependency stands there without its version where there is but one of that name. */
function keyOf(lock: Lock, dependency: string): string {
  if (dependency in lock.npm) return dependency;
  const key = Object.keys(lock.npm).find((one) => one.startsWith(`${dependency}@`));
  if (key === undefined) throw new Error(`deno.lock has no package ${dependency}`);
  return key;
}

/** `@a/b@1.0.0_c@2.0.0`: the package `@a/b`, the version `1.0.0`. */
function partsOf(key: string): { name: string; version: string } {
  const at = key.indexOf("@", 1);
  return { name: key.slice(0, at), version: key.slice(at + 1).split("_")[0] ?? "" };
}

function* filesOf(folder: string): Iterable<string> {
  for (const entry of Deno.readDirSync(folder)) {
    const path = join(folder, entry.name);
    if (entry.isDirectory) yield* filesOf(path);
    else yield path;
  }
}

function isFolder(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false;
  }
}
