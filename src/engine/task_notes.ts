/**
 * What handlers log, on its way into the record.
 *
 * @module
 */

import { Batcher } from "../batcher.ts";
import { messageOf } from "../errors.ts";
import type { Note } from "../handler/context.ts";
import { logger } from "../log.ts";
import type { NoteRow } from "../store/mod.ts";

/** How notes are kept. */
export interface TaskNotesOptions {
  /** Writes notes into the record; what it throws is the end of them. */
  write(notes: readonly NoteRow[]): Promise<void>;
  /** The fence of a task that is held here: who has lost it writes no progress. */
  claimsOf(taskId: number): number | undefined;
  /** Hears of each batch that was sent: its notes, and the milliseconds until it was answered. */
  sent(notes: number, milliseconds: number): void;
}

/** Notes that may wait for Postgres; beyond them they are dropped. */
const MOST = 10_000;
/** The same for their characters. */
const MOST_BYTES = 64 * 1024 * 1024;

/** Lines for tasks' logs, and their progress: written in batches, and dropped when Postgres does not keep up. */
export class TaskNotes {
  readonly #options: TaskNotesOptions;
  readonly #batcher: Batcher<NoteRow>;
  readonly #log = logger("engine");
  #isDropping = false;

  constructor(options: TaskNotesOptions) {
    this.#options = options;
    this.#batcher = new Batcher<NoteRow>({
      sizeOf: (note) => note.text.length,
      send: options.write,
      failed: (note, error) =>
        this.#log.warn("A log line was lost", { task: note.task_id, error: messageOf(error) }),
      sent: options.sent,
    });
  }

  /** Takes a note. */
  add(taskId: number, note: Note): void {
    if (this.#batcher.waiting < MOST && this.#batcher.bytes < MOST_BYTES) {
      const { kind, text, progress = null } = note;
      const claims = this.#options.claimsOf(taskId);
      this.#batcher.add({ task_id: taskId, claims, kind, text, progress });
      this.#isDropping = false;
    } else if (!this.#isDropping) {
      this.#isDropping = true;
      this.#log.warn("Tasks log faster than Postgres takes it; lines are dropped", { task: taskId });
    }
  }

  /** Resolves when every note is written, or lost. */
  async idle(): Promise<void> {
    await this.#batcher.idle();
  }
}
