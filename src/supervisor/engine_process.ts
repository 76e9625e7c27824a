/**
 * One engine, as its supervisor sees it.
 *
 * @module
 */

import { type Clock, systemClock, within } from "../clock.ts";
import { messageOf, TqError, UnreachableError } from "../errors.ts";
import type { EngineReady } from "../engine/engine.ts";
import {
  type EngineCounted,
  type EngineStatus,
  type FromEngine,
  linesOf,
  parseFromEngine,
  type ToEngine,
} from "../engine/protocol.ts";
import { logger } from "../log.ts";
import { selfCommand } from "../self.ts";
import type { Death } from "../store/mod.ts";
import type { EngineReport } from "./status_file.ts";

/** How an engine process is started. */
export interface EngineProcessOptions {
  /** Settings for its environment. */
  readonly environment: Readonly<Record<string, string>>;
  /** Where it runs: this process's own folder may be gone when the root has become another one. */
  readonly folder: string;
  /** Whether it refuses to start when a handler module does not import. @default false */
  readonly strict?: boolean;
  /** The suspect that it runs, and nothing else. */
  readonly only?: number;
  /** Takes the lines of its log. */
  writeLine(line: string): void;
  /** Takes what it has counted. */
  counted?(engine: EngineProcess, counted: EngineCounted): void;
  readonly clock?: Clock;
}

/** A child process that runs the hidden command `engine`. */
export class EngineProcess {
  /** Undefined when the system would not start one. */
  readonly #child: Deno.ChildProcess | undefined;
  readonly #token = `tq:${crypto.randomUUID()} `;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array> | undefined;
  readonly #options: EngineProcessOptions;
  readonly #clock: Clock;
  readonly #log = logger("supervisor");
  readonly #ready = Promise.withResolvers<EngineReady>();
  readonly #startedAt: number;
  #identity: EngineReady | undefined;
  #status: EngineStatus | undefined;
  #askedAt: number | undefined;
  #ending: string | undefined;
  /** Whether it was told to end. */
  isDraining = false;
  /** What its tasks are told, when it was killed from here. */
  death: Death | undefined;
  /** How it ended, after all it printed was read. */
  readonly exited: Promise<Deno.CommandStatus>;

  constructor(options: EngineProcessOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#startedAt = this.#clock.monotonic();
    // Rejected when it ends early; whoever waits hears of it, and nobody has to.
    this.#ready.promise.catch(() => {});
    this.#child = this.#spawn();
    this.#stdin = this.#child?.stdin.getWriter();
    this.#stdin?.closed.catch(() => {});
    this.exited = this.#watch();
  }

  /** 0 when the system would not start one. */
  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** Whether it runs one suspect, and ends by itself. */
  get isAlone(): boolean {
    return this.#options.only !== undefined;
  }

  /** Why it ended, in one line, once it has. */
  get ending(): string | undefined {
    return this.#ending;
  }

  /** Who it is, once it is ready. */
  get identity(): EngineReady | undefined {
    return this.#identity;
  }

  /** What it last said of itself. */
  get status(): EngineStatus | undefined {
    return this.#status;
  }

  /** What the supervisor's status tells of it. */
  get report(): EngineReport {
    return {
      pid: this.pid,
      id: this.#identity?.id ?? null,
      commit: this.#identity?.commit ?? null,
      state: this.isDraining ? "draining" : this.#identity === undefined ? "starting" : "ready",
      status: this.#status ?? null,
    };
  }

  /** Milliseconds for which it has not answered: 0 when it has. */
  get silentFor(): number {
    return this.#askedAt === undefined ? 0 : this.#clock.monotonic() - this.#askedAt;
  }

  /** Resolves when it takes tasks; rejects when it ends before. */
  get ready(): Promise<EngineReady> {
    return this.#ready.promise;
  }

  /** Milliseconds since its start. */
  get age(): number {
    return this.#clock.monotonic() - this.#startedAt;
  }

  /** Tells it something; a dead engine does not hear. */
  send(message: ToEngine): void {
    if (message.type === "held") this.#askedAt ??= this.#clock.monotonic();
    this.#stdin?.write(new TextEncoder().encode(JSON.stringify(message) + "\n")).catch(() => {});
  }

  /** Tells it to take no more tasks and to end those it runs, within `seconds` (null: their own limits). */
  drain(seconds: number | null): void {
    this.isDraining = true;
    this.send({ type: "drain", seconds });
  }

  /** Ends it at once; unless told otherwise that is nobody's fault. */
  kill(death: Death = { reason: "worker engine restarting" }): void {
    this.death ??= death;
    try {
      this.#child?.kill("SIGKILL");
    } catch {
      // It has ended already.
    }
  }

  #spawn(): Deno.ChildProcess | undefined {
    const { environment, folder, strict, only } = this.#options;
    const { executable, args } = selfCommand("engine");
    try {
      return new Deno.Command(executable, {
        args,
        cwd: folder,
        env: {
          ...environment,
          TQ_INTERNAL_TOKEN: this.#token,
          ...(strict ? { TQ_INTERNAL_STRICT: "1" } : {}),
          ...(only === undefined ? {} : { TQ_INTERNAL_ONLY: String(only) }),
        },
        stdin: "piped",
        stdout: "piped",
        stderr: "piped",
      }).spawn();
    } catch (error) {
      // Out of memory or of processes, or the folder is being replaced: as a death it is tried again, with a pause.
      this.#ending = `no process could be started: ${messageOf(error)}`;
      return undefined;
    }
  }

  async #watch(): Promise<Deno.CommandStatus> {
    const status = await this.#ended();
    this.#ending ??= this.death?.reason ?? status.signal ?? `exit code ${status.code}`;
    this.#ready.reject(
      new TqError(`the engine ended before it was ready (${this.#ending})`, { remedy: "see the log" }),
    );
    this.#stdin?.close().catch(() => {});
    return status;
  }

  async #ended(): Promise<Deno.CommandStatus> {
    if (this.#child === undefined) return { success: false, code: 1, signal: null };
    const read = [this.#read(this.#child.stdout), this.#read(this.#child.stderr)];
    const status = await this.#child.status;
    // A process that the engine started may hold its pipes open for ever; the journal, not they, tell how it ended.
    await within(this.#clock, 200, Promise.all(read));
    return status;
  }

  async #read(stream: ReadableStream<Uint8Array>): Promise<void> {
    try {
      for await (const line of linesOf(stream, this.#token)) {
        const message = parseFromEngine(line, this.#token);
        if (message === undefined) {
          logger("handler").info("Handler printed", { engine: this.pid, text: line });
        } else this.#hear(message);
      }
    } catch (error) {
      this.#log.warn("Cannot read what an engine prints", { engine: this.pid, error });
    }
  }

  #hear(message: FromEngine): void {
    switch (message.type) {
      case "log":
        return this.#options.writeLine(message.line);
      case "counted":
        return this.#options.counted?.(this, message);
      case "status":
        this.#askedAt = undefined;
        this.#status = message;
        return;
      case "ready":
        this.#identity = message;
        return this.#ready.resolve(message);
      case "refused":
        this.#ending = message.reason;
        return this.#ready.reject(
          new (message.passing ? UnreachableError : TqError)(`the engine cannot start: ${message.reason}`),
        );
    }
  }
}
