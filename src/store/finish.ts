/**
 * How runs end: every write checks the lease.
 *
 * @module
 */

import { type Database, numbers, type Patience, type Statement } from "./database.ts";
import type { Lease } from "./row.ts";

/** The end of one run that says more than "completed". */
export interface Ending extends Lease {
  /** 10 completed, -1 failed, 2 to be run again after `delay`. */
  readonly state: 10 | -1 | 2;
  readonly reason: string | null;
  /** JSON text, or null. */
  readonly result: string | null;
  /** Seconds, for state 2. */
  readonly delay: number | null;
  /** The run is no attempt. @default it is */
  readonly uncharged?: boolean;
}

const COMPLETED =
  `state = 10, attempts = t.attempts + 1, completed_at = now(), modified = now(), code_version = $3,
     reason = null`;
const HELD = `t.engine_id is not distinct from $2::text::uuid and t.state is not distinct from 1`;

const COMPLETE: Statement = (schema) =>
  `update ${schema}.tasks t set ${COMPLETED}
   from rows from (unnest($1::text::bigint[]), unnest($4::text::integer[])) as f(id, claims)
   where t.id = f.id and t.claims = f.claims and ${HELD}`;

/* Nearly always all were claimed for the same time, the first: without the join a row takes 6.5 µs instead of 8. */
const COMPLETE_ALIKE: Statement = (schema) =>
  `update ${schema}.tasks t set ${COMPLETED}
   where t.id = any($1::text::bigint[]) and t.claims = $4::text::integer and ${HELD}`;

/*
 * `engine` and `held` come through a subquery that `offset 0` keeps whole: as conditions on the table alone they make the
 * planner of an empty table expect one row, and walk a whole index for it ever after instead of looking up the ids.
 */
const FINISH: Statement = (schema) =>
  `update ${schema}.tasks t
   set state = case when f.state = 2 and t.cancel_requested then -2 else f.state end,
     attempts = t.attempts + case when f.uncharged then 0 else 1 end,
     completed_at = case when f.state <> 2 or t.cancel_requested then now() end,
     scheduled_for = case when f.state = 2 then now() + f.delay * interval '1 second' else t.scheduled_for end,
     modified = now(), code_version = $3, result = f.result,
     reason = case when f.state = 2 and t.cancel_requested then t.reason else f.reason end
   from (
     select *, $2::text::uuid as engine, 1 as held from jsonb_to_recordset($1::text::jsonb)
       as r(id bigint, claims integer, state smallint, reason text, result jsonb, delay float8, uncharged boolean)
     offset 0
   ) f
   where t.id = f.id and t.claims = f.claims and t.engine_id is not distinct from f.engine
     and t.state is not distinct from f.held`;

/** Ends runs as completed without a result. Returns how many rows still had the lease. */
export async function complete(
  db: Database,
  leases: readonly Lease[],
  engineId: string,
  codeVersion: string | null,
  how: Patience,
): Promise<number> {
  const ids = numbers(leases.map((lease) => lease.id));
  const claims = leases[0]?.claims ?? 0;
  return leases.every((lease) => lease.claims === claims)
    ? (await db.run(COMPLETE_ALIKE, [ids, engineId, codeVersion, claims], how)).count
    : (await db.run(
      COMPLETE,
      [ids, engineId, codeVersion, numbers(leases.map((lease) => lease.claims))],
      how,
    )).count;
}

/** Ends runs in any way. Returns how many rows still had the lease. */
export async function finish(
  db: Database,
  endings: readonly Ending[],
  engineId: string,
  codeVersion: string | null,
  how: Patience,
): Promise<number> {
  const text = `[${
    endings.map(({ result, ...rest }) => `${JSON.stringify(rest).slice(0, -1)},"result":${result ?? "null"}}`)
      .join(",")
  }]`;
  return (await db.run(FINISH, [text, engineId, codeVersion], how)).count;
}
