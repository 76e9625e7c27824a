/**
 * Statistics for Postgres' planner, when a wave of tasks has made them wrong.
 *
 * @module
 */

import type { Database, Patience, Statement } from "./database.ts";

/*
 * Autovacuum comes once a minute at most, and never in the embedded database. Until then the planner takes a million
 * ready rows for a few: it sorts them all instead of walking their index, and a claim without Redis takes 420 ms
 * instead of 1 (2026-11-24, Postgres 15, 2 cores).
 */
const IS_OUTDATED: Statement = (schema) =>
  `select from pg_stat_all_tables
   where schemaname = '${schema}' and relname = 'tasks' and n_mod_since_analyze > n_live_tup / 5`;

const ANALYZE: Statement = (schema) => `analyze ${schema}.tasks`;

/** Renews the statistics of tasks if more than a fifth of them changed since; returns whether it did. */
export async function analyze(db: Database, how: Patience): Promise<boolean> {
  if ((await db.run(IS_OUTDATED, [], how)).length === 0) return false;
  await db.run(ANALYZE, [], how);
  return true;
}
