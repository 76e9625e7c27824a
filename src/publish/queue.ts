/**
 * The queue as a program sees it.
 *
 * @module
 */

import { systemClock } from "../clock.ts";
import { loadSettings, type Settings, type SettingsInput } from "../config.ts";
import { createDispatch, type Dispatch } from "../dispatch/mod.ts";
import { InputError, NotFoundError, WaitTimeoutError } from "../errors.ts";
import { checkWebRequest } from "./web_request_data.ts";
import { connectStore } from "../store/connect.ts";
import type { Canceled, Store, Transaction } from "../store/mod.ts";
import {
  cutReason,
  type State,
  type TaskRecord,
  TERMINAL_STATES,
  WEB_REQUEST_CHANNEL,
  WEB_REQUEST_MODEL,
} from "../task.ts";
import { encodeObject } from "./encode.ts";
import { checkKind, type PublishOptions } from "./options.ts";
import { Publisher } from "./publisher.ts";
import { tracedPublish } from "./traced.ts";

/** One task for `publishMany`. */
export interface TaskSpec {
  /** `app.Model` or `app`. */
  readonly model: string;
  /** The method or function. */
  readonly fname: string;
  /** What it gets. @default {} */
  readonly data?: object | undefined;
  /** As for `publish`. */
  readonly options?: PublishOptions | undefined;
}

/** Options of `webRequest`: those of `publish`, and the request's own. */
export interface WebRequestOptions extends PublishOptions {
  /** GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS, in any case. @default "POST" */
  method?: string | undefined;
  /** Request headers; `content-type` is JSON unless said otherwise. */
  headers?: Record<string, string> | undefined;
  /** Seconds for one request, redirects included. @default `TQ_WEB_TIMEOUT` */
  requestTimeout?: number | undefined;
}

/** How a queue works. */
export interface QueueOptions {
  /** Seconds for which a publish is tried while Postgres does not answer; 0 is one try. @default 15 */
  readonly patience?: number;
  /** Seconds after which what handlers say of themselves (`static tq`) is read again. @default never */
  readonly defaultsAge?: number;
  /**
   * What it shares with an engine.
   *
   * @internal
   */
  readonly parts?: {
    readonly store: Store;
    readonly dispatch: Dispatch;
    /** Hears of each batch that is published: its tasks, and the milliseconds until it was committed. */
    sent?(tasks: number, milliseconds: number): void;
  };
}

/** Seconds. */
const PATIENCE = 15;
/** Milliseconds for one try at most: see `deadlineFor`. */
const DEADLINE = 10_000;
/** Connections: two batches under way, and one for everything else. */
const CONNECTIONS = 3;
/** `wait` looks after this pause at first, milliseconds; then more and more rarely, up to the longest. */
const FIRST_LOOK = 20;
const LONGEST_LOOK = 500;

/**
 * A queue of tasks: publishes them, and reads and changes their record.
 *
 * @example
 * ```ts ignore
 * import { TaskQueue } from "./mod.ts";
 *
 * await using queue = new TaskQueue({ TQ_DATABASE_URL: "postgres://localhost/app" });
 * const id = await queue.publish("myapp.MyModel", "on_tq_run_summary", { id: 22, kind: "HOURLY" });
 * ```
 */
export class TaskQueue implements AsyncDisposable {
  readonly #settings: Settings;
  readonly #store: Store;
  readonly #publisher: Publisher;
  readonly #ownsParts: boolean;

