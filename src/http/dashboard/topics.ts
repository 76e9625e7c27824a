/**
 * What the pages of the dashboard watch.
 *
 * @module
 */

import type { z } from "npm:zod@4.6.7";
import { HttpError } from "../envelope.ts";
import type { Topic } from "../events.ts";
import type { HttpParts } from "../parts.ts";
import { redactorOf } from "../redact.ts";
import { listQuery, pageFilterOf, taskPath } from "../schemas.ts";
import { HandlerLister, handlersOf } from "./handlers.ts";
import { History } from "./history.ts";
import { overviewOf } from "./overview.ts";
import { logLine, taskRow, taskView } from "./task_view.ts";

/** Makes topics; those of one server share what they know. */
export interface Topics {
  overview(): Topic;
  handlers(): Topic;
  /** A list, by the query of REST's list. @throws {HttpError} for a query that is none */
  tasks(query: Record<string, string>): Topic;
  /** One task. @throws {HttpError} for an id that is none */
  task(query: Record<string, string>): Topic;
  /** Handlers that are known without asking anybody. */
  handlerNames(): string[];
}

/** Lines of a log that are sent at once. */
const LOG_LINES = 500;

/** Names of handlers that are offered, at most. */
const MOST_NAMES = 500;

/** The topics of one server. */
export function topicsOf(parts: HttpParts): Topics {
  const { settings, store, clock } = parts;
  const history = new History(store, clock);
  const lister = new HandlerLister(settings);
  const redact = redactorOf(settings.TQ_REDACT);
  const limits = { backlog: settings.TQ_REPORT_BACKLOG, lease: settings.TQ_LEASE };
  const subscribed = settings.TQ_SUBSCRIBE.map(({ channel }) => channel);
  let names: string[] = [];
  const remember = (more: Iterable<string>) =>
    names = [...new Set([...names, ...more])].slice(-MOST_NAMES).sort();

  const overview: Topic = {
    key: "overview",
    async read() {
      const standing = await store.standing(subscribed);
      await history.refresh(standing.now);
      return overviewOf(standing, history, parts.status(), limits);
    },
    isBehind: () => history.isBehind,
  };
  const handlers: Topic = {
    key: "handlers",
    async read() {
      const { engines } = parts.status();
      const [list, { now }] = await Promise.all([
        lister.list(engines.map(({ id }) => id).sort().join()),
        store.standing(),
      ]);
      await history.refresh(now);
      remember(list.handlers.map(({ model, fname }) => `${model} ${fname}`));
      return { now, ...handlersOf(list, history.handlers()) };
    },
  };
  return {
    overview: () => overview,
    handlers: () => handlers,
    handlerNames: () => remember(history.handlers().keys()),
    tasks(query) {
      const filter = pageFilterOf(checked(listQuery, query));
      const key = new URLSearchParams(Object.entries(query).sort(([a], [b]) => a < b ? -1 : 1));
      return {
        key: `tasks ${key}`,
        async read() {
          const { rows, count, isEstimate } = await store.briefPage(filter);
          const now = clock.now();
          return {
            now: now / 1000,
            size: filter.size,
            count,
            isEstimate,
            start: filter.start,
            data: rows.map((task) => taskRow(task, { now, redact })),
          };
        },
      };
    },
    task(query) {
      const { id } = checked(taskPath, query);
      return {
        key: `task ${id}`,
        async read() {
          const [[task], lastLog] = await Promise.all([store.get([id]), store.lastLogId(id)]);
          const now = clock.now();
          return {
            now: now / 1000,
            task: task === undefined ? null : taskView(task, { now, redact }),
            lastLog,
          };
        },
      };
    },
  };
}

/**
 * Lines of a task's log: those after the line `after`, or the last ones, and how many came before those.
 *
 * @throws {HttpError} for numbers that are none
 */
export async function logPage(
  { store }: HttpParts,
  query: Record<string, string>,
  after: string | undefined,
) {
  const { id } = checked(taskPath, query);
  if (after !== undefined) {
    if (!/^\d{1,15}$/.test(after)) throw new HttpError(400, "give the id of a line as after");
    const lines = await store.readLog(id, Number(after), LOG_LINES);
    return { lines: lines.map(logLine), before: 0 };
  }
  const { rows, count } = await store.logPage(id, { start: 0, size: LOG_LINES, descending: true });
  return { lines: rows.map(logLine).reverse(), before: count - rows.length };
}

function checked<Schema extends z.ZodType>(schema: Schema, query: Record<string, string>): z.output<Schema> {
  const result = schema.safeParse(query);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new HttpError(400, `${String(issue?.path[0] ?? "the request")}: ${issue?.message ?? "is wrong"}`);
}
