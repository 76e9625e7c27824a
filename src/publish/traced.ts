/**
 * The span of a publish, whose context travels on the tasks.
 *
 * @module
 */

import { tracing } from "../trace.ts";
import type { TaskKind } from "./options.ts";

/**
 * Publishes tasks within a span: `publish` gets a function that puts the span's context on a kind. A kind that came
 * with a context of its own keeps it. As semantic conventions for messaging say it; `tq.handler` is ours.
 */
export function tracedPublish<T extends number | readonly number[]>(
  kinds: readonly TaskKind[],
  publish: (traced: (kind: TaskKind) => TaskKind) => Promise<T>,
): Promise<T> {
  const [first] = kinds;
  if (tracing === undefined || first === undefined || kinds.every((kind) => kind.traceParent !== null)) {
    return publish((kind) => kind);
  }
  const channel = first.channel ?? first.fallbackChannel;
  const span = tracing.start(`publish ${channel}`, {
    kind: "producer",
    attributes: {
      "messaging.system": "tq",
      "messaging.operation.name": "publish",
      "messaging.operation.type": "send",
      "messaging.destination.name": channel,
      ...(kinds.length > 1
        ? { "messaging.batch.message_count": kinds.length }
        : { "tq.handler": `${first.model}.${first.fname}` }),
    },
  });
  const { traceParent } = span;
  return publish((kind) => kind.traceParent === null ? { ...kind, traceParent } : kind).then((published) => {
    if (typeof published === "number") span.set({ "messaging.message.id": String(published) });
    return published;
  }, (error) => {
    span.fail(error);
    throw error;
  }).finally(() => span.end());
}
