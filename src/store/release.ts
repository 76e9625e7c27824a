/**
 * Giving claimed rows back unrun, or ended by a drain: not charged.
 *
 * @module
 */

import { type Database, numbers, type Patience, type Statement } from "./database.ts";
import { type Lease, type MovedRow, type ReadyRow, toPush } from "./row.ts";

const RELEASE: Statement = (schema) =>
  `update ${schema}.tasks t
   set state = case when t.cancel_requested then -2 else 0 end,
     completed_at = case when t.cancel_requested then now() end,
     started_at = null, modified = now(),
     reason = case when t.cancel_requested then t.reason else coalesce($3, t.reason) end
   from rows from (unnest($1::text::bigint[]), unnest($4::text::integer[])) as f(id, claims)
   where t.id = f.id and t.claims = f.claims and t.engine_id is not distinct from $2::text::uuid
     and t.state is not distinct from 1
   returning t.id, t.channel, t.priority, t.state, t.deaths`;

/** Releases what still has the lease; returns the rows that are ready again, to be pushed. */
export async function release(
  db: Database,
  leases: readonly Lease[],
  engineId: string,
  reason: string | null,
  how: Patience,
): Promise<readonly ReadyRow[]> {
  const ids = numbers(leases.map((lease) => lease.id));
  const claims = numbers(leases.map((lease) => lease.claims));
  return toPush(await db.run<MovedRow>(RELEASE, [ids, engineId, reason, claims], how));
}
