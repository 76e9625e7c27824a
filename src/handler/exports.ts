/**
 * What a handler module offers: its models, their functions, and the defaults they state.
 * Nothing of the module is called here, getters included.
 *
 * @module
 */

import { HandlerError, HandlerModuleError } from "../errors.ts";
import { nearest } from "../nearest.ts";
import {
  CHANNEL_PATTERN,
  FUNCTION_PATTERN,
  INHERITED_BY_CLASSES,
  INHERITED_NAMES,
  NAME_LIMIT,
} from "../task.ts";
import type { Task } from "./context.ts";

/** What runs a task. */
export type HandlerFunction = (task: Task) => unknown;

/** What a class (`static tq = {…}`) or a module (`export const tq = {…}`) states for its tasks. */
export interface HandlerDefaults {
  /** Seconds that a run may take. */
  readonly timeout?: number;
  /** Runs a task gets before it fails. */
  readonly maxAttempts?: number;
  /** The queue its tasks are put on. */
  readonly channel?: string;
}

/** A model and its functions. */
export interface Model {
  readonly kind: "class" | "object" | "module";
  readonly functions: ReadonlyMap<string, HandlerFunction>;
  readonly defaults: HandlerDefaults;
  /** Where functions are looked for: the class and those of the user's classes that it extends. */
  readonly lineage: readonly object[];
}

/** A module inherits nothing, but what cannot be published is not offered; and nobody gave the name `default`. */
const TAKEN_IN_MODULE: ReadonlySet<string> = new Set([...INHERITED_NAMES, "default"]);

/**
 * The models of a module by name.
 *
 * @param stem `app/Model` for the file of one model, `app` for the file of an app
 * @param shown the file, for messages
 * @throws {HandlerModuleError} when the file of a model does not export it, or what is stated in `tq` is not valid
 */
export function readModels(stem: string, namespace: object, shown: string): Map<string, Model> {
  const [app = stem, name] = stem.split("/");
  const models = new Map<string, Model>();
  if (name !== undefined) {
    const owner = [valueOf(namespace, "default"), valueOf(namespace, name)].find(isOwner);
    if (owner === undefined) {
      throw new HandlerModuleError(
        `${shown} has neither a default export nor an export named ${name} that is a class or a plain object`,
        { remedy: `write export default class ${name} { static async run(task) {} }` },
      );
    }
    // The file stands for this one model, so what the file states holds where the class states nothing.
    return models.set(
      `${app}.${name}`,
      readModel(owner, `${shown}: ${name}.tq`, readTq([namespace], `${shown}: tq`)),
    );
  }
  const functions = functionsOf([namespace], TAKEN_IN_MODULE);
  const defaults = readTq([namespace], `${shown}: tq`);
  models.set(app, { kind: "module", functions, defaults, lineage: [namespace] });
  for (const key of Object.getOwnPropertyNames(namespace)) {
    const owner = valueOf(namespace, key);
    if (!FUNCTION_PATTERN.test(key) || TAKEN_IN_MODULE.has(key) || !isOwner(owner)) continue;
    // An object without functions is data that happens to be exported.
    if (functionsOf(lineageOf(owner), INHERITED_BY_CLASSES).size > 0) {
      models.set(`${app}.${key}`, readModel(owner, `${shown}: ${key}.tq`));
    }
  }
  return models;
}

/** Why a model has no such function, and how to mend it. */
export function missingFunction(model: Model, name: string, fname: string, shown: string): HandlerError {
  const what = {
    class: `${shown}: ${name} has no static function ${fname} of its own`,
    object: `${shown}: ${name} has no function ${fname} of its own`,
    module: `${shown} exports no function named ${fname}`,
  }[model.kind];
  if (model.kind !== "module" && INHERITED_BY_CLASSES.has(fname)) {
    return new HandlerError(what, {
      remedy: "every class and object has that name from JavaScript, choose another",
    });
  }
  const found = find(model.lineage, fname);
  const why = found === undefined ? undefined : whyNot(found);
  const near = nearest(fname, model.functions.keys());
  return new HandlerError(
    why === undefined ? what : `${what}: it is ${why}`,
    near === undefined ? {} : { remedy: `did you mean ${near}?` },
  );
}

function readModel(owner: object, where: string, otherwise: HandlerDefaults = {}): Model {
  const lineage = lineageOf(owner);
  return {
    kind: typeof owner === "function" ? "class" : "object",
    functions: functionsOf(lineage, INHERITED_BY_CLASSES, owner),
    defaults: { ...otherwise, ...readTq(lineage, where) },
    lineage,
  };
}

