/**
 * From the name of a model and a function to the code that runs it.
 *
 * `loadAll` imports every handler module once, so that `lookup`, which stands on the path of every task, is a
 * look into a map. `resolve` is for what `lookup` does not know: it looks on disk again, or says what is missing.
 *
 * @module
 */

import { type Clock, systemClock, within } from "../clock.ts";
import { describe, HandlerError, HandlerModuleError } from "../errors.ts";
import { FUNCTION_PATTERN, FUNCTION_RULE, isName, MODEL_PATTERN, MODEL_RULE, NAME_LIMIT } from "../task.ts";
import { type HandlerDefaults, type HandlerFunction, missingFunction, type Model } from "./exports.ts";
import { failedModule, type HandlerModule, importModule } from "./load.ts";
import { HandlerFolder, type Listings, loadsTypeScript } from "./resolve.ts";

export type { HandlerDefaults, HandlerFunction } from "./exports.ts";

/** A function that can run tasks. */
export interface HandlerEntry {
  readonly model: string;
  readonly fname: string;
  /** Relative to the handlers folder. */
  readonly file: string;
  /** What its model states. */
  readonly defaults: HandlerDefaults;
}

/** A handler module that cannot be used. */
export interface HandlerProblem {
  /** Relative to the handlers folder; empty for the folder itself. */
  readonly file: string;
  /** One line; names the file. */
  readonly message: string;
}

/** A model and where it was found. */
interface Found {
  readonly stem: string;
  readonly file: string;
  readonly model: Model;
}

/** Options of the registry. */
export interface HandlerRegistryOptions {
  readonly clock?: Clock;
  /** Milliseconds that the import of a module may take. @default 20000 */
  readonly importDeadline?: number;
  /** Whether `.ts` files can be imported from disk. @default what this runtime can do */
  readonly typescript?: boolean;
}

/** Every handler of one engine. */
export class HandlerRegistry {
  readonly #folder: HandlerFolder | undefined;
  readonly #builtins: ReadonlyMap<string, HandlerFunction>;
  readonly #clock: Clock;
  readonly #importDeadline: number;
  /** By `${model} ${fname}`. */
  readonly #functions = new Map<string, HandlerFunction>();
  /** By stem. A module stays what it became, whatever happens to its file: new code comes with a new engine. */
  readonly #modules = new Map<string, HandlerModule>();
  readonly #loading = new Map<string, Promise<HandlerModule | undefined>>();
  /** By name. */
  readonly #models = new Map<string, Found>();
  #refusals: readonly HandlerProblem[] = [];

  /**
   * @param folder the handlers folder; it may be missing
   * @param builtins by model; each takes any function name
   */
  constructor(
    folder: string | undefined,
    builtins: ReadonlyMap<string, HandlerFunction>,
    options: HandlerRegistryOptions = {},
  ) {
    this.#folder = folder === undefined
      ? undefined
      : new HandlerFolder(folder, options.typescript ?? loadsTypeScript());
    this.#builtins = builtins;
    this.#clock = options.clock ?? systemClock;
    this.#importDeadline = options.importDeadline ?? 20_000;
  }

