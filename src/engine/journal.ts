/**
 * Which tasks are inside their handlers, on disk, so that the death of an engine is charged to them alone.
 *
 * One file an engine, locked while it lives: a table of ids, one place for each task that can run at once, 0 where
 * there is none. It is written before handlers are entered, in one write into the page cache: it survives the
 * engine's death, and its supervisor's. (A line over the engine's stdout, as first designed, makes a supervisor
 * read and keep thousands of lines a second, blocks the engine when that is slow, and is lost with it.)
 *
 * @module
 */

import { join } from "node:path";
import { messageOf } from "../errors.ts";
import { logger } from "../log.ts";
import { FileLock } from "../posix.ts";

/** The folder of journals under `var`. */
export function journalFolder(varFolder: string): string {
  return join(varFolder, "engines");
}

/** Whether a file of that name is a journal: engines have no other names, and an unfinished one begins with a dot. */
export function isJournal(name: string): boolean {
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(name);
}

/** An engine's journal, and with its lock the proof that the engine lives. */
export class Journal implements Disposable {
  readonly #lock: FileLock;
  readonly #file: Deno.FsFile;
  readonly #ids: Float64Array;
  readonly #bytes: Uint8Array;
  readonly #free: number[];
  #dirty = false;
  #closed = false;
  #failing = false;

  /** @param places tasks that can be inside their handlers at once */
  constructor(varFolder: string, engineId: string, places: number) {
    const folder = journalFolder(varFolder);
    Deno.mkdirSync(folder, { recursive: true });
    const path = join(folder, engineId);
    // It gets its name once it is locked: an engine whose journal is not locked is taken for dead.
    const lock = FileLock.isHeld(path) ? undefined : FileLock.tryTake(join(folder, `.${engineId}`));
    if (lock === undefined) throw new Error(`the journal ${path} is locked`);
    this.#lock = lock;
    let file: Deno.FsFile | undefined;
    try {
      this.#file = file = Deno.openSync(lock.path, { write: true });
      this.#ids = new Float64Array(places);
      this.#bytes = new Uint8Array(this.#ids.buffer);
      this.#free = Array.from({ length: places }, (_, i) => places - 1 - i);
      // Takes its space on the disk now: a full one refuses the engine.
      this.#write();
      lock.rename(path);
    } catch (error) {
      file?.close();
      Deno.removeSync(lock.path);
      lock[Symbol.dispose]();
      throw error;
    }
  }

  /** Notes that a task is about to be inside its handler; returns its place. Written with the next `write`. */
  enter(id: number): number {
    const place = this.#free.pop();
    if (place === undefined) throw new Error("the journal is full");
    this.#ids[place] = id;
    this.#dirty = true;
    return place;
  }

  /** Notes that the task at `place` has left its handler. */
  leave(place: number): void {
    this.#ids[place] = 0;
    this.#free.push(place);
    this.#dirty = true;
  }

  /**
   * Writes what was noted, if anything and while there is a file. A disk that refuses it stops no task: until it
   * takes one, a death is charged to the tasks that were written last.
   */
  write(): void {
    if (!this.#dirty || this.#closed) return;
    try {
      this.#write();
      this.#failing = false;
    } catch (error) {
      if (this.#failing) return;
      this.#failing = true;
      logger("engine").error("Cannot write the journal; tasks run all the same", { error: messageOf(error) });
    }
  }

  #write(): void {
    this.#file.seekSync(0, Deno.SeekMode.Start);
    this.#file.writeSync(this.#bytes);
    this.#dirty = false;
  }

  /** Removes the file: the engine has ended well. */
  [Symbol.dispose](): void {
    this.#closed = true;
    this.#file.close();
    Deno.removeSync(this.#lock.path);
    this.#lock[Symbol.dispose]();
  }
}

/** The ids in a dead engine's journal. */
export function readJournal(path: string): number[] {
  const bytes = Deno.readFileSync(path);
  return [...new Float64Array(bytes.buffer, 0, Math.floor(bytes.byteLength / 8))].filter((id) => id > 0);
}
