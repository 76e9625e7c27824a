/**
 * Sets the wall clock of this process ahead by `CHAOS_AHEAD` milliseconds: only the database's clock may count.
 *
 * @module
 */

const ahead = Number(Deno.env.get("CHAOS_AHEAD") ?? 0);

/** What the clock really shows. */
export const realNow: () => number = Date.now.bind(Date);
Date.now = () => realNow() + ahead;
