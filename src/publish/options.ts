/**
 * What may be said when a task is published, and its validation.
 *
 * @module
 */

import { InputError } from "../errors.ts";
import { nearest } from "../nearest.ts";
import {
  CHANNEL_PATTERN,
  defaultChannel,
  FUNCTION_PATTERN,
  FUNCTION_RULE,
  INHERITED_BY_CLASSES,
  INHERITED_NAMES,
  isName,
  MODEL_PATTERN,
  MODEL_RULE,
  PRIORITY_LIMIT,
} from "../task.ts";

/** Options of `publish`. */
export interface PublishOptions {
  /** The queue it is put on. @default the handler's own, else `tq_model_handler` (`app.Model`) or `tq_app_handler` */
  channel?: string | undefined;
  /** Seconds from now until it may run, by the database's clock. @default 0 */
  delay?: number | undefined;
  /** The moment from which it may run; instead of `delay`. */
  at?: Date | undefined;
  /** -100…100; a higher one runs first. @default 0 */
  priority?: number | undefined;
  /** Runs it gets before it fails, 1…1000. @default the handler's own, else `TQ_RETRY_ATTEMPTS` */
  maxAttempts?: number | undefined;
  /** Whole seconds that a run may take. @default the handler's own, else `TQ_TASK_TIMEOUT` */
  timeout?: number | undefined;
  /** If it has not started by then it fails as stale: a moment, or seconds from now. @default never */
  staleAfter?: Date | number | undefined;
  /** Publishing again with the same key returns the first task's id, until that task is deleted (`TQ_DELETE_AFTER`). */
  key?: string | undefined;
  /** While a task with this key is waiting, ready or running, publishing returns that one's id. */
  unique?: string | undefined;
  /** W3C trace context of the publisher. */
  traceParent?: string | undefined;
}

/** The same for every task of a kind; travels once per batch. All fields in the order of the INSERT. */
export interface TaskKind {
  /** As asked for, or null: the handler's own, else `fallbackChannel`. */
  readonly channel: string | null;
  readonly fallbackChannel: string;
  readonly model: string;
  readonly fname: string;
  readonly priority: number;
  readonly maxAttempts: number | null;
  readonly timeoutSeconds: number | null;
  /** Seconds from now, or null. */
  readonly delay: number | null;
  /** Milliseconds since the epoch, or null. */
  readonly at: number | null;
  readonly staleIn: number | null;
  readonly staleAt: number | null;
  readonly publishKey: string | null;
  readonly uniqueKey: string | null;
  readonly traceParent: string | null;
}

const KNOWN = new Set([
  "channel",
  "delay",
  "at",
  "priority",
  "maxAttempts",
  "timeout",
  "staleAfter",
  "key",
  "unique",
  "traceParent",
]);

const NOT_INHERITED = "choose a name that objects do not have from JavaScript itself";

const MESSAGE_LIMIT = 250;
const TEN_YEARS = 10 * 365 * 86_400;
const TRACE_PARENT = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/;

/**
 * Kinds without options, by model and function. A program publishes the same few over and over: they are checked once,
 * and a batch of one and the same kind is soon put together.
 */
const PLAIN = new Map<string, TaskKind>();
/** A program that makes names up must not fill the memory. */
const MOST_PLAIN = 1000;

/**
 * Checks names and options and gives the kind of the task.
 *
 * @throws {InputError} names the option, the value and what is allowed
 */
export function checkKind(model: string, fname: string, options: PublishOptions = {}): TaskKind {
  for (const _option in options) return makeKind(model, fname, options);
  // Names that passed the checks have no space.
  const name = typeof model === "string" && typeof fname === "string" ? `${model} ${fname}` : "";
  const known = PLAIN.get(name);
  if (known !== undefined) return known;
  const kind = makeKind(model, fname, options);
  if (PLAIN.size >= MOST_PLAIN) PLAIN.clear();
  PLAIN.set(name, kind);
  return kind;
}

