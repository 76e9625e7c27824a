/**
 * What people ask of tasks: to be canceled, to be run again.
 *
 * @module
 */

import { type Database, numbers, type Patience, type Statement } from "./database.ts";
import { isDuplicate } from "./errors.ts";
import type { State } from "../task.ts";
import type { ReadyRow } from "./row.ts";

/** How, and of which states alone: a task that has left them since somebody looked is left as it is. */
export type Only = Patience & { readonly states?: readonly State[] };

/** What a cancel did to one task. */
export interface Canceled {
  /** The task's id. */
  readonly id: number;
  /** -2 when it is canceled; 1 when its engine has been asked to abort it. */
  readonly state: -2 | 1;
}

/** What a cancel did, and where the task was. */
export interface CanceledRow extends Canceled {
  readonly channel: string;
  /** Whether it was ready, so that dispatch may know of it. */
  readonly was_ready: boolean;
}

const CANCEL: Statement = (schema) =>
  `update ${schema}.tasks t
   set state = case when t.state = 1 then 1 else -2 end,
     started_at = case when t.state = 1 then t.started_at end, cancel_requested = true, modified = now(),
     reason = coalesce($2, 'canceled by request'),
     completed_at = case when t.state = 1 then t.completed_at else now() end
   from (select id, state from ${schema}.tasks where id = any($1::text::bigint[]) order by id for update) s
   where t.id = s.id and t.state in (0, 1, 2)
     and (cardinality($3::text::smallint[]) = 0 or t.state = any($3::text::smallint[]))
   returning t.id, t.state, t.channel, s.state = 0 as was_ready`;

const RETRY_NOW: Statement = (schema) =>
  `update ${schema}.tasks t
   set state = 0, attempts = 0, deaths = 0, cancel_requested = false, reason = null, result = null, progress = null,
     started_at = null, completed_at = null, scheduled_for = null, stale_after = null, modified = now()
   from (select id from ${schema}.tasks where id = any($1::text::bigint[]) order by id for update) s
   where t.id = s.id and t.state in (-2, -1, 10)
     and (cardinality($2::text::smallint[]) = 0 or t.state = any($2::text::smallint[]))
     and (t.unique_key is null or not exists (
       select from ${schema}.tasks o where o.unique_key = t.unique_key and o.state in (0, 1, 2)))
   returning t.id, t.channel, t.priority`;

/** Cancels waiting and ready tasks at once and asks the engines of running ones; ended ones are left as they are. */
export async function cancel(
  db: Database,
  ids: readonly number[],
  reason: string | null,
  how: Only,
): Promise<readonly CanceledRow[]> {
  return await db.run<CanceledRow>(CANCEL, [numbers(ids), reason, numbers(how.states ?? [])], how);
}

/** Makes ended tasks ready again, with all their attempts; returns those that are, to be pushed. */
export async function retryNow(
  db: Database,
  ids: readonly number[],
  how: Only,
): Promise<readonly ReadyRow[]> {
  try {
    return await db.run<ReadyRow>(RETRY_NOW, [numbers(ids), numbers(how.states ?? [])], how);
  } catch (error) {
    if (!isDuplicate(error)) throw error;
    // Two of them have the same unique key, or somebody published with it in this moment. Halves tell which may run.
    if (ids.length === 1) return [];
    const half = ids.length >> 1;
    return [...await retryNow(db, ids.slice(0, half), how), ...await retryNow(db, ids.slice(half), how)];
  }
}
