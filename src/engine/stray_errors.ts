/**
 * Errors that handlers leave where nobody catches them: in a timer, an event listener, a promise nobody waits for.
 *
 * @module
 */

import { stackOf } from "../errors.ts";
import { logger } from "../log.ts";

/**
 * Logs stray errors from now on instead of letting them end the process: whose they are cannot be told, and a dead
 * engine would be charged to all tasks that are inside their handlers. Call it after everything of tq that knows
 * some of them as its own.
 */
export function keepAliveOnStrayErrors(): void {
  const log = logger("handler");
  const say = (event: Event, error: unknown) => {
    if (event.defaultPrevented) return;
    event.preventDefault();
    log.error("A handler left an error that nobody catches", { error: stackOf(error) });
  };
  globalThis.addEventListener("unhandledrejection", (event) => say(event, event.reason));
  // Thrown null has no error, but a message.
  globalThis.addEventListener("error", (event) => say(event, event.error ?? event.message));
}
