/**
 * What REST takes and gives. One schema validates, and describes itself in the OpenAPI document.
 *
 * @module
 */

import { z } from "npm:zod@4.6.7";
import { PAGE_SORTS, type PageFilter, type PageSort } from "../store/mod.ts";
import { ID_LIMIT, parseState, STATE_DISPLAY } from "../task.ts";

/** A number, in a query or a form too, where all are texts. */
const asNumber = (value: unknown) =>
  typeof value === "string" && /^-?\d+(\.\d+)?$/.test(value.trim()) ? Number(value) : value;
/** In a form, nothing is how "not given" is written. */
const orNothing = (value: unknown) => value === "" || value === null ? undefined : value;

const whole = (min: number, max: number) => {
  const allowed = `give a whole number from ${min} to ${max}`;
  return z.preprocess(asNumber, z.int(allowed).min(min, allowed).max(max, allowed));
};
const real = (min: number, max: number) => {
  const allowed = `give a number from ${min} to ${max}`;
  return z.preprocess(asNumber, z.number(allowed).min(min, allowed).max(max, allowed));
};
const text = (most: number) => {
  const allowed = `give text of at most ${most} characters`;
  return z.string(allowed).max(most, allowed).refine((text) => !text.includes("\0"), "give text without NUL");
};
const maybe = <T extends z.ZodType>(schema: T) => z.preprocess(orNothing, schema.optional());

const DAY = 24 * 3600 * 1000;
const MOMENT = "give seconds since the epoch, or a date as 2026-11-24 or 2026-11-24T10:30:00Z";
/** A moment; without a time zone it is UTC. */
export interface Moment {
  readonly at: Date;
  /** Whether a whole day is meant. */
  readonly isDay: boolean;
}

const moment = z.union([z.string(), z.number()], MOMENT).transform((value, context): Moment => {
  const read = parseMoment(String(value).trim());
  if (read !== undefined) return read;
  context.addIssue(MOMENT);
  return z.NEVER;
});

function parseMoment(value: string): Moment | undefined {
  const isDay = /^\d{4}-\d{2}-\d{2}$/.test(value);
  const at = /^\d{1,11}(\.\d+)?$/.test(value)
    ? new Date(Number(value) * 1000)
    : /^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}/.test(value)
    ? new Date(value.replace(" ", "T") + (/(Z|[+-]\d{2}:?\d{2})$/i.test(value) ? "" : "Z"))
    : isDay
    ? new Date(value)
    : new Date(NaN);
  const year = at.getUTCFullYear();
  return year >= 1970 && year <= 9999 ? { at, isDay } : undefined;
}

const STATES = `give ${Object.values(STATE_DISPLAY).join(", ")}, or their numbers`;
const states = z.string(STATES).transform((value, context) => {
  const found = value.split(",").map((part) => parseState(part.trim()));
  if (found.every((state) => state !== undefined)) return found;
  context.addIssue(STATES);
  return z.NEVER;
});

const order = <Sort extends string>(sorts: readonly Sort[], first: string) => {
  const allowed = `give one of ${sorts.join(", ")}, with a minus for descending`;
  return z.string(allowed).transform((value, context) => {
    const sort = sorts.find((one) => one === value.replace(/^-/, ""));
    if (sort !== undefined) return { text: value, sort, descending: value.startsWith("-") };
    context.addIssue(allowed);
    return z.NEVER;
  }).prefault(first);
};

const paging = {
  size: whole(1, 1000).prefault(25).describe("Rows at most."),
  start: whole(0, 1_000_000_000).prefault(0).describe("Rows to skip."),
};

