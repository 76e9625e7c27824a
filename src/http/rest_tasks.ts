/**
 * The routes of tasks: list, look, publish, cancel, run again.
 *
 * @module
 */

import { NotFoundError } from "../errors.ts";
import type { PublishOptions } from "../publish/options.ts";
import type { Patience } from "../store/mod.ts";
import {
  type JsonObject,
  State,
  STATE_DISPLAY,
  type TaskRecord,
  TERMINAL_STATES,
  TEST_MODEL,
} from "../task.ts";
import { HttpError, list, one } from "./envelope.ts";
import type { HttpParts } from "./parts.ts";
import { redactorOf } from "./redact.ts";
import { type Route, route } from "./route.ts";
import * as schemas from "./schemas.ts";
import { logJson, type TaskJson, taskJson } from "./task_json.ts";

/** Milliseconds for an answer of Postgres. */
const HOW: Patience = { deadline: 5000 };

/** For one that was just published. */
const PUBLISHED: Patience = { deadline: 5000, patience: 10_000 };

/** The routes of tasks. */
export function taskRoutes(parts: HttpParts): Route[] {
  const { store, queue, clock } = parts;
  const redact = redactorOf(parts.settings.TQ_REDACT);
  const show = (task: TaskRecord): TaskJson => taskJson(task, { now: clock.now(), redact });
  const get = async (id: number, how: Patience = HOW): Promise<TaskRecord> => {
    const [task] = await store.get([id], how);
    if (task === undefined) {
      throw new NotFoundError(`there is no task ${id}`, { remedy: "see the list of tasks" });
    }
    return task;
  };
  return [
    route({
      method: "GET",
      path: "/task",
      right: "view",
      summary: "List tasks",
      description:
        "One page of the tasks that the filters let through. What takes longer than some seconds, among " +
        "very many tasks, is refused with 400: narrow it down. So is a page of several tasks with more than 64 MiB " +
        "of data and results: ask for fewer.",
      querySchema: schemas.listQuery,
      answer: schemas.listOf(schemas.taskAnswer),
    }, async ({ query }) => {
      const { size, start, sort } = query;
      const page = await store.page(schemas.pageFilterOf(query));
      return list(page, { size, start, sort: sort.text }, show);
    }),
    route({
      method: "GET",
      path: "/task/log",
      right: "view",
      summary: "Read a task's log",
      description: "What its handler logged and what went wrong, the oldest first unless sorted otherwise.",
      querySchema: schemas.logQuery,
      answer: schemas.listOf(schemas.logAnswer),
    }, async ({ query: { task, size, start, sort } }) => {
      const page = await store.logPage(task, { size, start, descending: sort.descending }, HOW);
      // The log of a task without lines is empty, that of none is an error.
      if (page.count === 0) await get(task);
      return list(page, { size, start, sort: sort.text }, logJson);
    }),
    route({
      method: "GET",
      path: "/task/{id}",
      right: "view",
      summary: "Look at a task",
      pathSchema: schemas.taskPath,
      answer: schemas.oneOf(schemas.taskAnswer),
    }, async ({ path }) => one(show(await get(path.id)))),
    route({
      method: "POST",
      path: "/task/publish",
      right: "manage",
      summary: "Publish a task",
      description:
        "Answers once it is committed. `model` and `fname` are needed, or `app` and `module`. Where " +
        "it cannot be read right after the commit the answer has `id`, `model` and `fname` alone.",
      bodySchema: schemas.publishBody,
      answer: schemas.oneOf(schemas.taskAnswer),
      example: { model: "shop.Invoice", fname: "on_tq_total", data: { prices: [3, 4] } },
    }, async ({ body }) => {
      const model = body.model ?? body.app;
      const fname = body.fname ?? body.module;
      if (model === undefined) throw new HttpError(400, "model is missing: give app.Model or app");
      if (fname === undefined) throw new HttpError(400, "fname is missing: give the name of a function");
      const data = (body.data ?? body.task_data ?? {}) as JsonObject;
      const id = await queue.publish(model, fname, data, optionsOf(body));
      // Whatever becomes of the look, it is published: an error would have it published again.
      const task = await get(id, PUBLISHED).catch(() => undefined);
      return one(task === undefined ? { id, model, fname } : show(task));
    }),
    route({
      method: "POST",
      path: "/task/{id}",
      right: "manage",
      summary: "Cancel a task, or run it again",
      description:
        "`cancel` ends a task that waits, and asks the engine of one that runs to abort it. `retry_now` " +
        "makes one that has ended ready again, with all its attempts.",
      pathSchema: schemas.taskPath,
      bodySchema: schemas.actionBody,
      answer: schemas.oneOf(schemas.taskAnswer),
      example: { action: "cancel", reason: "wrong month" },
    }, async ({ path: { id }, body }) => {
      if (body.action === "cancel") {
        const canceled = await queue.cancel(id, body.reason ?? undefined);
        if (canceled.some(({ state }) => state === State.started)) parts.control.canceled([id]);
        const task = await get(id);
        if (canceled.length > 0 || task.state === State.canceled) return one(show(task));
        throw new HttpError(
          400,
          `task ${id} is ${STATE_DISPLAY[task.state]}: only one that has not ended is canceled`,
        );
      }
      const ready = await queue.retryNow(id);
      const task = await get(id);
      if (ready.length > 0) return one(show(task));
      throw new HttpError(
        400,
        TERMINAL_STATES.includes(task.state)
          ? `task ${id} cannot run again: another one with its unique key is not ended`
          : `task ${id} is ${STATE_DISPLAY[task.state]}: only one that has ended is run again`,
      );
    }),
    route({
      method: "POST",
      path: "/test",
      right: "manage",
      summary: "Publish tasks that sleep",
      description: "To see that tasks run.",
      bodySchema: schemas.testBody,
      answer: schemas.oneOf(schemas.testAnswer),
      example: { test_count: 3, sleep_time: 0.5 },
    }, async ({ body: { test_count, sleep_time } }) => {
      const published_at = clock.now() / 1000;
      const tasks = Array.from({ length: test_count }, (_, i) => ({
        model: TEST_MODEL,
        fname: "on_tq_test",
        data: { published_at, index: i + 1, sleep_time },
        options: { timeout: Math.ceil(sleep_time) + 60 },
      }));
      return one({ ids: await queue.publishMany(tasks) });
    }),
  ];
}

function optionsOf(body: schemas.PublishBody): PublishOptions {
  return {
    channel: body.channel,
    delay: body.delay,
    at: body.at?.at,
    priority: body.priority,
    maxAttempts: body.max_attempts ?? body.maxAttempts,
    timeout: body.timeout,
    staleAfter: body.stale_after ?? body.staleAfter,
    key: body.key,
    unique: body.unique,
  };
}
