/**
 * Waking engines where there is no Redis.
 *
 * @module
 */

import type { Database, Statement } from "./database.ts";

/** What dispatch without Redis needs of the record: its own interface of this name says more. */
export interface Wakeup {
  readonly first: number;
  readonly longest: number;
  listen(heard: () => void): Promise<(() => void) | undefined>;
  tell(): Promise<void>;
}

/** Milliseconds for a notification: who is not told looks within seconds. */
const DEADLINE = 2000;

/**
 * The NOTIFY channel. Postgres refuses one of more than 63 characters; two schemas that share 54 wake each other,
 * which does no harm.
 */
export function notifyChannel(schema: string): string {
  return `tq_${schema.slice(0, 54)}_ready`;
}

/** Tells whoever listens, when its transaction is committed. */
export const NOTIFY: Statement = (schema) => `select pg_notify('${notifyChannel(schema)}', '')`;

/** Wakes engines. */
export async function notify(db: Database): Promise<void> {
  await db.run(NOTIFY, [], { deadline: DEADLINE });
}
