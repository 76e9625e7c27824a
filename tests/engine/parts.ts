/**
 * The parts of an engine for its tests: claimed rows, and an executor on real parts with time in the test's hand.
 *
 * @module
 */

import assert from "node:assert/strict";
import { loadSettings } from "../../src/config.ts";
import { Executor, type ExecutorOptions } from "../../src/engine/executor.ts";
import type { Held } from "../../src/engine/held.ts";
import { Journal, journalFolder, readJournal } from "../../src/engine/journal.ts";
import type { Outcome } from "../../src/engine/outcome.ts";
import type { Note, Task } from "../../src/handler/context.ts";
import { type HandlerFunction, HandlerRegistry } from "../../src/handler/registry.ts";
import { TaskQueue } from "../../src/publish/queue.ts";
import type { ClaimedRow } from "../../src/store/mod.ts";
import { type TempFolder, tempFolder, TestClock } from "../support/fixtures.ts";

/** A claimed row, with changes. */
export function rowOf(id: number, changes: Partial<ClaimedRow> = {}): ClaimedRow {
  return {
    id,
    claims: 1,
    attempts: 0,
    max_attempts: 5,
    timeout_seconds: 60,
    channel: "c",
    model: "test",
    fname: "run",
    data: `{"id":${id}}`,
    trace_parent: null,
    waited_ms: 0,
    ...changes,
  };
}

/** Rows with the ids `from`…`to`. */
export function rowsOf(from: number, to: number, changes: Partial<ClaimedRow> = {}): ClaimedRow[] {
  return Array.from({ length: to - from + 1 }, (_, i) => rowOf(from + i, changes));
}

/** A run of a handler that the test ends. */
export interface Run {
  readonly task: Task;
  resolve(): void;
  reject(error: unknown): void;
}

/** An executor on a real journal and a real registry, with what came out of it. */
export class Bench implements AsyncDisposable {
  readonly clock: TestClock;
  readonly executor: Executor;
  readonly journal: Journal;
  /** How tasks ended, in order. */
  readonly ended: { readonly id: number; readonly claims: number; readonly outcome: Outcome }[] = [];
  /** Tasks that were given back because their claim ran out. */
  readonly expired: number[] = [];
  readonly notes: ({ readonly id: number } & Note)[] = [];
  /** Runs of `test run`, which end when the test says so, in order of their start. */
  readonly runs: Run[] = [];
  /** What `ended` got, for `forget`. */
  readonly held: Held[] = [];
  readonly engineId = crypto.randomUUID();
  readonly #folder: TempFolder;

  private constructor(
    folder: TempFolder,
    workers: number,
    handler: HandlerFunction | undefined,
    clock: TestClock,
  ) {
    this.#folder = folder;
    this.clock = clock;
    this.journal = new Journal(folder.path, this.engineId, workers);
    const settings = loadSettings({
      flags: { TQ_DATABASE_URL: "postgres://127.0.0.1:1/none" },
      environment: {},
      folder: folder.path,
    });
    const options: ExecutorOptions = {
      workers,
      registry: new HandlerRegistry(
        `${folder.path}/handlers`,
        new Map([["test", handler ?? ((task) => this.#run(task))]]),
      ),
      queue: new TaskQueue(settings),
      maxResultBytes: 1000,
      retry: { delay: 60, factor: 2 },
      journal: this.journal,
      clock: this.clock,
      ended: (held, outcome) => {
        this.held.push(held);
        this.ended.push({ id: held.row.id, claims: held.claims, outcome });
      },
      expired: (held) => this.expired.push(...held.map((one) => one.row.id)),
      note: (id, note) => this.notes.push({ id, ...note }),
    };
    this.executor = new Executor(options);
  }

  /** Makes one; its handler is `handler`, else one that the test ends. */
  static async make(workers: number, handler?: HandlerFunction, clock = new TestClock()): Promise<Bench> {
    return new Bench(await tempFolder(), workers, handler, clock);
  }

  /** Where the engine keeps its files. */
  get varFolder(): string {
    return this.#folder.path;
  }

  /** Claimed at this moment. */
  take(...rows: ClaimedRow[]): Promise<void> {
    this.executor.take(rows, this.clock.monotonic());
    return this.settle();
  }

  /** Lets promises run their course, without moving time. */
  settle(): Promise<void> {
    return this.clock.advance(0);
  }

  /** The run of one task; the newest if there are several. */
  run(id: number): Run {
    const run = this.runs.findLast((one) => one.task.id === id);
    assert.ok(run !== undefined, `task ${id} did not start`);
    return run;
  }

  /** Ids in the order of their start. */
  get started(): number[] {
    return this.runs.map((run) => run.task.id);
  }

  /** Ids that the journal has on disk. */
  get journaled(): number[] {
    return readJournal(`${journalFolder(this.#folder.path)}/${this.engineId}`).sort((a, b) => a - b);
  }

  /** How one task ended. */
  outcome(id: number): Outcome {
    const ends = this.ended.filter((end) => end.id === id);
    assert.equal(ends.length, 1, `task ${id} ended ${ends.length} times`);
    return ends[0]!.outcome;
  }

  #run(task: Task): Promise<void> {
    return new Promise((resolve, reject) => this.runs.push({ task, resolve, reject }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.journal[Symbol.dispose]();
    await this.#folder[Symbol.asyncDispose]();
  }
}