/** The query of a list of tasks. */
export const listQuery = z.object({
  ...paging,
  sort: order<PageSort>(PAGE_SORTS, "-modified").describe(
    `The order: ${
      PAGE_SORTS.join(", ")
    }; a minus is descending. Quick for any number of tasks: id and modified.`,
  ),
  search: maybe(text(200)).describe("Part of the model, the function or the reason, in any case; or an id."),
  state: maybe(states).describe("States by number or name, separated by commas."),
  channel: maybe(text(200)),
  model: maybe(text(200)),
  fname: maybe(text(200)),
  dr_start: maybe(moment).describe(
    "Published at this moment or later: epoch seconds, a date or a date with time.",
  ),
  dr_end: maybe(moment).describe(
    "Published before this moment; a date without time counts to its end, in UTC.",
  ),
});

/** The tasks that such a query asks for. */
export function pageFilterOf(
  { sort, state, dr_start, dr_end, ...query }: z.output<typeof listQuery>,
): PageFilter {
  return {
    ...query,
    states: state ?? [],
    createdFrom: dr_start?.at,
    createdBefore: dr_end && new Date(dr_end.at.getTime() + (dr_end.isDay ? DAY : 0)),
    sort: sort.sort,
    descending: sort.descending,
  };
}

/** The query of a task's log. */
export const logQuery = z.object({
  task: whole(1, ID_LIMIT).describe("The task's id."),
  ...paging,
  sort: order(["id", "created"], "id").describe("id or created, which are the same; a minus is descending."),
});

/** The query of the status. */
export const statusQuery = z.object({
  minutes_back: real(1, 60 * 24 * 366).prefault(60).describe(
    "Minutes back for which ended tasks are counted.",
  ),
});

/** The query of the statistics. */
export const statsQuery = z.object({
  days: whole(1, 366).prefault(7).describe("Days, today included, in UTC."),
});

/** A task's id in a path. */
export const taskPath = z.object({ id: whole(1, ID_LIMIT).describe("The task's id.") });

/** What is asked of a task. */
export const actionBody = z.object({
  action: z.enum(["cancel", "retry_now"], "give cancel or retry_now"),
  reason: maybe(text(1000)).describe("Why it is canceled, for the record."),
});

const anyObject = z.preprocess(
  (value) => {
    if (typeof value !== "string") return value;
    try {
      return JSON.parse(value);
    } catch {
      return value;
    }
  },
  z.custom<Record<string, unknown>>(
    (value) => typeof value === "object" && value !== null && !Array.isArray(value),
    "give a JSON object",
  ).meta({ type: "object" }),
);

/**
 * What is published. The options are checked again, as all are, where tasks are made. No other field is let through: an
 * option with a slip in its name would be lost.
 */
export const publishBody = z.strictObject({
  model: maybe(text(200)).describe("app.Model, or app."),
  fname: maybe(text(200)).describe("The static method, or the exported function."),
  data: maybe(anyObject).describe("What it gets."),
  app: maybe(text(200)).describe("The original's name of `model`."),
  module: maybe(text(200)).describe("The original's name of `fname`."),
  task_data: maybe(anyObject).describe("The original's name of `data`."),
  channel: maybe(text(100)).describe("The channel it is put on."),
  delay: maybe(real(0, 315_360_000)).describe("Seconds until it may run."),
  at: maybe(moment).describe("The moment from which it may run; instead of `delay`."),
  priority: maybe(whole(-100, 100)).describe("A higher one runs first."),
  max_attempts: maybe(whole(1, 1000)).describe("Runs it gets before it fails."),
  timeout: maybe(whole(1, 2_592_000)).describe("Seconds that a run may take."),
  stale_after: maybe(real(0, 315_360_000)).describe(
    "Seconds from now; if it has not started by then it fails.",
  ),
  maxAttempts: maybe(whole(1, 1000)).describe("The library's name of `max_attempts`."),
  staleAfter: maybe(real(0, 315_360_000)).describe("The library's name of `stale_after`."),
  key: maybe(text(500)).describe("Publishing again with the same key gives the first task."),
  unique: maybe(text(500)).describe("While a task with this key is not ended, publishing gives that one."),
});

/** The same, checked. */
export type PublishBody = z.output<typeof publishBody>;

