/**
 * How a store is made.
 *
 * @module
 */

import type { Clock } from "../clock.ts";

/** How a store is made. */
export interface StoreOptions {
  /** Gives the address of the server; asked for every new connection. */
  readonly url: () => Promise<string>;
  readonly schema: string;
  /** Connections at most. */
  readonly connections: number;
  readonly prepare: boolean;
  readonly applicationName: string;
  /** Milliseconds for a connection to be ready. @default 5000 */
  readonly connectTimeout?: number;
  /** Whether NOTIFY arrives: not in the embedded database, nor through PgBouncer. */
  readonly notifies: boolean;
  /** Milliseconds between looks for ready rows while nothing wakes: the first pause and the longest. */
  readonly poll: { readonly first: number; readonly longest: number };
  readonly clock?: Clock;
}
