/**
 * The program itself, for tests from end to end: a project folder with handlers, commands that are run in it, and
 * `tq run` as a child process. Nothing of the machine's environment reaches it but what a program needs to start.
 *
 * @module
 */

import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { loadSettings, type SettingsInput } from "../../src/config.ts";
import { TaskQueue } from "../../src/publish/queue.ts";
import { stopEmbedded } from "../../src/store/embedded.ts";
import { State, type TaskRecord, TERMINAL_STATES } from "../../src/task.ts";
import { eventually, type TempFolder, tempFolder } from "./fixtures.ts";
import { childrenOf, livingOf, type Process, processTable, signal } from "./processes.ts";
import { TestRecord } from "./test_record.ts";

/** The repository that these tests are part of. */
export const REPOSITORY: string = join(import.meta.dirname ?? ".", "../..");

/** What the record is on: Postgres with Redis, Postgres alone, or the embedded database. */
export type Servers = "redis" | "postgres" | "embedded";

/** How a command ended. */
export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** What a program gets of the machine's environment. */
export function cleanEnvironment(): Record<string, string> {
  // The runner's mark, so that it finds what a test leaves running.
  const names = ["PATH", "HOME", "DENO_DIR", "TMPDIR", "LANG", "TQ_TEST_RUN_MARK"];
  const found = names.flatMap((name) => {
    const value = Deno.env.get(name);
    return value === undefined ? [] : [[name, value] as const];
  });
  return { ...Object.fromEntries(found), NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1" };
}

/** A project folder, with a record of its own. */
export class Project implements AsyncDisposable {
  readonly path: string;
  readonly environment: Readonly<Record<string, string>>;
  /** The record, where it is not embedded. */
  readonly record: TestRecord | undefined;
  readonly #folder: TempFolder;
  readonly #settings: SettingsInput;
  readonly #program: string;
  #queue: TaskQueue | undefined;

  private constructor(
    folder: TempFolder,
    record: TestRecord | undefined,
    settings: SettingsInput,
    program: string,
    environment: Readonly<Record<string, string>>,
  ) {
    this.#folder = folder;
    this.#program = program;
    this.path = folder.path;
    this.record = record;
    this.#settings = {
      TQ_PROCESSES: 1,
      // Tests run beside each other: those that want it take a port of their own.
      TQ_HTTP: "off",
      ...(record === undefined ? {} : record.settings().given),
      ...settings,
    };
    const given = Object.entries(this.#settings).map(([name, value]) => [name, String(value)]);
    this.environment = { ...cleanEnvironment(), ...environment, ...Object.fromEntries(given) };
  }

  /** Makes one; `handlers` are files by their path in the handlers folder. One engine, unless told otherwise. */
  static async make(options: {
    readonly servers: Servers;
    readonly handlers: Readonly<Record<string, string>>;
    readonly settings?: SettingsInput;
    /** The folder with the source of tq. @default this repository */
    readonly program?: string;
    /** What its processes find in their environment besides the settings. */
    readonly environment?: Readonly<Record<string, string>>;
  }): Promise<Project> {
    const { servers, handlers, settings = {}, program = REPOSITORY, environment = {} } = options;
    const folder = await tempFolder();
    for (const [name, text] of Object.entries(handlers)) {
      const path = join(folder.path, "handlers", name);
      await Deno.mkdir(dirname(path), { recursive: true });
      await Deno.writeTextFile(path, text);
    }
    const record = servers === "embedded"
      ? undefined
      : await TestRecord.make(servers === "redis" ? { redis: "shared" } : {});
    return new Project(folder, record, settings, program, environment);
  }

  get varFolder(): string {
    return join(this.path, "var");
  }

  /** A queue in the test's own process. */
  get queue(): TaskQueue {
    this.#queue ??= new TaskQueue(
      loadSettings({ flags: { ...this.#settings, TQ_ROOT: this.path }, environment: {}, folder: this.path }),
    );
    return this.#queue;
  }

  /** Runs one command to its end. */
  command(...args: string[]): Promise<Ended> {
    return this.commandIn({}, ...args);
  }

  /** As `command`, with more in its environment. */
  async commandIn(environment: Readonly<Record<string, string>>, ...args: string[]): Promise<Ended> {
    const { code, stdout, stderr } = await this.#deno(args, environment).output();
    const decoder = new TextDecoder();
    return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
  }

  /** Starts `tq run`, and waits for nothing. */
  begin(settings: SettingsInput = {}): Tq {
    const more = Object.entries(settings).map(([name, value]) => [name, String(value)]);
    return new Tq(this.#deno(["run"], Object.fromEntries(more)).spawn());
  }

  /** Starts `tq run`; resolves when its engines take tasks. */
  async start(settings: SettingsInput = {}): Promise<Tq> {
    const tq = this.begin(settings);
    try {
      const processes = Number(settings.TQ_PROCESSES ?? this.#settings.TQ_PROCESSES);
      await tq.logged(/ Engine is ready /, { count: processes, within: 60_000 });
      return tq;
    } catch (error) {
      await tq[Symbol.asyncDispose]();
      throw new Error(`tq run did not start; it said:\n${tq.log.join("\n").slice(-4000)}`, { cause: error });
    }
  }

  /** Runs a program of the test's own that may import tq, to its end. */
  async program(text: string, ...args: string[]): Promise<Ended> {
    const path = join(this.path, `program-${crypto.randomUUID()}.ts`);
    await Deno.writeTextFile(path, text.replaceAll("@tq/tq", `file://${REPOSITORY}/mod.ts`));
    const { code, stdout, stderr } = await this.#deno(args, {}, path).output();
    const decoder = new TextDecoder();
    return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
  }

  /** The task, once `is` says so of it. */
  async until(id: number, is: (task: TaskRecord) => boolean, within = 10_000): Promise<TaskRecord> {
    let last: TaskRecord | undefined;
    try {
      return await eventually(async () => {
        last = await this.queue.get(id);
        return last !== undefined && is(last) && last;
      }, { within, what: `task ${id}` });
    } catch (error) {
      throw new Error(`task ${id} is ${JSON.stringify(last)}`, { cause: error });
    }
  }

  /** The task, once it has ended. */
  ended(id: number, within = 10_000): Promise<TaskRecord> {
    return this.until(id, (task) => TERMINAL_STATES.includes(task.state), within);
  }

  /** The task, once a run of it has begun. */
  started(id: number, within = 10_000): Promise<TaskRecord> {
    return this.until(id, (task) => task.state === State.started, within);
  }

  /** How many tasks are in each state. */
  async states(): Promise<Record<string, number>> {
    assert.ok(this.record !== undefined);
    const { sql, schema } = this.record;
    const rows = await sql`select state, count(*)::integer as count from ${sql(schema)}.tasks group by state`;
    return Object.fromEntries(rows.map(({ state, count }) => [state, count]));
  }

  /** The text of a file in the project, or nothing. */
  read(name: string): string {
    try {
      return Deno.readTextFileSync(join(this.path, name));
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return "";
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#queue?.close();
    if (this.record === undefined) await stopEmbedded(this.varFolder);
    await this.record?.[Symbol.asyncDispose]();
    await this.#folder[Symbol.asyncDispose]();
  }

  #deno(
    args: string[],
    more: Record<string, string> = {},
    script = join(this.#program, "main.ts"),
  ): Deno.Command {
    return new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--quiet", script, ...args],
      cwd: this.path,
      env: { ...this.environment, ...more },
      clearEnv: true,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    });
  }
}

/** `tq run`, and what it logs. */
export class Tq implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #lines: string[] = [];
  readonly #read: Promise<unknown>;
  #status: Deno.CommandStatus | undefined;

  constructor(child: Deno.ChildProcess) {
    this.#child = child;
    const ended = child.status.then((status) => this.#status = status);
    this.#read = Promise.all([this.#collect(child.stderr), this.#collect(child.stdout), ended]);
  }

  /** The supervisor's. */
  get pid(): number {
    return this.#child.pid;
  }

  /** Lines of the log so far. */
  get log(): readonly string[] {
    return this.#lines;
  }

  /** How many lines of the log match. */
  count(pattern: RegExp): number {
    return this.#lines.filter((line) => pattern.test(line)).length;
  }

  /** Waits until so many lines of the log match; returns the last of them. */
  async logged(pattern: RegExp, options: { count?: number; within?: number } = {}): Promise<string> {
    const { count = 1, within = 10_000 } = options;
    const found = await eventually(() => {
      const lines = this.#lines.filter((line) => pattern.test(line));
      if (lines.length >= count) return lines;
      if (this.#status !== undefined) throw new Error(`tq run has ended with ${this.#status.code}`);
      return undefined;
    }, { within, what: `${pattern} in the log, ${count} times` });
    return found.at(-1)!;
  }

  /** The engines that live, the oldest first. */
  async engines(): Promise<Process[]> {
    const started = this.#started();
    const living = await childrenOf(this.pid);
    return living.filter(({ pid }) => started.includes(pid))
      .sort((a, b) => started.lastIndexOf(a.pid) - started.lastIndexOf(b.pid));
  }

  /** Sends a signal to the supervisor. */
  signal(name: Deno.Signal): void {
    signal(this.pid, name);
  }

  /** How it ended, within so many milliseconds. */
  async ended(within = 20_000): Promise<Deno.CommandStatus> {
    try {
      return await eventually(() => this.#status, { within, what: "the end of tq run" });
    } catch (error) {
      throw new Error(`tq run did not end; it said:\n${this.log.join("\n").slice(-4000)}`, { cause: error });
    }
  }

  /** TERM, and how it ended. */
  async stop(within = 20_000): Promise<Deno.CommandStatus> {
    this.signal("SIGTERM");
    return await this.ended(within);
  }

  /** Ends everything at once, and waits until it is gone. */
  async [Symbol.asyncDispose](): Promise<void> {
    const engines = this.#started();
    const table = await processTable();
    const ours = engines.flatMap((pid) => table.get(pid) ?? []).filter(({ parent }) =>
      parent === this.pid || parent === 1
    );
    if (this.#status === undefined) {
      this.signal("SIGINT");
      // One after the other: two that wait together are one.
      await this.logged(/ Stopping /, { within: 5_000 }).catch(() => {});
      this.signal("SIGINT");
      await this.ended(10_000).catch(() => this.signal("SIGKILL"));
    }
    for (const { pid } of await livingOf(ours)) signal(pid, "SIGKILL");
    await this.#read;
  }

  /** Pids of all engines so far. */
  #started(): number[] {
    return this.#lines.flatMap((line) => / Starting engine pid=(\d+)/.exec(line)?.[1] ?? []).map(Number);
  }

  async #collect(stream: ReadableStream<Uint8Array>): Promise<void> {
    let rest = "";
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      this.#lines.push(...lines);
    }
    if (rest !== "") this.#lines.push(rest);
  }
}