function makeKind(model: string, fname: string, options: PublishOptions): TaskKind {
  checkName(model, MODEL_PATTERN, "model", MODEL_RULE);
  checkName(fname, FUNCTION_PATTERN, "function", FUNCTION_RULE);
  if (model.split(".").some((part) => INHERITED_NAMES.has(part))) refuse(`model is ${model}`, NOT_INHERITED);
  if ((model.includes(".") ? INHERITED_BY_CLASSES : INHERITED_NAMES).has(fname)) {
    refuse(`function is ${fname}`, NOT_INHERITED);
  }
  for (const name of Object.keys(options)) {
    if (KNOWN.has(name)) continue;
    const near = nearest(name, KNOWN);
    refuse(
      `there is no option ${name}`,
      near === undefined ? `known: ${[...KNOWN].join(", ")}` : `did you mean ${near}?`,
    );
  }
  const { channel, delay, at, priority = 0, maxAttempts, timeout, staleAfter } = options;
  if (channel !== undefined) {
    checkName(channel, CHANNEL_PATTERN, "channel", "use letters, digits, _ . and -, at most 100");
  }
  checkWhole(priority, "priority", -PRIORITY_LIMIT, PRIORITY_LIMIT);
  if (maxAttempts !== undefined) checkWhole(maxAttempts, "maxAttempts", 1, 1000);
  if (timeout !== undefined) checkWhole(timeout, "timeout", 1, 2_592_000);
  if (delay !== undefined) checkDelay(delay);
  if (at !== undefined) checkDate(at, "at");
  if (at !== undefined && delay !== undefined) refuse("both delay and at are given", "give one of them");
  if (staleAfter instanceof Date) checkDate(staleAfter, "staleAfter");
  else if (staleAfter !== undefined) checkDelay(staleAfter, "staleAfter");
  checkKey(options.key, "key");
  checkKey(options.unique, "unique");
  if (options.traceParent !== undefined) {
    checkName(options.traceParent, TRACE_PARENT, "traceParent", "give a W3C traceparent");
  }
  return {
    channel: channel ?? null,
    fallbackChannel: defaultChannel(model),
    model,
    fname,
    priority,
    maxAttempts: maxAttempts ?? null,
    timeoutSeconds: timeout ?? null,
    delay: delay === undefined || delay === 0 ? null : delay,
    at: at?.getTime() ?? null,
    staleIn: typeof staleAfter === "number" ? staleAfter : null,
    staleAt: staleAfter instanceof Date ? staleAfter.getTime() : null,
    publishKey: options.key ?? null,
    uniqueKey: options.unique ?? null,
    traceParent: options.traceParent ?? null,
  };
}

/** @throws {InputError} for anything but a number of seconds from 0 to ten years */
export function checkDelay(seconds: number, what = "delay"): void {
  if (typeof seconds === "number" && seconds >= 0 && seconds <= TEN_YEARS) return;
  refuse(`${what} is ${String(seconds)}`, "give seconds from 0 to ten years");
}

function checkName(value: string, pattern: RegExp, what: string, allowed: string): void {
  if (isName(value, pattern)) return;
  refuse(`${what} is ${JSON.stringify(value) ?? String(value)}`, allowed);
}

function checkWhole(value: number, what: string, min: number, max: number): void {
  if (Number.isInteger(value) && value >= min && value <= max) return;
  refuse(`${what} is ${String(value)}`, `give a whole number from ${min} to ${max}`);
}

function checkDate(value: Date, what: string): void {
  const year = value instanceof Date ? value.getUTCFullYear() : NaN;
  if (year >= 1970 && year <= 9999) return;
  refuse(`${what} is ${String(value)}`, "give a valid Date");
}

function checkKey(value: string | undefined, what: string): void {
  if (value === undefined) return;
  if (
    typeof value === "string" && value !== "" && value.length <= 500 && value.isWellFormed() &&
    !value.includes("\0")
  ) return;
  refuse(`${what} is ${JSON.stringify(value)}`, "give a string of 1 to 500 characters");
}

/** One line that is not too long, whatever was given. */
function refuse(what: string, allowed: string): never {
  throw new InputError(what.slice(0, MESSAGE_LIMIT).replaceAll(/\p{Cc}/gu, "\uFFFD"), { remedy: allowed });
}
