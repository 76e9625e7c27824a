/**
 * Where handlers lie on disk: from a name that comes from outside to a file that may be imported.
 *
 * A stem is the path of a handler file under the handlers folder, without its extension: `app` or `app/Model`.
 *
 * @module
 */

import { basename, isAbsolute, join, relative, resolve, sep } from "node:path";
import { pathToFileURL } from "node:url";
import { messageOf } from "../errors.ts";
import { FUNCTION_PATTERN, INHERITED_NAMES } from "../task.ts";

/** A file that may be imported. */
export interface HandlerFile {
  /** Relative to the handlers folder. */
  readonly file: string;
  readonly url: string;
}

/** A file or folder that has the right name and must not, or cannot, be imported. */
export interface Refusal {
  /** Relative to the handlers folder; empty for the folder itself. */
  readonly file: string;
  /** Why, as the rest of a sentence that starts with the file. */
  readonly refused: string;
  /** It is TypeScript, and this executable loads none. */
  readonly typescript?: true;
}

/** Names by folder, so that a scan reads each folder once. */
export type Listings = Map<string, ReadonlySet<string>>;

/** What `scan` found. */
export interface Scan {
  readonly stems: readonly string[];
  readonly refusals: readonly Refusal[];
  /** For `find`, as long as the scan is fresh. */
  readonly listings: Listings;
}

/** The last part of the line about TypeScript; the file comes before it. */
const NO_TYPESCRIPT = "cannot be loaded: this executable loads .js and .mjs handlers only, " +
  "TypeScript needs one compiled with Deno 2.8.2 or later";

/** Whether this runtime imports `.ts` files from disk: Deno does, and executables compiled with Deno ≥ 2.8.2. */
export function loadsTypeScript(
  standalone: boolean = Deno.build.standalone,
  version: string = Deno.version.deno,
): boolean {
  const [major = 0, minor = 0, patch = 0] = version.split(/[.+-]/).map(Number);
  return !standalone || major > 2 || major === 2 && (minor > 8 || minor === 8 && patch >= 2);
}

/** The handlers folder. */
export class HandlerFolder {
  /** Absolute; not resolved, so that `../lib` in a handler means what its author sees. */
  readonly path: string;
  readonly #extensions: readonly string[];
  readonly #typescript: boolean;

  /**
   * @param path the folder; it may be missing
   * @param typescript whether `.ts` files can be imported from disk
   */
  constructor(path: string, typescript: boolean) {
    this.path = resolve(path);
    this.#typescript = typescript;
    this.#extensions = typescript ? ["ts", "js", "mjs"] : ["js", "mjs"];
  }

  /** A file's name for people: with the name of the folder before it. */
  show(file: string): string {
    return file === "" ? basename(this.path) : `${basename(this.path)}/${file}`;
  }

  /** Finds every handler file. A missing folder has none; nothing is imported. */
  async scan(): Promise<Scan> {
    const listings: Listings = new Map();
    const stems = new Set<string>();
    const refusals: Refusal[] = [];
    const read = async (folder: string) => {
      try {
        const refusal = folder === "" ? undefined : await this.#refuseFolder(folder);
        if (refusal !== undefined) return void refusals.push(refusal);
        for (const name of await this.#names(folder, listings)) {
          const stem = stemOf(name);
          if (stem !== undefined) stems.add(folder === "" ? stem : `${folder}/${stem}`);
          else if (folder === "" && isHandlerName(name) && await isFolder(join(this.path, name))) {
            await read(name);
          }
        }
      } catch (error) {
        refusals.push({ file: folder, refused: `cannot be read: ${messageOf(error)}` });
      }
    };
    await read("");
    return { stems: [...stems].sort(), refusals, listings };
  }

  /** The file of a stem, why it is refused, or undefined when there is none. */
  async find(stem: string, listings: Listings = new Map()): Promise<HandlerFile | Refusal | undefined> {
    const [first = "", second] = stem.split("/");
    const [folder, name] = second === undefined ? ["", first] : [first, second];
    if (!isHandlerName(name) || folder !== "" && !isHandlerName(folder)) return undefined;
    try {
      if (folder !== "") {
        // The listing has the exact case; a file system that ignores case would open `MyApp` for `myapp`.
        if (!(await this.#names("", listings)).has(folder) || !await isFolder(join(this.path, folder))) {
          return undefined;
        }
        const refusal = await this.#refuseFolder(folder);
        if (refusal !== undefined) return refusal;
      }
      const names = await this.#names(folder, listings);
      for (const extension of this.#extensions) {
        const file = folder === "" ? `${name}.${extension}` : `${folder}/${name}.${extension}`;
        const found = names.has(`${name}.${extension}`) ? await this.#check(file) : undefined;
        if (found !== undefined) return found;
      }
      if (this.#typescript || !names.has(`${name}.ts`)) return undefined;
      return { file: `${stem}.ts`, refused: NO_TYPESCRIPT, typescript: true };
    } catch (error) {
      return { file: folder, refused: `cannot be read: ${messageOf(error)}` };
    }
  }

  /** The names in a folder under this one; none when it is not there. */
  async #names(folder: string, listings: Listings): Promise<ReadonlySet<string>> {
    const known = listings.get(folder);
    if (known !== undefined) return known;
    const names = new Set<string>();
    try {
      for await (const entry of Deno.readDir(join(this.path, folder))) names.add(entry.name);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
    listings.set(folder, names);
    return names;
  }

  async #refuseFolder(folder: string): Promise<Refusal | undefined> {
    const inside = relative(await Deno.realPath(this.path), await Deno.realPath(join(this.path, folder)));
    return leadsOut(inside)
      ? { file: folder, refused: "is refused: it leads outside the handlers folder" }
      : undefined;
  }

  /** Undefined for what is not a regular file: reading a pipe would never end. */
  async #check(file: string): Promise<HandlerFile | Refusal | undefined> {
    let real: string;
    try {
      real = await Deno.realPath(join(this.path, file));
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return { file, refused: "is a link that leads nowhere" };
      return { file, refused: `cannot be read: ${messageOf(error)}` };
    }
    const inside = relative(await Deno.realPath(this.path), real);
    if (leadsOut(inside)) return { file, refused: "is refused: it leads outside the handlers folder" };
    if (!(await Deno.stat(real)).isFile) return undefined;
    // The real file under the folder as given: what was checked is what is imported, and two links to one file
    // are one module.
    return { file, url: pathToFileURL(join(this.path, inside)).href };
  }
}

/** Whether a path relative to the handlers folder is outside it. */
function leadsOut(path: string): boolean {
  return path === ".." || path.startsWith(`..${sep}`) || isAbsolute(path);
}

/** Whether a name, of a folder or of a file without its extension, can be that of a handler. */
function isHandlerName(name: string): boolean {
  return FUNCTION_PATTERN.test(name) && !INHERITED_NAMES.has(name) && !name.endsWith("_test") &&
    name !== "node_modules";
}

/** The name of a handler file without its extension; a second dot (`.test.ts`, `.d.ts`) makes it no handler. */
function stemOf(name: string): string | undefined {
  const stem = /^([^.]+)\.(?:ts|js|mjs)$/.exec(name)?.[1];
  return stem !== undefined && isHandlerName(stem) ? stem : undefined;
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isDirectory;
  } catch {
    return false;
  }
}
