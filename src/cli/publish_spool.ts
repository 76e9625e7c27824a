/**
 * `tq publish --spool`: a task is kept on disk while Postgres cannot be reached.
 *
 * @module
 */

import { messageOf, UnreachableError } from "../errors.ts";
import type { PublishOptions } from "../publish/options.ts";
import type { TaskQueue } from "../publish/queue.ts";
import { newSpoolKey, publishSpool, spoolTask } from "../publish/spool.ts";
import { need, type Settings } from "../settings.ts";
import type { JsonObject } from "../task.ts";
import { printError } from "./output.ts";

/** A task as it was typed. */
export interface TypedTask {
  readonly model: string;
  readonly fname: string;
  readonly data: JsonObject;
  readonly options: PublishOptions;
}

/** Publishes a task, or puts it into the spool when Postgres cannot be reached; then there is no id. */
export async function publishOrSpool(
  queue: TaskQueue,
  settings: Settings,
  task: TypedTask,
): Promise<number | undefined> {
  const varFolder = need(settings.varFolder, "var");
  const options = { ...task.options, key: task.options.key ?? newSpoolKey() };
  try {
    return await queue.publish(task.model, task.fname, task.data, options);
  } catch (error) {
    if (!(error instanceof UnreachableError)) throw error;
    await spoolTask(varFolder, { ...task, options });
    printError(
      `warning: ${messageOf(error)}: the task is spooled, the next engine or tq publish will publish it`,
    );
    return undefined;
  }
}

/** Publishes what earlier commands had to spool. What the caller published stands, whatever becomes of that. */
export async function emptySpool(queue: TaskQueue, settings: Settings): Promise<void> {
  if (settings.varFolder === undefined) return;
  try {
    await publishSpool(settings.varFolder, queue);
  } catch (error) {
    printError(`warning: cannot publish what is spooled: ${messageOf(error)}`);
  }
}