  /** Imports every handler module. Never rejects; takes little longer than one import's deadline. */
  async loadAll(): Promise<{ problems: HandlerProblem[] }> {
    const folder = this.#folder;
    if (folder === undefined) return { problems: [] };
    const { stems, refusals, listings } = await folder.scan();
    this.#refusals = refusals.map(({ file, refused }) => ({
      file,
      message: `${folder.show(file)} ${refused}`,
    }));
    // All at once: a package registry that does not answer would otherwise cost each of its users a deadline.
    await Promise.all(stems.map((stem) => this.#module(folder, stem, listings)));
    return { problems: this.problems() };
  }

  /** What can be run, sorted by name. Built-in models are left out: they take any function name. */
  list(): HandlerEntry[] {
    return this.#sorted().flatMap(([name, { file, model }]) =>
      [...model.functions.keys()].sort().map((fname) => ({
        model: name,
        fname,
        file,
        defaults: model.defaults,
      }))
    );
  }

  /** What cannot be used and why, sorted by file. */
  problems(): HandlerProblem[] {
    const failed = [...this.#modules.values()].flatMap(({ file, failure, typescript }) =>
      failure === undefined ? [] : [{ file, message: describe(failure), typescript }]
    );
    const others = failed.filter(({ typescript }) => !typescript).map(({ file, message }) => ({
      file,
      message,
    }));
    // One line says it for all, or the one that matters would drown.
    const [first, ...more] = failed.filter(({ typescript }) => typescript).sort(byFile);
    if (first !== undefined) {
      const message = more.length === 0
        ? first.message
        : `${first.message} (and ${more.length} more .ts files)`;
      others.push({ file: first.file, message });
    }
    return [...this.#refusals, ...others].sort(byFile);
  }

  /** The names of all models that were loaded; built-in ones are left out. */
  get models(): string[] {
    return [...this.#models.keys()];
  }

  /** By model, what models state for their tasks; only those that state anything. */
  defaults(): Record<string, HandlerDefaults> {
    const stated = this.#sorted().map(([name, { model }]) => [name, model.defaults] as const);
    return Object.fromEntries(stated.filter(([, defaults]) => Object.keys(defaults).length > 0));
  }

  /** The function that runs a task, if `loadAll` or `resolve` has met it. */
  lookup(model: string, fname: string): HandlerFunction | undefined {
    return this.#functions.get(`${model} ${fname}`) ?? this.#builtins.get(model);
  }

  /**
   * As `lookup`, but looks on disk again: a file that arrived after `loadAll` is imported now.
   *
   * @throws {HandlerError} says what is missing and where it was looked for, or why it is refused
   * @throws {HandlerModuleError} says why its module does not import
   */
  async resolve(model: string, fname: string): Promise<HandlerFunction> {
    checkName(model, MODEL_PATTERN, "model", MODEL_RULE);
    checkName(fname, FUNCTION_PATTERN, "function", FUNCTION_RULE);
    const ready = this.lookup(model, fname);
    if (ready !== undefined) return ready;
    const folder = this.#folder;
    if (folder === undefined) throw new HandlerError(`no handler for ${model}: there is no handlers folder`);
    const [app = model, name] = model.split(".");
    const known = this.#models.get(model);
    const stems = known !== undefined ? [known.stem] : name === undefined ? [app] : [`${app}/${name}`, app];
    for (const stem of stems) {
      const module = await this.#module(folder, stem);
      if (module === undefined) continue;
      if (module.failure !== undefined) throw module.failure;
      const shown = folder.show(module.file);
      const found = module.models.get(model);
      if (found === undefined) {
        throw new HandlerError(`${shown} has no export named ${name} that is a class or a plain object`, {
          remedy: `export it there, or write ${folder.show(`${app}/${name}`)}.ts`,
        });
      }
      const run = found.functions.get(fname);
      if (run === undefined) throw missingFunction(found, name ?? app, fname, shown);
      return run;
    }
    const places = stems.map((stem) => `${folder.show(stem)}.{ts,js,mjs}`);
    throw new HandlerError(`no handler for ${model}: there is no ${places.join(" and no ")}`);
  }

  #sorted(): [string, Found][] {
    return [...this.#models].sort(([a], [b]) => a < b ? -1 : 1);
  }

  /** The module of a stem, imported if it was not; undefined when there is no file, which is not remembered. */
  async #module(
    folder: HandlerFolder,
    stem: string,
    listings?: Listings,
  ): Promise<HandlerModule | undefined> {
    const known = this.#modules.get(stem);
    if (known !== undefined) return known;
    let loading = this.#loading.get(stem);
    if (loading === undefined) {
      loading = this.#load(folder, stem, listings).finally(() => this.#loading.delete(stem));
      this.#loading.set(stem, loading);
    }
    return await loading;
  }

  async #load(folder: HandlerFolder, stem: string, listings?: Listings): Promise<HandlerModule | undefined> {
    const found = await folder.find(stem, listings);
    if (found === undefined) return undefined;
    const shown = folder.show(found.file);
    if ("refused" in found) {
      return this.#keep(
        stem,
        failedModule(found.file, new HandlerModuleError(`${shown} ${found.refused}`), found.typescript),
      );
    }
    if (this.#builtins.has(stem)) {
      const taken = new HandlerModuleError(`${shown} is not imported: ${stem} is built in`, {
        remedy: "rename the file",
      });
      return this.#keep(stem, failedModule(found.file, taken));
    }
    const importing = importModule(folder, stem, found);
    const module = await within(this.#clock, this.#importDeadline, importing);
    if (module !== undefined) return this.#keep(stem, module);
    // A module that comes late, say after a slow download, is taken all the same.
    importing.then((late) => this.#keep(stem, late));
    const seconds = this.#importDeadline / 1000;
    return this.#keep(
      stem,
      failedModule(found.file, new HandlerModuleError(`${shown} did not finish importing in ${seconds} s`)),
    );
  }

  /** Remembers what became of a module and opens its functions to `lookup`. */
  #keep(stem: string, module: HandlerModule): HandlerModule {
    this.#modules.set(stem, module);
    for (const [name, model] of module.models) {
      // The export Model of `app` yields to the file `app/Model`, even to one that fails; but a model that tasks
      // run on already does not change hands.
      const owner = this.#models.get(name)?.stem;
      const rival = name.replace(".", "/");
      const yields = rival !== stem && (this.#modules.has(rival) || this.#loading.has(rival));
      if (owner === undefined ? yields : owner !== stem) continue;
      this.#models.set(name, { stem, file: module.file, model });
      for (const [fname, run] of model.functions) this.#functions.set(`${name} ${fname}`, run);
    }
    return module;
  }
}

/** @throws {HandlerError} for a name that must not touch a path */
function checkName(value: string, pattern: RegExp, what: string, allowed: string): void {
  if (isName(value, pattern)) return;
  const shown = JSON.stringify(String(value).slice(0, NAME_LIMIT));
  throw new HandlerError(`the ${what} is named ${shown}`, { remedy: allowed });
}

function byFile(a: { readonly file: string }, b: { readonly file: string }): number {
  return a.file < b.file ? -1 : a.file > b.file ? 1 : 0;
}
