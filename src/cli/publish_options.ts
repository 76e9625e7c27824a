/**
 * The options that `publish` and `web-request` share.
 *
 * @module
 */

import type { Command } from "npm:commander@15.1.0";
import { parseDuration, parseMoment } from "../duration.ts";
import { InputError } from "../errors.ts";
import type { PublishOptions } from "../publish/options.ts";
import type { TaskQueue } from "../publish/queue.ts";
import { State } from "../task.ts";
import { oneLine, print, printJson, stateText } from "./output.ts";

/** The options as commander gives them. */
export interface PublishFlags {
  channel?: string;
  delay?: string;
  at?: string;
  priority?: string;
  maxAttempts?: string;
  timeout?: string;
  staleAfter?: string;
  key?: string;
  unique?: string;
  wait?: string | true;
  json?: true;
}

const DURATION = "a duration: 90, 90s, 5m, 2h, 7d";
const MOMENT = "a date and time: 2026-12-24T18:00, 2026-12-24T18:00:00Z";

/** Adds the options. */
export function addPublishOptions(command: Command): Command {
  return command
    .option("--channel <name>", "the channel to put it on")
    .option("--delay <duration>", "run it this much later: 90, 90s, 5m, 2h, 7d")
    .option("--at <moment>", "run it then: 2026-12-24T18:00, local time unless a zone is named")
    .option("--priority <number>", "-100 to 100; a higher one runs first")
    .option("--max-attempts <number>", "runs it gets before it fails")
    .option("--timeout <duration>", "how long a run may take")
    .option("--stale-after <when>", "fail it if it has not started by then: a duration or a moment")
    .option("--key <text>", "publishing again with this key returns the first task's id, while that is kept")
    .option("--unique <text>", "while a task with this key waits or runs, return its id")
    .option("--wait [duration]", "wait for its end; exit 1 unless it completed")
    .option("--json", "print JSON");
}

/** Options of `TaskQueue.publish`; their ranges are checked there. */
export function publishOptionsOf(flags: PublishFlags): PublishOptions {
  return {
    channel: flags.channel,
    delay: given(flags.delay, (text) => seconds("--delay", text)),
    at: given(flags.at, (text) => moment("--at", text)),
    priority: given(flags.priority, (text) => wholeNumber("--priority", text)),
    maxAttempts: given(flags.maxAttempts, (text) => wholeNumber("--max-attempts", text)),
    timeout: given(flags.timeout, (text) => seconds("--timeout", text)),
    staleAfter: given(flags.staleAfter, (text) => staleAfter("--stale-after", text)),
    key: flags.key,
    unique: flags.unique,
  };
}

/** Seconds that `--wait` names; undefined when it names none or is not there. */
export function waitSecondsOf({ wait }: PublishFlags): number | undefined {
  return typeof wait === "string" ? seconds("--wait", wait) : undefined;
}

/** Prints the id of a published task and, if asked, waits for its end. Returns the exit code. */
export async function reportPublished(
  queue: TaskQueue,
  id: number,
  { wait, json }: PublishFlags,
  waitSeconds: number | undefined,
): Promise<number> {
  if (wait === undefined) {
    if (json) printJson({ id });
    else print(String(id));
    return 0;
  }
  if (!json) print(String(id));
  const task = await queue.wait(id, waitSeconds === undefined ? {} : { timeout: waitSeconds });
  if (json) printJson(task);
  else print(stateText(task.state) + (task.reason === null ? "" : `: ${oneLine(task.reason)}`));
  return task.state === State.completed ? 0 : 1;
}

/** A moment, or seconds from now. */
export function staleAfter(option: string, text: string): Date | number {
  return parseDuration(text) ?? parseMoment(text) ?? refuse(option, text, `give ${DURATION}, or ${MOMENT}`);
}

/** Seconds from a duration. */
export function seconds(option: string, text: string): number {
  return parseDuration(text) ?? refuse(option, text, `give ${DURATION}`);
}

/** A date from its text. */
export function moment(option: string, text: string): Date {
  return parseMoment(text) ?? refuse(option, text, `give ${MOMENT}`);
}

function wholeNumber(option: string, text: string): number {
  return /^[+-]?\d+$/.test(text) ? Number(text) : refuse(option, text, "give a whole number");
}

function refuse(option: string, text: string, remedy: string): never {
  throw new InputError(`${option} is ${JSON.stringify(text)}`, { remedy });
}

/** Applies `read` to a value that was given. */
export function given<T>(text: string | undefined, read: (text: string) => T): T | undefined {
  return text === undefined ? undefined : read(text);
}
