/**
 * One supervisor a `var` folder: `tq_worker.pid`, under a lock that ends with its holder. The number in it is
 * believed only while somebody holds the lock.
 *
 * @module
 */

import { join } from "node:path";
import { type Clock, systemClock } from "../clock.ts";
import { TqError } from "../errors.ts";
import { FileLock } from "../posix.ts";

/** Name of the file under `var`. */
const NAME = "tq_worker.pid";
/** Who merely looks whether it is held, holds it for a moment: it is tried so often, so many milliseconds apart. */
const TRIES = 20;
const PAUSE = 15;

/** The pid file, held. */
export class PidFile implements Disposable {
  readonly #lock: FileLock;

  private constructor(lock: FileLock) {
    this.#lock = lock;
  }

  /**
   * Takes it for this process.
   *
   * @throws {TqError} when a supervisor has it
   */
  static take(varFolder: string): PidFile {
    Deno.mkdirSync(varFolder, { recursive: true });
    const path = join(varFolder, NAME);
    const lock = FileLock.tryTake(path);
    if (lock === undefined) {
      throw new TqError(`the engine runs already, as process ${readPid(path) ?? "unknown"}`, {
        remedy: "use tq status, tq restart or tq stop",
      });
    }
    Deno.writeTextFileSync(path, `${Deno.pid}\n`);
    return new PidFile(lock);
  }

  /** As `take`, also while others look whether it is held. */
  static async takeSoon(varFolder: string, clock: Clock = systemClock): Promise<PidFile> {
    for (let tries = 1;; tries++) {
      try {
        return PidFile.take(varFolder);
      } catch (error) {
        if (!(error instanceof TqError) || tries === TRIES) throw error;
        await clock.sleep(PAUSE);
      }
    }
  }

  /** Takes it over from the program that this one has replaced. */
  static adopt(varFolder: string, descriptor: number): PidFile {
    return new PidFile(FileLock.adopt(join(varFolder, NAME), descriptor));
  }

  /** Lets it live on through a replacement of the program; returns the number to adopt it by. */
  keepThroughExec(): number {
    return this.#lock.keepThroughExec();
  }

  /** The process that holds it, or undefined when nobody does. */
  static holder(varFolder: string): number | undefined {
    const path = join(varFolder, NAME);
    return FileLock.isHeld(path) ? readPid(path) : undefined;
  }

  [Symbol.dispose](): void {
    this.#lock[Symbol.dispose]();
  }
}

function readPid(path: string): number | undefined {
  // Written right after the lock was taken: in between there is none.
  const pid = Number(Deno.readTextFileSync(path).trim());
  return Number.isInteger(pid) && pid > 0 ? pid : undefined;
}
