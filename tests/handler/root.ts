/**
 * Handlers folders for tests.
 *
 * @module
 */

import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { describe, HandlerError } from "../../src/errors.ts";
import type { Task } from "../../src/handler/context.ts";
import { HandlerRegistry, type HandlerRegistryOptions } from "../../src/handler/registry.ts";

/** A temporary root with a handlers folder, deleted at the end of the test. */
export class Root implements AsyncDisposable {
  readonly path = Deno.makeTempDirSync({ prefix: "tq é registry " });
  readonly handlers = join(this.path, "handlers");

  /** Writes files by their path under the root. */
  write(files: Record<string, string>): this {
    for (const [name, text] of Object.entries(files)) {
      Deno.mkdirSync(dirname(join(this.path, name)), { recursive: true });
      Deno.writeTextFileSync(join(this.path, name), text);
    }
    return this;
  }

  link(from: string, to: string): this {
    Deno.mkdirSync(dirname(join(this.path, from)), { recursive: true });
    Deno.symlinkSync(join(this.path, to), join(this.path, from));
    return this;
  }

  has(name: string): boolean {
    return [...Deno.readDirSync(this.path)].some((entry) => entry.name === name);
  }

  registry(options: HandlerRegistryOptions = {}, builtins = new Map<string, (task: Task) => unknown>()) {
    return new HandlerRegistry(this.handlers, builtins, options);
  }

  async loaded(options: HandlerRegistryOptions = {}) {
    const registry = this.registry(options);
    const { problems } = await registry.loadAll();
    return { registry, problems, messages: problems.map((problem) => problem.message) };
  }

  async [Symbol.asyncDispose]() {
    await Deno.remove(this.path, { recursive: true });
  }
}

/** A module that leaves a marker in the root when it is imported. */
export function marking(root: Root, marker: string, rest: string): string {
  return `Deno.writeTextFileSync(${JSON.stringify(join(root.path, marker))}, "");\n${rest}`;
}

/** What the tests' handlers get. */
export const TASK = { id: 1 } as Task;

/** What `resolve` refuses with, as a person reads it; fails when it does not. */
export async function refusal(registry: HandlerRegistry, model: string, fname: string): Promise<string> {
  const error = await registry.resolve(model, fname).then(() => undefined, (error) => error);
  assert.ok(error instanceof HandlerError, `${model} ${fname} was not refused with a HandlerError: ${error}`);
  assert.doesNotMatch(error.message, /\p{Cc}/u);
  assert.equal(registry.lookup(model, fname), undefined);
  return describe(error);
}
