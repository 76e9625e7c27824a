/**
 * Statistics for Postgres' planner, and the vacuum where nobody else does it.
 *
 * @module
 */

import type { Database, Patience, Statement } from "./database.ts";

/*
 * Autovacuum comes once a minute at most, and never in the embedded database or on a server that has it off. Until then
 * the planner takes a million ready rows for a few: it sorts them all instead of walking their index, and a claim without
 * Redis takes 420 ms instead of 1 (2026-11-24, Postgres 15, 2 cores). The embedded database says that autovacuum is on,
 * but a server of one single process has nobody who would do it.
 */
const LOOK: Statement = (schema) =>
  `select n_mod_since_analyze > 1000 + n_live_tup / 5 as outdated,
     n_dead_tup > 1000 + n_live_tup / 5
       and (current_setting('autovacuum') = 'off' or (select count(*) from pg_stat_activity) = 1) as littered
   from pg_stat_all_tables where schemaname = '${schema}' and relname = 'tasks'`;

const ANALYZE: Statement = (schema) => `analyze ${schema}.tasks`;
const VACUUM: Statement = (schema) => `vacuum (analyze) ${schema}.tasks`;

/** What was done to the table of tasks. */
export type Tidying = "analyze" | "vacuum" | undefined;

/**
 * Renews the statistics of tasks if more than a fifth of them changed since; vacuums as well where autovacuum is off.
 */
export async function tidy(db: Database, how: Patience): Promise<Tidying> {
  const [found] = await db.run<{ outdated: boolean; littered: boolean }>(LOOK, [], how);
  if (found?.littered) {
    await db.run(VACUUM, [], how);
    return "vacuum";
  }
  if (!found?.outdated) return undefined;
  await db.run(ANALYZE, [], how);
  return "analyze";
}