  /**
   * Makes a queue; it connects when it is first used.
   *
   * @param settings settings by name; those left out come from the environment and `tq.json`
   * @throws {SettingsError} for a bad setting, or when `var` belongs to another database than the one that is not
   * named here
   * @throws {InputError} for a patience or an age that is not a number of seconds from 0
   */
  constructor(settings: SettingsInput | Settings = {}, options: QueueOptions = {}) {
    const { parts } = options;
    const patience = checkSeconds(options.patience ?? PATIENCE, "patience") * 1000;
    this.#settings = "given" in settings ? settings : loadSettings({ flags: settings });
    this.#ownsParts = parts === undefined;
    this.#store = parts?.store ??
      connectStore(this.#settings, {
        applicationName: "tq publish",
        connections: CONNECTIONS,
        publishes: true,
        isNamed: !("given" in settings) && Boolean(settings.TQ_DATABASE_URL),
      });
    this.#publisher = new Publisher({
      store: this.#store,
      defaults: {
        maxAttempts: this.#settings.TQ_RETRY_ATTEMPTS,
        timeoutSeconds: Math.ceil(this.#settings.TQ_TASK_TIMEOUT),
      },
      createDispatch: (install) =>
        parts?.dispatch ?? createDispatch(this.#settings, install, this.#store.wakeup),
      patience: { patience, deadline: deadlineFor(patience) },
      defaultsAge: checkSeconds(options.defaultsAge ?? Infinity, "defaultsAge") * 1000,
      sent: parts?.sent,
    });
  }

  /**
   * Publishes a task: a static method of a handler class, or an exported function.
   *
   * @param model `app.Model` or `app`
   * @param fname the method or function
   * @param data what it gets: any JSON object up to `TQ_MAX_DATA`
   * @param options `tx` puts the row into the caller's own postgres.js transaction, without `key` or `unique`; engines
   * learn of it within seconds
   * @returns the task's id, after the commit; with `tx` after the insert
   * @throws {InputError} for a bad name, option or data; nothing was written
   * @throws {UnreachableError} when Postgres did not answer for the queue's `patience`, or too many tasks wait for it
   * already; publishing again with the same `key` is safe
   * @throws {RefusedError} when Postgres refuses the connection or the statement
   * @throws {SchemaError} when the schema is missing or older than this program: run `tq migrate`
   * @throws {OutdatedError} when this program is older than the schema allows
   * @throws {BadValueError} for data that Postgres cannot store
   */
  async publish(
    model: string,
    fname: string,
    data: object = {},
    options: PublishOptions & { tx?: Transaction } = {},
  ): Promise<number> {
    const { tx, ...rest } = options;
    const kind = checkKind(model, fname, rest);
    const text = encodeObject(data, "data", this.#settings.TQ_MAX_DATA);
    return await tracedPublish(
      [kind],
      (traced) =>
        tx === undefined
          ? this.#publisher.publish(traced(kind), text)
          : this.#publisher.publishInto(tx, traced(kind), text).then(({ id }) => id),
    );
  }

  /**
   * Publishes many tasks, in few statements. All are checked before any is written. Where Postgres fails later, some
   * of them may be published and others not: publishing all again is safe when each has a `key`.
   *
   * @returns their ids, in the same order, after the commits
   * @throws {InputError} for the first bad one, by its number; nothing was written
   * @throws {TqError} what `publish` throws of Postgres
   */
  async publishMany(tasks: Iterable<TaskSpec>): Promise<number[]> {
    const checked = Array.from(tasks, ({ model, fname, data = {}, options = {} }, i) => {
      try {
        return [
          checkKind(model, fname, options),
          encodeObject(data, "data", this.#settings.TQ_MAX_DATA),
        ] as const;
      } catch (error) {
        if (!(error instanceof InputError)) throw error;
        throw new InputError(`task ${i + 1}: ${error.message}`, {
          cause: error,
          ...(error.remedy === undefined ? {} : { remedy: error.remedy }),
        });
      }
    });
    return await tracedPublish(
      checked.map(([kind]) => kind),
      (traced) => this.#publisher.publishMany(checked, traced),
    );
  }

  /**
   * Publishes a web request: a POST of `data` as JSON, tried again while the receiver is in trouble.
   *
   * @returns the task's id, after the commit
   * @throws {InputError} for a URL that is not http or https, a bad method, header, option or data
   * @throws {TqError} what `publish` throws of Postgres
   */
  async webRequest(url: string, data: unknown = undefined, options: WebRequestOptions = {}): Promise<number> {
    const { method = "POST", headers, requestTimeout, ...rest } = options;
    const request = checkWebRequest({
      url,
      method: method.toUpperCase(),
      ...(data === undefined ? {} : { data }),
      ...(headers === undefined ? {} : { headers }),
      ...(requestTimeout === undefined ? {} : { timeout: requestTimeout }),
    });
    const kind = checkKind(WEB_REQUEST_MODEL, request.method ?? "POST", {
      ...rest,
      // After the rest, where a channel may be named and undefined.
      channel: rest.channel ?? WEB_REQUEST_CHANNEL,
    });
    const text = encodeObject(request, "data", this.#settings.TQ_MAX_DATA);
    return await tracedPublish([kind], (traced) => this.#publisher.publish(traced(kind), text));
  }

  /**
   * The record of a task, or undefined.
   *
   * @throws {InputError} for what is not an id
   * @throws {UnreachableError} when Postgres does not answer; it is asked once
   * @throws {RefusedError} when Postgres refuses the connection or the statement
   * @throws {SchemaError} when the schema is missing
   */
  async get(id: number): Promise<TaskRecord | undefined> {
    return (await this.#store.get([checkId(id)]))[0];
  }

  /**
   * Waits for a task's end.
   *
   * @param options.timeout seconds @default no limit
   * @throws {InputError} for what is not an id, or not a number of seconds from 0
   * @throws {NotFoundError} when there is no such task
   * @throws {WaitTimeoutError} when it has not ended by then; it goes on
   * @throws {TqError} what `get` throws of Postgres
   */
  async wait(id: number, options: { timeout?: number } = {}): Promise<TaskRecord> {
    const timeout = checkSeconds(options.timeout ?? Infinity, "timeout");
    const until = systemClock.monotonic() + timeout * 1000;
    for (let pause = FIRST_LOOK;; pause = Math.min(pause * 1.5, LONGEST_LOOK)) {
      const task = await this.get(id);
      if (task === undefined) throw new NotFoundError(`there is no task ${id}`);
      if (TERMINAL_STATES.includes(task.state)) return task;
      if (systemClock.monotonic() >= until) {
        throw new WaitTimeoutError(`task ${id} has not ended within ${timeout} s`, {
          remedy: "it goes on",
        });
      }
      await systemClock.sleep(pause);
    }
  }

  /**
   * Cancels tasks: waiting and ready ones at once, running ones as soon as their engine hears of it. Ended ones
   * are left as they are.
   *
   * @param options.states only those that are still in one of these @default any
   * @returns what became of those that were not ended: -2 canceled, 1 asked to stop
   * @throws {InputError} for what is not an id; nothing was changed
   * @throws {TqError} what `publish` throws of Postgres
   */
  async cancel(
    ids: number | readonly number[],
    reason?: string,
    options: { states?: readonly State[] } = {},
  ): Promise<readonly Canceled[]> {
    const list = (typeof ids === "number" ? [ids] : ids).map(checkId);
    // Like publishing, no other act on the record is for a program that the schema is too new for.
    const dispatch = await this.#publisher.dispatch();
    const why = reason === undefined ? null : cutReason(reason);
    const canceled = await this.#store.cancel(list, why, options);
    const running = canceled.filter((task) => task.state === 1).map((task) => task.id);
    const ready = canceled.filter((task) => task.was_ready);
    if (running.length > 0) await dispatch.send({ kind: "cancel", ids: running }).catch(() => {});
    if (ready.length > 0) await dispatch.drop(ready).catch(() => {});
    return canceled.map(({ id, state }) => ({ id, state }));
  }

  /**
   * Makes ended tasks ready again, with all their attempts; returns the ids of those that are.
   *
   * @param options.states only those that are still in one of these @default any
   * @throws {InputError} for what is not an id; nothing was changed
   * @throws {TqError} what `publish` throws of Postgres
   */
  async retryNow(
    ids: number | readonly number[],
    options: { states?: readonly State[] } = {},
  ): Promise<number[]> {
    const list = (typeof ids === "number" ? [ids] : ids).map(checkId);
    await this.#publisher.open();
    const ready = await this.#store.retryNow(list, options);
    this.#publisher.push(ready);
    return ready.map((row) => row.id);
  }

  /**
   * Runs `fn` in a transaction of its own; tasks that it publishes with `publish` of its second argument, without `key`
   * or `unique`, are committed with it, and told to engines right after. The embedded database serves nobody else
   * meanwhile: there one that asks nothing for 10 s is ended.
   *
   * @param options.timeout seconds for all of it @default 60
   * @throws {InputError} for a timeout that is not a number of seconds from 0
   * @throws {UnreachableError} when the timeout passes or Postgres is lost; only a commit under way may have arrived
   * @throws {TqError} what `publish` throws of Postgres
   * @throws what `fn` throws; nothing was committed
   */
  async transaction<T>(
    fn: (tx: Transaction, publish: TaskQueue["publish"]) => Promise<T>,
    options: { timeout?: number } = {},
  ): Promise<T> {
    const milliseconds = checkSeconds(options.timeout ?? 60, "timeout") * 1000;
    const published: Awaited<ReturnType<Publisher["publishInto"]>>[] = [];
    const result = await this.#store.transaction((tx) => {
      const publish: TaskQueue["publish"] = async (model, fname, data = {}, { tx: _, ...rest } = {}) => {
        const kind = checkKind(model, fname, rest);
        const text = encodeObject(data, "data", this.#settings.TQ_MAX_DATA);
        return await tracedPublish([kind], async (traced) => {
          const task = await this.#publisher.publishInto(tx, traced(kind), text);
          published.push(task);
          return task.id;
        });
      };
      return fn(tx, publish);
    }, milliseconds);
    this.#publisher.tell(published);
    return result;
  }

  /** Waits until everything that was published is committed and told. */
  idle(): Promise<void> {
    return this.#publisher.idle();
  }

  /** Waits for what is under way, then closes connections, so that the program can end. */
  async close(): Promise<void> {
    await this.#publisher.idle();
    if (!this.#ownsParts) return;
    await this.#publisher.close();
    await this.#store.close();
  }

  /** As `close`: for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/**
 * Milliseconds for one try: within half of the patience, so that a batch lost on a dead connection is sent again on
 * another. Without patience there is one try, and it may take its time.
 */
function deadlineFor(patience: number): number {
  return patience === 0 ? DEADLINE : Math.min(DEADLINE, patience / 2);
}

/** Throws for what is not a task's id. */
export function checkId(id: number): number {
  if (Number.isSafeInteger(id) && id > 0) return id;
  throw new InputError(`${String(id)} is not a task's id`, { remedy: "give a whole number from 1" });
}

/** Throws for what is not a number of seconds; Infinity is one. */
function checkSeconds(seconds: number, what: string): number {
  if (typeof seconds === "number" && seconds >= 0) return seconds;
  throw new InputError(`${what} is ${String(seconds)}`, { remedy: "give seconds from 0" });
}

let shared: { queue: TaskQueue; lastUse: number } | undefined;

/** The default queue closes its connections when it was not used for this long, so that a script can end. Milliseconds. */
const DEFAULT_QUEUE_IDLE = 1000;

/** The queue behind `Task.publish`: made from the environment when first used, closed when idle. */
export function defaultQueue(): TaskQueue {
  if (shared === undefined) {
    const made = { queue: new TaskQueue(), lastUse: 0 };
    shared = made;
    const look = () => {
      if (shared !== made) return;
      const left = made.lastUse + DEFAULT_QUEUE_IDLE - systemClock.monotonic();
      if (left > 0) return void systemClock.after(left, look);
      shared = undefined;
      made.queue.close();
    };
    systemClock.after(DEFAULT_QUEUE_IDLE, look);
  }
  shared.lastUse = systemClock.monotonic();
  return shared.queue;
}

/** Makes `queue` the default one: inside an engine, handlers share the engine's connections. */
export function setDefaultQueue(queue: TaskQueue): void {
  shared = { queue, lastUse: Infinity };
}
