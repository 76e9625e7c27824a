/**
 * What handlers write down besides how their task ended: log lines and progress.
 *
 * @module
 */

import type { Database, Patience, Statement } from "./database.ts";
import { logOf, type LogRow } from "./row.ts";
import type { TaskLog } from "../task.ts";

/** One line, or a progress. */
export interface NoteRow {
  readonly task_id: number;
  readonly kind: string;
  readonly text: string;
  /** 0…1, or null. */
  readonly progress: number | null;
}

/** A log line keeps this many characters. */
const TEXT_LIMIT = 64 * 1024;

const WRITE: Statement = (schema) =>
  `with n as (
     select * from jsonb_to_recordset($1::text::jsonb) as n(i integer, task_id bigint, kind text, text text, progress real)
   ), lines as (
     insert into ${schema}.task_logs (task_id, kind, text)
     select task_id, kind, text from n where text <> '' order by i
   )
   update ${schema}.tasks t set progress = p.progress
   from (select distinct on (task_id) task_id, progress from n where progress is not null order by task_id, i desc) p
   where t.id = p.task_id and t.state is not distinct from 1`;

const READ: Statement = (schema) =>
  `select id, task_id, created, kind, text from ${schema}.task_logs
   where task_id = $1::text::bigint and id > $2::text::bigint order by id limit $3::text::integer`;

/** Writes lines into tasks' logs and their last progress onto their rows. */
export async function writeNotes(db: Database, notes: readonly NoteRow[], how: Patience): Promise<void> {
  const rows = notes.map((note, i) => ({
    ...note,
    i,
    kind: clean(note.kind).slice(0, 50),
    text: clean(note.text).slice(0, TEXT_LIMIT),
  }));
  await db.run(WRITE, [JSON.stringify(rows)], how);
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