/** The functions along a lineage by name, the nearest first; bound to `owner`, so that `this` is the class. */
function functionsOf(
  lineage: readonly object[],
  taken: ReadonlySet<string>,
  owner?: object,
): Map<string, HandlerFunction> {
  const functions = new Map<string, HandlerFunction>();
  const seen = new Set(taken);
  for (const holder of lineage) {
    for (const key of Object.getOwnPropertyNames(holder)) {
      if (seen.has(key) || key.length > NAME_LIMIT || !FUNCTION_PATTERN.test(key)) continue;
      seen.add(key);
      const descriptor = Object.getOwnPropertyDescriptor(holder, key);
      if (descriptor === undefined || whyNot(descriptor) !== undefined) continue;
      functions.set(key, owner === undefined ? descriptor.value : descriptor.value.bind(owner));
    }
  }
  return functions;
}

/** Why a property cannot run a task, or undefined when it can. */
function whyNot(descriptor: PropertyDescriptor): string | undefined {
  if (!("value" in descriptor)) return "a getter";
  if (typeof descriptor.value !== "function") return "not a function";
  if (isClass(descriptor.value)) return "a class";
  // Calling one runs nothing: its task would be completed with no work done.
  return /Generator/.test(Object.prototype.toString.call(descriptor.value)) ? "a generator" : undefined;
}

/** An object and, for a class, the user's classes that it extends; JavaScript's and Deno's own are left out. */
function lineageOf(owner: object): object[] {
  if (typeof owner !== "function") return [owner];
  const lineage: object[] = [];
  for (let at: unknown = owner; typeof at === "function" && !isPlatform(at); at = Object.getPrototypeOf(at)) {
    lineage.push(at);
  }
  return lineage;
}

/** Whether a class is JavaScript's (`Map`) or a global of Deno's, which is not native code (`URL`). */
function isPlatform(of: object): boolean {
  if (/\[native code\]\s*\}$/.test(Function.prototype.toString.call(of))) return true;
  const name = valueOf(of, "name");
  return typeof name === "string" && name !== "" && Reflect.get(globalThis, name) === of;
}

function isOwner(value: unknown): value is object {
  return isClass(value) || isPlainObject(value);
}

/** A class has a `prototype` that cannot be replaced; a function's can, and arrows and methods have none. */
function isClass(value: unknown): value is object {
  return typeof value === "function" &&
    Object.getOwnPropertyDescriptor(value, "prototype")?.writable === false;
}

function isPlainObject(value: unknown): value is object {
  if (typeof value !== "object" || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}

function find(lineage: readonly object[], key: string): PropertyDescriptor | undefined {
  for (const holder of lineage) {
    const descriptor = Object.getOwnPropertyDescriptor(holder, key);
    if (descriptor !== undefined) return descriptor;
  }
  return undefined;
}

/** An own property that is not a getter. */
function valueOf(holder: object, key: string): unknown {
  return Object.getOwnPropertyDescriptor(holder, key)?.value;
}

/** What each field of `tq` must be. */
const FIELDS: Readonly<Record<keyof HandlerDefaults, { allowed: string; is(value: unknown): boolean }>> = {
  timeout: { allowed: "whole seconds from 1 to 2592000", is: (value) => isWhole(value, 2_592_000) },
  maxAttempts: { allowed: "a whole number from 1 to 1000", is: (value) => isWhole(value, 1000) },
  channel: {
    allowed: "letters, digits, _ . and -, at most 100, a letter first",
    is: (value) => typeof value === "string" && CHANNEL_PATTERN.test(value),
  },
};

/** Reads and checks `tq`. A function of that name is a handler, not defaults. */
function readTq(lineage: readonly object[], where: string): HandlerDefaults {
  const descriptor = find(lineage, "tq");
  if (descriptor === undefined || typeof descriptor.value === "function") return {};
  const tq: unknown = descriptor.value;
  if (!isPlainObject(tq)) {
    throw new HandlerModuleError(`${where} is ${"value" in descriptor ? "not an object" : "a getter"}`, {
      remedy: 'write tq = { timeout: 60, maxAttempts: 3, channel: "reports" }',
    });
  }
  for (const key of Object.getOwnPropertyNames(tq)) {
    const field = Object.hasOwn(FIELDS, key) ? FIELDS[key as keyof HandlerDefaults] : undefined;
    const value = valueOf(tq, key);
    if (field === undefined) {
      throw new HandlerModuleError(`${where} has the unknown key ${key}`, {
        remedy: `known: ${Object.keys(FIELDS).join(", ")}`,
      });
    }
    if (value !== undefined && !field.is(value)) {
      const shown = typeof value === "string"
        ? JSON.stringify(value)
        : typeof value === "object"
        ? "an object"
        : String(value);
      throw new HandlerModuleError(`${where}.${key} is ${shown}`, { remedy: `allowed: ${field.allowed}` });
    }
  }
  const given = Object.keys(FIELDS).map((key) => [key, valueOf(tq, key)]).filter(([, value]) =>
    value !== undefined
  );
  return Object.fromEntries(given);
}

function isWhole(value: unknown, max: number): boolean {
  return typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= max;
}
