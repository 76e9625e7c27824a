/**
 * What postgres.js throws outside of any promise of ours: said, survived, and counted, so that the clients that existed
 * then are replaced.
 *
 * @module
 */

import { logger } from "../log.ts";

let count = 0;
let guarded = false;

/** How many there were in this process. */
export function strayErrors(): number {
  return count;
}

/** Recognises what postgres.js throws outside of any promise of ours, says so, and keeps the process alive. */
export function installGuard(): void {
  if (guarded) return;
  guarded = true;
  const catchStray = (event: Event, error: unknown) => {
    if (!isStray(error)) return;
    event.preventDefault();
    count++;
    logger("store").warn("postgres.js threw outside a statement; connections are replaced", { error });
  };
  globalThis.addEventListener("unhandledrejection", (event) => catchStray(event, event.reason));
  globalThis.addEventListener("error", (event) => catchStray(event, event.error));
}

function isStray(error: unknown): boolean {
  return error instanceof Error && /\/postgres\/3\.4\.9\/|\/postgres@3\.4\.9\//.test(error.stack ?? "");
}
