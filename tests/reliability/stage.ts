/**
 * What the windows are opened with: engines in this process behind a network that can be broken, a handler that
 * the test ends, and locks that stop a statement inside Postgres.
 *
 * @module
 */

import { join } from "node:path";
import postgres from "npm:postgres@3.4.9";
import type { SettingsInput } from "../../src/config.ts";
import { createDispatch, type Dispatch } from "../../src/dispatch/mod.ts";
import { Engine } from "../../src/engine/engine.ts";
import type { Task } from "../../src/handler/context.ts";
import type { TaskQueue } from "../../src/publish/queue.ts";
import type { Store } from "../../src/store/mod.ts";
import type { TaskRecord } from "../../src/task.ts";
import { Outlook } from "../../src/upkeep/outlook.ts";
import type { UpkeepOptions } from "../../src/upkeep/upkeep_service.ts";
import { eventually, type TcpProxy, tcpProxy, type TempFolder, tempFolder } from "../support/fixtures.ts";
import { recordOf } from "../support/tasks.ts";
import { TestRecord } from "../support/test_record.ts";

/** The channel of `rel run`. */
export const CHANNEL = "tq_app_handler";
/** What the windows need. */
export const NEEDS = ["postgres", "redis"] as const;
/** A client that was abandoned amid a fault may see its socket's end after the test's. */
export const CUT = { sanitizeOps: false, sanitizeResources: false } as const;

/** A run of the handler `rel run`, which ends when the test says so. */
export interface GatedRun {
  readonly task: Task;
  resolve(): void;
  reject(error: unknown): void;
}

const shared = globalThis as unknown as { tqReliability?: (task: Task) => Promise<void> };

/** See the module. One at a time: its handler is found through `globalThis`. */
export class Stage implements AsyncDisposable {
  readonly record: TestRecord;
  readonly store: Store;
  readonly dispatch: Dispatch;
  readonly queue: TaskQueue;
  /** The engines' way to Postgres. */
  readonly network: TcpProxy;
  /** All runs, in order of their start. */
  readonly runs: GatedRun[] = [];
  readonly #folder: TempFolder;
  readonly #engines: Engine[] = [];

  private constructor(record: TestRecord, folder: TempFolder) {
    this.record = record;
    this.#folder = folder;
    this.store = record.store();
    this.dispatch = createDispatch(record.settings(), record.install, this.store.wakeup);
    this.queue = record.queue();
    this.network = tcpProxy(record.url);
    shared.tqReliability = (task) =>
      new Promise((resolve, reject) => this.runs.push({ task, resolve, reject }));
  }

  static async make(): Promise<Stage> {
    const folder = await tempFolder();
    await Deno.mkdir(join(folder.path, "handlers"));
    await Deno.writeTextFile(
      join(folder.path, "handlers/rel.js"),
      "export function run(task) { return globalThis.tqReliability(task); }",
    );
    return new Stage(await TestRecord.make({ redis: "shared" }), folder);
  }

  /** Starts an engine in this process. */
  async engine(settings: SettingsInput = {}): Promise<Engine> {
    const engine = new Engine(this.record.settings({
      TQ_ROOT: this.#folder.path,
      TQ_DATABASE_URL: this.network.url,
      TQ_SUBSCRIBE: CHANNEL,
      ...settings,
    }));
    this.#engines.push(engine);
    await engine.start(join(this.#folder.path, "var"));
    return engine;
  }

  /** What upkeep is made of, as the leader. */
  upkeep(changes: Partial<UpkeepOptions> = {}): UpkeepOptions {
    return {
      store: this.store,
      dispatch: this.dispatch,
      settings: this.record.settings(),
      leader: { isLeader: true },
      outlook: new Outlook(this.store),
      gapless: () => Infinity,
      gaplessUntil: () => Infinity,
      ...changes,
    };
  }

  /** The runs of one task, of which there must be `count`. */
  async run(id: number, count = 1, within = 5000): Promise<GatedRun> {
    return await eventually(() => this.runsOf(id)[count - 1], {
      what: `run ${count} of task ${id}`,
      within,
    });
  }

  /** The runs of one task so far. */
  runsOf(id: number): GatedRun[] {
    return this.runs.filter((run) => run.task.id === id);
  }

  /** The task, once it is in this state. */
  async until(id: number, state: number, within = 5000): Promise<TaskRecord> {
    return await eventually(async () => {
      const task = await recordOf(this.store, id);
      return task.state === state && task;
    }, { within, what: `task ${id} to be in state ${state}` });
  }

  /** Makes a row look as if nothing had touched it for so many seconds: time passes. */
  async age(id: number, seconds: number): Promise<void> {
    await this.record.run(
      `update :schema.tasks set modified = modified - interval '${seconds} seconds',
         started_at = started_at - interval '${seconds} seconds' where id = ${id}`,
    );
  }

  /** Makes an engine's last beat older: time passes. */
  async ageBeat(engineId: string, seconds: number): Promise<void> {
    await this.record.run(
      `update :schema.engines set beat_at = beat_at - interval '${seconds} seconds' where id = '${engineId}'`,
    );
  }

  /** What the record says an engine holds; as its supervisor's beat would tell it. */
  async beat(engine: Engine): Promise<void> {
    const { held } = await this.store.beat([engine.id]);
    await engine.reconcile(held.get(engine.id) ?? []);
  }

  /** Stops statements that change this task, inside Postgres. */
  holdTask(id: number): Promise<Hold> {
    return Hold.take(this.record, `select from ${this.record.schema}.tasks where id = ${id} for update`);
  }

  /** Stops all statements that change tasks, inside Postgres. */
  holdTasks(): Promise<Hold> {
    return Hold.take(this.record, `lock table ${this.record.schema}.tasks in share mode`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { resolve } of this.runs) resolve();
    await this.network.resume();
    for (const engine of this.#engines) await engine.drain(0);
    delete shared.tqReliability;
    await this.dispatch.close();
    await this.network[Symbol.asyncDispose]();
    await this.record[Symbol.asyncDispose]();
    await this.#folder[Symbol.asyncDispose]();
  }
}

/** A lock in Postgres: statements wait behind it until it is released. */
export class Hold implements AsyncDisposable {
  readonly #sql: postgres.Sql;
  readonly #record: TestRecord;
  readonly #pid: number;
  #held = true;

  private constructor(sql: postgres.Sql, record: TestRecord, pid: number) {
    this.#sql = sql;
    this.#record = record;
    this.#pid = pid;
  }

  static async take(record: TestRecord, statement: string): Promise<Hold> {
    const sql = postgres(record.url, { max: 1, fetch_types: false, onnotice() {} });
    await sql.unsafe("begin");
    await sql.unsafe(statement);
    const [row] = await sql`select pg_backend_pid() as pid`;
    return new Hold(sql, record, row!.pid);
  }

  /** Resolves when `count` statements wait behind it. */
  async waiters(count = 1): Promise<void> {
    await eventually(async () => {
      const rows = await this.#record.sql`
        select pid from pg_stat_activity where ${this.#pid} = any(pg_blocking_pids(pid))`;
      return rows.length >= count;
    }, { what: `${count} statements that wait for a lock` });
  }

  /** Lets them go on. */
  async release(): Promise<void> {
    if (!this.#held) return;
    this.#held = false;
    await this.#sql.unsafe("commit");
    await this.#sql.end({ timeout: 1 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }
}
