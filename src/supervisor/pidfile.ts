/**
 * One supervisor a `var` folder: `tq_worker.pid`, under a lock that ends with its holder. The number in it is
 * believed only while somebody holds the lock.
 *
 * @module
 */

import { join } from "node:path";
import { TqError } from "../errors.ts";
import { FileLock } from "../posix.ts";

/** Name of the file under `var`. */
const NAME = "tq_worker.pid";

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
    try {
      Deno.statSync(path);
    } catch {
      return undefined;
    }
    using free = FileLock.tryTake(path);
    return free === undefined ? readPid(path) : undefined;
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
