/**
 * The base of servers that a test starts for itself, to restart, kill, fill or empty them.
 *
 * @module
 */

import { join } from "node:path";
import { freePort } from "./free_port.ts";
import { childrenOf, livingOf, processTable, signal } from "./processes.ts";

/** How a private server is ended: `fast` lets it tidy up, `immediate` does not, `kill` is kill -9. */
export type Ending = "fast" | "immediate" | "kill";

/** Settings of a private server, as its configuration file names them. */
export type Settings = Readonly<Record<string, string | number | boolean>>;

const START_BOUND = 30_000;
const STOP_BOUND = 30_000;

/** A server of one's own, in a temporary folder, on a port that nobody else uses. Disposing it leaves nothing behind. */
export abstract class PrivateServer implements AsyncDisposable {
  /** Everything it keeps is in here. */
  readonly folder: string;
  /** Kept over restarts. */
  readonly port: number;
  /** The file that holds what it prints. */
  readonly log: string;
  readonly #name: string;
  #child: Deno.ChildProcess | undefined;

  constructor(name: string) {
    this.#name = name;
    const run = Deno.env.get("TQ_TEST_RUN_FOLDER");
    // As root the server runs as somebody else, who may not be let into root's own TMPDIR.
    const parent = run ?? (Deno.uid() === 0 ? "/tmp" : undefined);
    this.folder = Deno.makeTempDirSync({
      prefix: `tq_${name}_`,
      ...(parent !== undefined && { dir: parent }),
    });
    this.port = freePort();
    this.log = join(this.folder, "log");
  }

  /** The program and its arguments. */
  protected abstract command(): string[];
  /** Whether the process of this pid serves. */
  protected abstract isReady(pid: number): Promise<boolean>;
  /** What must be there before the first start. */
  protected prepare(): Promise<void> {
    return Promise.resolve();
  }
  /** Who the server runs as. */
  protected owner(): { uid?: number; gid?: number } {
    return {};
  }
  /** The signal for a gentle or a rough end. */
  protected abstract signalFor(mode: "fast" | "immediate"): Deno.Signal;

  /** The server's process, while it runs. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Starts the server; resolves when it serves. */
  async start(): Promise<void> {
    if (this.#child !== undefined) throw new Error(`the private ${this.#name} runs already`);
    await this.prepare();
    const [program = "", ...args] = this.command();
    // The shell only redirects, so that no pipe of ours can fill up and stop the server; exec keeps the pid.
    const child = new Deno.Command("/bin/sh", {
      args: ["-c", 'exec "$@" >>"$0" 2>&1', this.log, program, ...args],
      cwd: this.folder,
      stdin: "null",
      stdout: "null",
      stderr: "null",
      ...this.owner(),
    }).spawn();
    this.#child = child;
    child.status.then(() => {
      if (this.#child === child) this.#child = undefined;
    });
    const deadline = performance.now() + START_BOUND;
    while (!(await this.isReady(child.pid))) {
      if (this.#child !== child || performance.now() > deadline) {
        await this.kill();
        const said = await Deno.readTextFile(this.log).catch(() => "nothing");
        throw new Error(`the private ${this.#name} did not start; it said:\n${said.slice(-2000)}`);
      }
      await pause(10);
    }
  }

  /** Ends the server and waits until it is gone; nothing happens when it does not run. */
  async stop(mode: "fast" | "immediate" = "fast"): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    signal(child.pid, this.signalFor(mode));
    const timer = setTimeout(() => signal(child.pid, "SIGKILL"), STOP_BOUND);
    await child.status;
    clearTimeout(timer);
  }

  /** kill -9, and waits until its children are gone as well. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    // Halted first: a child that is forked between the look and the kill would be missed.
    signal(child.pid, "SIGSTOP");
    while ((await processTable()).get(child.pid)?.stopped === false && this.#child === child) await pause(1);
    const children = await childrenOf(child.pid);
    signal(child.pid, "SIGKILL");
    await child.status;
    // Postgres' children leave by themselves, but not out of the middle of a computation.
    const deadline = performance.now() + 2000;
    for (let left = children; left.length > 0; left = await livingOf(left)) {
      if (performance.now() > deadline) { for (const { pid } of left) signal(pid, "SIGKILL"); }
      await pause(5);
    }
  }

  /** Ends the server in the given way and starts it again, on the same port. */
  async restart(ending: Ending = "fast"): Promise<void> {
    if (ending === "kill") await this.kill();
    else await this.stop(ending);
    await this.start();
  }

  /** Ends the server and removes all it kept. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop("immediate");
    await Deno.remove(this.folder, { recursive: true });
  }

  /** The same in one step that waits for nothing, for a program on its way out. */
  abandon(): void {
    if (this.#child !== undefined) signal(this.#child.pid, this.signalFor("immediate"));
    try {
      Deno.removeSync(this.folder, { recursive: true });
    } catch {
      // The dying server still writes: a few files stay in the temporary folder.
    }
  }
}

/** Starts `server`, and removes it when that fails. */
export async function started<S extends PrivateServer>(server: S): Promise<S> {
  try {
    await server.start();
    return server;
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
