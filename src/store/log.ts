/**
 * What handlers write down besides how their task ended: log lines and progress.
 *
 * @module
 */

import type { Database, Patience, Statement } from "./database.ts";
import { drawIds } from "./insert.ts";
import { logOf, type LogRow } from "./row.ts";
import type { TaskLog } from "../task.ts";

/** One line, or a progress. */
export interface NoteRow {
  readonly task_id: number;
  readonly kind: string;
  readonly text: string;
  /** 0…1, or null. */
  readonly progress: number | null;
  /** The claim's count of the run whose progress it is: without it no progress is written. */
  readonly claims?: number | undefined;
}

/** A log line keeps this many characters. */
const TEXT_LIMIT = 64 * 1024;

/* Lines have ids that were drawn ahead: those that are there already (an earlier try) stay. For `engine` see FINISH. */
const WRITE: Statement = (schema) =>
  `with n as (
     select * from jsonb_to_recordset($1::text::jsonb)
       as n(i integer, id bigint, task_id bigint, claims integer, kind text, text text, progress real)
   ), lines as (
     insert into ${schema}.task_logs (id, task_id, kind, text) overriding system value
     select id, task_id, kind, text from n where text <> '' order by i on conflict do nothing
   )
   update ${schema}.tasks t set progress = p.progress
   from (
     select distinct on (task_id, claims) task_id, claims, progress, $2::text::uuid as engine, 1 as held
     from n where progress is not null order by task_id, claims, i desc
   ) p
   where t.id = p.task_id and t.claims = p.claims and t.engine_id is not distinct from p.engine
     and t.state is not distinct from p.held`;

const READ: Statement = (schema) =>
  `select id, task_id, created, kind, text from ${schema}.task_logs
   where task_id = $1::text::bigint and id > $2::text::bigint order by id limit $3::text::integer`;

/** Writes lines into tasks' logs, and onto the rows of those that the engine still has their last progress. */
export async function writeNotes(
  db: Database,
  notes: readonly NoteRow[],
  engineId: string,
  how: Patience,
): Promise<void> {
  const lines = notes.filter(({ text }) => text !== "").length;
  const ids = lines === 0 ? [] : await drawIds(db, "task_logs", lines, how);
  const rows = notes.map((note, i) => ({
    ...note,
    i,
    id: note.text === "" ? null : ids.shift(),
    // Cut first: it may leave half of a surrogate pair.
    kind: clean(note.kind.slice(0, 50)),
    text: clean(note.text.slice(0, TEXT_LIMIT)),
  }));
  await db.run(WRITE, [JSON.stringify(rows), engineId], how);
}

/** The log of one task, oldest first, after the line with the id `after`. */
export async function readLog(
  db: Database,
  taskId: number,
  after: number,
  limit: number,
  how: Patience,
): Promise<TaskLog[]> {
  return (await db.run<LogRow>(READ, [taskId, after, limit], how)).map(logOf);
}

/** A log takes whatever a handler prints: what Postgres' text refuses is replaced, not refused. */
function clean(text: string): string {
  return text.toWellFormed().replaceAll("\0", "\uFFFD");
}
