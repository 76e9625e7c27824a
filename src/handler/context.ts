/**
 * The task as its handler sees it.
 *
 * @module
 */

import { InputError, messageOf } from "../errors.ts";
import { encodeJson } from "../publish/encode.ts";
import { checkDelay, type PublishOptions } from "../publish/options.ts";
import { defaultQueue, type TaskQueue, type WebRequestOptions } from "../publish/queue.ts";
import type { JsonObject } from "../task.ts";

/** How a handler said that its task ends. */
export type Verdict =
  | { readonly kind: "completed"; readonly result: string | undefined }
  | { readonly kind: "failed"; readonly reason: string }
  | {
    readonly kind: "retry";
    readonly reason: string | undefined;
    readonly delaySeconds: number | undefined;
  };

/** What a handler says besides its verdict. */
export interface Note {
  /** `log`, `error`, `progress`, … */
  readonly kind: string;
  /** A line for the task's log; none when empty. */
  readonly text: string;
  /** 0…1 */
  readonly progress?: number;
}

/** What stands behind a task: the engine, or a test. */
export interface TaskHost {
  /** The queue that the handler publishes to. */
  readonly queue: Pick<TaskQueue, "publish">;
  /** The largest result, in bytes of JSON. */
  readonly maxResultBytes: number;
  /** The signal that aborts this run; made when first asked for. */
  signal(taskId: number): AbortSignal;
  /** Takes a line for the task's log, or its progress. */
  note(taskId: number, note: Note): void;
}

/** What a task is made of when its handler starts. */
export interface TaskSeed {
  /** The task's id. */
  readonly id: number;
  /** `app.Model` or `app`. */
  readonly model: string;
  /** The function that runs it. */
  readonly fname: string;
  /** The channel it came from. */
  readonly channel: string;
  /** The number of this attempt, from 1. */
  readonly attempts: number;
  /** The data, as JSON text. */
  readonly data: string;
}

/**
 * A task, as its handler gets it; and, as `Task.publish` and `Task.webRequest`, the short way to publish one on
 * the default queue, which is made from the environment when first used.
 *
 * A handler ends its task in one of four ways: it calls `completed`, `failed` or `retryLater` (the first call
 * stands) and returns; it just returns (completed); it throws (retried while attempts are left, then failed with
 * the error's message); or it is aborted (canceled, timed out, or put back at a restart).
 *
 * @example
 * ```ts
 * import type { Task } from "./mod.ts";
 *
 * export default class Report {
 *   static async on_tq_run_summary(task: Task<{ id: number; kind: string }>) {
 *     if (task.data.id < 0) return task.failed("could not find transactions");
 *     await fetch(`https://example.com/${task.data.id}`, { signal: task.signal });
 *     task.completed({ lines: 3 });
 *   }
 * }
 * ```
 */
export class Task<Data extends object = JsonObject> {
  /** The task's id. */
  readonly id: number;
  /** `app.Model` or `app`. */
  readonly model: string;
  /** The function that runs it. */
  readonly fname: string;
  /** The channel it came from. */
  readonly channel: string;
  /** The number of this attempt, from 1. */
  readonly attempts: number;
  readonly #host: TaskHost;
  #text: string | undefined;
  #data: Data | undefined;
  #verdict: Verdict | undefined;

  /** Made by the engine. */
  constructor(seed: TaskSeed, host: TaskHost) {
    this.id = seed.id;
    this.model = seed.model;
    this.fname = seed.fname;
    this.channel = seed.channel;
    this.attempts = seed.attempts;
    this.#text = seed.data;
    this.#host = host;
  }

  /** What it was published with. */
  get data(): Data {
    if (this.#text !== undefined) {
      this.#data = JSON.parse(this.#text);
      this.#text = undefined;
    }
    return this.#data as Data;
  }

  /** Aborts when the task is canceled, timed out, put back at a restart, or taken over by another engine. */
  get signal(): AbortSignal {
    return this.#host.signal(this.id);
  }

  /**
   * Ends the task as completed, once the handler has returned.
   *
   * @param result any JSON value, kept in the record
   * @throws {InputError} for a result that JSON or Postgres cannot hold, or that is larger than `TQ_MAX_DATA`
   */
  completed(result?: unknown): void {
    const text = result === undefined ? undefined : encodeJson(result, "result", this.#host.maxResultBytes);
    this.#verdict ??= { kind: "completed", result: text };
  }

  /** Ends the task as failed for good, once the handler has returned. */
  failed(reason: string): void {
    this.#verdict ??= { kind: "failed", reason: messageOf(reason) };
  }

  /**
   * Runs the task again later, if attempts are left; else it fails.
   *
   * @param options.reason why, for the record
   * @param options.delay seconds until then; the usual back-off when left out
   * @throws {InputError} for a delay that is not a number of seconds from 0 to 10 years
   */
  retryLater(options: { reason?: string; delay?: number } = {}): void {
    const { reason, delay } = options;
    if (delay !== undefined) checkDelay(delay);
    // JavaScript may give an error, a number or null.
    const text = reason === undefined || reason === null ? undefined : messageOf(reason);
    this.#verdict ??= { kind: "retry", reason: text, delaySeconds: delay };
  }

  /** Writes a line into the task's own log. Up to 64 KiB of it are kept. */
  log(text: string, kind = "log"): void {
    this.#host.note(this.id, { kind: String(kind), text: String(text) });
  }

  /**
   * Tells how far the task is.
   *
   * @param fraction 0…1
   * @param note a line for the task's log
   * @throws {InputError} for a fraction outside 0…1
   */
  progress(fraction: number, note = ""): void {
    // A BigInt passes any comparison, and no JSON holds it.
    const progress = Number(fraction);
    if (!(progress >= 0 && progress <= 1)) {
      throw new InputError(`progress is ${fraction}`, { remedy: "give a fraction from 0 to 1" });
    }
    this.#host.note(this.id, { kind: "progress", text: String(note), progress });
  }

  /**
   * Publishes another task from inside a handler; as `TaskQueue.publish`.
   *
   * @throws {TqError} what that throws
   */
  publish(model: string, fname: string, data?: object, options?: PublishOptions): Promise<number> {
    return this.#host.queue.publish(model, fname, data, options);
  }

  /** What the handler said, for the engine. */
  get verdict(): Verdict | undefined {
    return this.#verdict;
  }

  /**
   * Publishes a task on the default queue; as `TaskQueue.publish`.
   *
   * @throws {SettingsError} when a setting is bad, `var` belongs to another database, or there is neither a
   * `TQ_DATABASE_URL` nor a project whose embedded database is used
   * @throws {TqError} what that throws
   */
  static async publish(
    model: string,
    fname: string,
    data?: object,
    options?: PublishOptions,
  ): Promise<number> {
    return await defaultQueue().publish(model, fname, data, options);
  }

  /**
   * Publishes a web request on the default queue; as `TaskQueue.webRequest`.
   *
   * @throws {SettingsError} as `publish`
   * @throws {TqError} what that throws
   */
  static async webRequest(url: string, data?: unknown, options?: WebRequestOptions): Promise<number> {
    return await defaultQueue().webRequest(url, data, options);
  }
}
