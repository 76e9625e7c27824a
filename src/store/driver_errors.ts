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

/** Where tq's own code is: it calls the driver, and so may stand in the stack of what that throws. */
const OWN = new URL("../", import.meta.url).href;

/**
 * Whether nothing but the driver, tq and Deno had a hand in it. A program may use the same driver: what it forgets to
 * catch has its own code in the stack, or is what Postgres said of a statement.
 */
function isStray(error: unknown): boolean {
  if (!(error instanceof Error) || "severity" in error && error.severity === "ERROR") return false;
  const frames = String(error.stack).match(/^ +at .*\b(?:file|https?|data|blob):.*/gm) ?? [];
  const isDriver = (frame: string) => /\/postgres[/@]3\.4\.9\//.test(frame);
  return frames.some(isDriver) && frames.every((frame) => isDriver(frame) || frame.includes(OWN));
}
