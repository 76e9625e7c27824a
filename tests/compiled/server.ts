/**
 * A server as a person sets it up: a folder with the one executable and `handlers/` in it, and nothing else. Neither
 * Deno nor Node is found there, nor a home folder with their caches.
 *
 * @module
 */

import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { stopEmbedded } from "../../src/store/embedded.ts";
import type { SupervisorStatus } from "../../src/supervisor/status_file.ts";
import { type TaskRecord, TERMINAL_STATES } from "../../src/task.ts";
import { eventually } from "../support/fixtures.ts";
import { cleanEnvironment, type Ended } from "../support/tq.ts";
import { compiledTq } from "./binary.ts";

/** How a server is made. */
export interface ServerOptions {
  /** Files by their path in the handlers folder. */
  readonly handlers: Readonly<Record<string, string>>;
  /** What stands in the environment of every command. @default nothing: the embedded database */
  readonly settings?: Readonly<Record<string, string>>;
  /** Who commands run as. @default whoever runs the test */
  readonly user?: { readonly uid: number; readonly gid: number };
  /** The name of the project's folder. @default "project" */
  readonly name?: string;
  /** What stands in that folder as `tq`. @default the compiled executable */
  readonly executable?: string;
}

/** What `tq status --json` prints. */
export interface Status {
  readonly running: boolean;
  readonly pid: number | null;
  readonly supervisor: SupervisorStatus | null;
  readonly record: { readonly reachable: boolean; readonly backlog: Readonly<Record<string, number>> };
}

/** See the module. `await using server = await Server.make({ handlers })` */
export class Server implements AsyncDisposable {
  /** The project's folder. */
  readonly path: string;
  /** The executable, in that folder. */
  readonly tq: string;
  readonly #base: string;
  readonly #options: ServerOptions;

  private constructor(base: string, options: ServerOptions) {
    this.#base = base;
    this.#options = options;
    this.path = join(base, options.name ?? "project");
    this.tq = join(this.path, "tq");
  }

  /** Sets one up; starts nothing. */
  static async make(options: ServerOptions): Promise<Server> {
    const executable = options.executable ?? await compiledTq();
    // Beside the executable: one file system, and a place that every user may enter.
    const base = await Deno.makeTempDir({ prefix: "server_", dir: dirname(executable) });
    await Deno.chmod(base, 0o755);
    const server = new Server(base, options);
    await Deno.mkdir(server.path);
    await Deno.link(executable, server.tq);
    for (const [name, text] of Object.entries(options.handlers)) await server.write(`handlers/${name}`, text);
    return server;
  }

  /** Where run-time files are. */
  get varFolder(): string {
    return this.#options.settings?.TQ_VAR ?? join(this.path, "var");
  }

  /** Makes a folder beside the project that belongs to the user. */
  async folder(name: string): Promise<string> {
    const path = join(this.#base, name);
    await Deno.mkdir(path);
    const { user } = this.#options;
    if (user !== undefined) await Deno.chown(path, user.uid, user.gid);
    return path;
  }

  /** Writes a file of the project. */
  async write(name: string, text: string): Promise<void> {
    const path = join(this.path, name);
    await Deno.mkdir(dirname(path), { recursive: true });
    await Deno.writeTextFile(path, text);
  }

  /** The lines of a file that handlers wrote; none when there is no such file. */
  lines(name: string): string[] {
    try {
      return Deno.readTextFileSync(join(this.path, name)).split("\n").slice(0, -1);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return [];
      throw error;
    }
  }

  /** The environment of every command: all of it. */
  get environment(): Record<string, string> {
    // The runner's mark, so that it finds what a test leaves running.
    const { TQ_TEST_RUN_MARK } = cleanEnvironment();
    return {
      // Where it is unset, programs are looked for in /bin and /usr/bin.
      PATH: "/nowhere",
      // Servers of other tests may run beside this one.
      TQ_HTTP: "off",
      ...(TQ_TEST_RUN_MARK === undefined ? {} : { TQ_TEST_RUN_MARK }),
      ...this.#options.settings,
    };
  }

  /** Runs `tq` to its end, in the project's folder unless told otherwise. */
  async run(args: readonly string[], how: { cwd?: string; settings?: Record<string, string> } = {}) {
    const { code, stdout, stderr } = await new Deno.Command(this.tq, {
      args: [...args],
      cwd: how.cwd ?? this.path,
      env: { ...this.environment, ...how.settings },
      clearEnv: true,
      stdin: "null",
      ...this.#options.user,
    }).output();
    const decoder = new TextDecoder();
    return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) } satisfies Ended;
  }

  /** Runs `tq` in the project's folder; it must succeed, and say nothing on stderr. What it printed. */
  async good(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.run(args);
    assert.deepEqual([code, stderr], [0, ""], `tq ${args.join(" ")} printed ${stdout}`);
    return stdout;
  }

  /** Publishes a task; its id. */
  async publish(model: string, fname: string, data: object = {}): Promise<number> {
    const printed = await this.good("publish", model, fname, JSON.stringify(data));
    assert.match(printed, /^\d+\n$/);
    return Number(printed);
  }

  /** What `tq task` says of it. */
  async task(id: number): Promise<TaskRecord> {
    return JSON.parse(await this.good("task", String(id), "--json"));
  }

  /** The task, once it has ended. */
  async ended(id: number, within = 60_000): Promise<TaskRecord> {
    return await eventually(async () => {
      const task = await this.task(id);
      return TERMINAL_STATES.includes(task.state) && task;
    }, { within, what: `the end of task ${id}` });
  }

  /** What `tq status` says. */
  async status(): Promise<Status> {
    return JSON.parse((await this.run(["status", "--json"])).stdout);
  }

  /** What the supervisor says of itself. */
  async supervisor(): Promise<SupervisorStatus> {
    const { supervisor } = await this.status();
    assert.ok(supervisor !== null, "no supervisor runs");
    return supervisor;
  }

  /** Ends whatever was started here, and removes all. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.run(["stop", "--now"]);
    const wasStarted = await Deno.stat(this.varFolder).then(() => true, () => false);
    if (wasStarted) await stopEmbedded(this.varFolder);
    await Deno.remove(this.#base, { recursive: true });
  }
}
