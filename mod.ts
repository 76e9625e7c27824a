/**
 * tq: an asynchronous task queue for Deno. Publish a task and forget it; an engine runs it soon, and the record of
 * what happened stays in Postgres.
 *
 * @example
 * ```ts ignore
 * import { Task, TaskQueue } from "./mod.ts";
 *
 * await Task.publish("myapp.MyModel", "on_tq_run_summary", { id: 22, kind: "HOURLY" });
 * await Task.webRequest("https://example.com/hook", { id: 22 });
 *
 * await using queue = new TaskQueue({ TQ_DATABASE_URL: "postgres://localhost/app" });
 * const ids = await queue.publishMany([{ model: "myapp.MyModel", fname: "on_tq_clean" }]);
 * ```
 *
 * @module
 */

export { type Note, Task, type TaskHost, type TaskSeed, type Verdict } from "./src/handler/context.ts";
export { type QueueOptions, TaskQueue, type TaskSpec, type WebRequestOptions } from "./src/publish/queue.ts";
export type { PublishOptions } from "./src/publish/options.ts";
export type {
  ApiToken,
  HttpAddress,
  SettingName,
  Settings,
  SettingsInput,
  SettingValues,
  Subscription,
} from "./src/settings.ts";
export {
  type Json,
  type JsonObject,
  State,
  STATE_DISPLAY,
  type StateName,
  type TaskRecord,
} from "./src/task.ts";
export type { Canceled, Transaction } from "./src/store/mod.ts";
export {
  BadValueError,
  HandlerError,
  InputError,
  NotFoundError,
  OutdatedError,
  RefusedError,
  SchemaError,
  SettingsError,
  TqError,
  type TqErrorOptions,
  UnreachableError,
  WaitTimeoutError,
} from "./src/errors.ts";
