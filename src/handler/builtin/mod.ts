/**
 * Handlers that come with tq. What they need is loaded when the first of their tasks runs.
 *
 * @module
 */

import { systemClock } from "../../clock.ts";
import type { Settings } from "../../config.ts";
import { TEST_MODEL, WEB_REQUEST_MODEL } from "../../task.ts";
import type { HandlerFunction } from "../exports.ts";
import type { WebRequester } from "./web_request.ts";

/** The built-in handlers by model, and how to close what they opened. */
export interface Builtins {
  readonly handlers: ReadonlyMap<string, HandlerFunction>;
  close(): Promise<void>;
}

/**
 * Makes the built-in handlers.
 *
 * @param install gives the record's id, once it is open: idempotency keys of two records must differ
 */
export function builtins(settings: Settings, install: () => string): Builtins {
  let requester: Promise<WebRequester> | undefined;
  const load = async () => {
    const { WebRequester } = await import("./web_request.ts");
    return new WebRequester({
      timeoutSeconds: settings.TQ_WEB_TIMEOUT,
      allowLinkLocal: settings.TQ_WEB_ALLOW_LINK_LOCAL,
      keyPrefix: `tq-${install()}`,
      keys: settings.TQ_WEB_SECRET,
    });
  };
  return {
    handlers: new Map<string, HandlerFunction>([
      [WEB_REQUEST_MODEL, async (task) => await (await (requester ??= load())).run(task)],
      [TEST_MODEL, async (task) => {
        await systemClock.sleep(1000 * (Number(task.data.sleep_time) || 0), task.signal);
        task.signal.throwIfAborted();
      }],
    ]),
    async close() {
      await (await requester)?.[Symbol.asyncDispose]();
    },
  };
}
