/**
 * Secrets in the data of tasks, kept from those who may look at them.
 *
 * @module
 */

import type { Json } from "../task.ts";

/** What stands in the place of a secret. */
export const REDACTED = "[redacted]";

/** Takes secrets out of a value; gives it back as it is where there are none. */
export type Redactor = (value: Json) => Json;

/** Makes a redactor for keys (`TQ_REDACT`), wherever they are nested, in any case. */
export function redactorOf(keys: readonly string[]): Redactor {
  const secret = new Set(keys.map((key) => key.toLowerCase()));
  if (secret.size === 0) return (value) => value;
  const redact: Redactor = (value) => {
    if (typeof value !== "object" || value === null) return value;
    if (Array.isArray(value)) return value.map(redact);
    return Object.fromEntries(
      Object.entries(value).map((
        [key, inner],
      ) => [key, secret.has(key.toLowerCase()) ? REDACTED : redact(inner)]),
    );
  };
  return redact;
}
