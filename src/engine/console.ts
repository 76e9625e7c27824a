/**
 * What handlers print with `console` goes to the engine's log with their task's id, and to the task's own log.
 *
 * @module
 */

import { AsyncLocalStorage } from "node:async_hooks";
import { format } from "node:util";
import type { Note } from "../handler/context.ts";
import { logger } from "../log.ts";
import { LINE_LIMIT } from "./protocol.ts";

/** The methods that are caught, and the kind of line that each makes in a task's log. */
const KINDS = { log: "log", info: "log", debug: "log", warn: "warning", error: "error" } as const;

const current = new AsyncLocalStorage<number>();

/** Runs `fn` as the work of a task: what it prints, now or later, is that task's. */
export function asTask<T>(taskId: number, fn: () => T): T {
  return current.run(taskId, fn);
}

/** From now on, what tasks print is caught. What anything else prints goes to stdout as it is. */
export function catchConsole(note: (taskId: number, note: Note) => void): void {
  const log = logger("handler");
  for (const [name, kind] of Object.entries(KINDS)) {
    const method = name as keyof typeof KINDS;
    const original = console[method].bind(console);
    console[method] = (...values: unknown[]) => {
      const taskId = current.getStore();
      if (taskId === undefined) return original(...values);
      const text = format(...values).slice(0, LINE_LIMIT);
      log.info("Handler printed", { task: taskId, text });
      note(taskId, { kind, text });
    };
  }
}