/** What test tasks are published. */
export const testBody = z.object({
  test_count: whole(1, 1000).prefault(1).describe("Tasks."),
  sleep_time: real(0, 3600).prefault(10).describe("Seconds that each sleeps."),
});

const seconds = z.int().describe("Seconds since the epoch.");
const maybeSeconds = z.int().nullable().describe("Seconds since the epoch, or null.");

/** A task, as it is given. */
export const taskAnswer = z.object({
  id: z.int(),
  created: seconds,
  modified: seconds,
  started_at: maybeSeconds,
  completed_at: maybeSeconds,
  scheduled_for: maybeSeconds,
  stale_after: maybeSeconds,
  cancel_requested: z.boolean(),
  state: z.int().describe("0 ready, 1 started, 2 waiting, 10 completed, -1 failed, -2 canceled."),
  state_display: z.enum(Object.values(STATE_DISPLAY)),
  runtime: z.int().describe("Whole seconds of the last run; 0 before it ended."),
  current_runtime: z.int().describe("The same, up to now while it runs."),
  run_seconds: z.number().nullable().describe("The same with a fraction; null before it started."),
  channel: z.string(),
  model: z.string(),
  fname: z.string(),
  attempts: z.int(),
  max_attempts: z.int(),
  data: z.record(z.string(), z.unknown()).describe('Values of the keys in TQ_REDACT are "[redacted]".'),
  reason: z.string().nullable(),
  result: z.unknown(),
  progress: z.number().nullable().describe("0 to 1."),
  priority: z.int(),
  claims: z.int(),
  deaths: z.int(),
  timeout_seconds: z.int(),
  engine_id: z.string().nullable(),
  code_version: z.string().nullable(),
  trace_parent: z.string().nullable(),
  publish_key: z.string().nullable(),
  unique_key: z.string().nullable(),
});

/** A line of a log, as it is given. */
export const logAnswer = z.object({ id: z.int(), created: seconds, kind: z.string(), text: z.string() });

const five = {
  retry: z.int().describe("Tasks that wait for their time."),
  completed: z.int().describe("Completed within the time that was asked for."),
  failed: z.int().describe("Failed within it."),
  running: z.int().describe("Running now."),
  backlog: z.int().describe("Ready to run."),
};
const estimated = z.boolean().optional().describe(
  "There, and true, where a number above 10,000 is an estimate.",
);

/** The status, as it is given. */
export const statusAnswer = z.object({
  ...five,
  total: z.int().describe("All of these, and those that were canceled within the time."),
  last_completed: maybeSeconds,
  last_scheduled: maybeSeconds,
  estimated,
});

/** The statistics, as they are given. */
export const statsAnswer = z.object({
  stats: z.array(z.object({
    day: z.int().describe("The start of the day in UTC, seconds since the epoch."),
    completed: z.int(),
    failed: z.int(),
    longest: z.int().describe("Whole seconds of the longest run that ended in it."),
  })),
  status: z.object(five),
  estimated,
});

/** The test tasks that were published. */
export const testAnswer = z.object({ ids: z.array(z.int()) });

/** What a restart says. */
export const restartAnswer = z.object({ restarting: z.literal(true) });

/** One thing. */
export const oneOf = (data: z.ZodType) => z.object({ status: z.literal(true), data });

/** A list. */
export const listOf = (row: z.ZodType) =>
  z.object({
    status: z.literal(true),
    size: z.int(),
    count: z.int().describe("How many there are in all."),
    count_estimated: z.boolean().optional().describe(
      "There, and true, where a count above 10,000 is an estimate.",
    ),
    start: z.int(),
    sort: z.string(),
    data: z.array(row),
  });

/** An error. */
export const errorAnswerSchema = z.object({
  status: z.literal(false),
  error: z.string().describe("What is wrong: how to mend it."),
  error_code: z.int().describe("The status of HTTP."),
});
