/**
 * The span of a run, caused by the publish of its task.
 *
 * @module
 */

import { tracing } from "../trace.ts";
import type { Held } from "./held.ts";
import { type Outcome, outcomeName } from "./outcome.ts";

/** Runs a handler within the span of its run. As semantic conventions for messaging say it; `tq.…` is ours. */
export function tracedRun<T>(held: Held, fn: () => T): T {
  if (tracing === undefined) return fn();
  const { id, channel, model, fname, attempts, trace_parent: cause } = held.row;
  held.span = tracing.start(`process ${channel}`, {
    kind: "consumer",
    cause,
    attributes: {
      "messaging.system": "tq",
      "messaging.operation.name": "process",
      "messaging.operation.type": "process",
      "messaging.destination.name": channel,
      "messaging.message.id": String(id),
      "tq.handler": `${model}.${fname}`,
      "tq.attempt": attempts + 1,
    },
  });
  return held.span.run(fn);
}

/** Ends the span of a run with its outcome. */
export function traceEnd(
  { span, aborted }: Pick<Held, "span" | "aborted">,
  outcome: Outcome,
): void {
  if (span === undefined) return;
  const name = outcomeName(outcome, aborted);
  span.set({ "tq.outcome": name });
  if (name !== "completed") span.fail(outcome.reason ?? name, aborted ?? "_OTHER");
  span.end();
}
