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
import { State, STATE_DISPLAY } from "../task.ts";
import { print, printJson } from "./output.ts";

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
    .option("--key <text>", "publishing again with this key returns the first task's id")
    .option("--unique <text>", "while a task with this key waits or runs, return its id")
    .option("--wait [duration]", "wait for its end; exit 1 unless it completed")
    .option("--json", "print JSON");
}

/** Options of `TaskQueue.publish`. */
export function publishOptionsOf(flags: PublishFlags): PublishOptions {
  return {
    channel: flags.channel,
    delay: flags.delay === undefined ? undefined : seconds("--delay", flags.delay),
    at: flags.at === undefined ? undefined : moment("--at", flags.at),
    priority: wholeNumber("--priority", flags.priority),
    maxAttempts: wholeNumber("--max-attempts", flags.maxAttempts),
    timeout: flags.timeout === undefined ? undefined : seconds("--timeout", flags.timeout),
    staleAfter: flags.staleAfter === undefined
      ? undefined
      : parseDuration(flags.staleAfter) ?? moment("--stale-after", flags.staleAfter),
    key: flags.key,
    unique: flags.unique,
  };
}

/** Prints the id of a published task and, if asked, waits for its end. Returns the exit code. */
export async function reportPublished(queue: TaskQueue, id: number, flags: PublishFlags): Promise<number> {
  if (flags.wait === undefined) {
    if (flags.json) printJson({ id });
    else print(String(id));
    return 0;
  }
  if (!flags.json) print(String(id));
  const timeout = flags.wait === true ? undefined : seconds("--wait", flags.wait);
  const task = await queue.wait(id, timeout === undefined ? {} : { timeout });
  if (flags.json) printJson(task);
  else {print(
      task.reason === null ? STATE_DISPLAY[task.state] : `${STATE_DISPLAY[task.state]}: ${task.reason}`,
    );}
  return task.state === State.completed ? 0 : 1;
}

/** JSON from an argument: as it is, `-` for stdin, `@file` for a file. */
export async function readJson(text: string): Promise<unknown> {
  let source = text;
  if (text === "-") source = await new Response(Deno.stdin.readable).text();
  else if (text.startsWith("@")) source = await readFile(text.slice(1));
  try {
    return JSON.parse(source);
  } catch (error) {
    const what = source.length <= 60 ? JSON.stringify(source) : `${JSON.stringify(source.slice(0, 60))}…`;
    throw new InputError(`${what} is not JSON`, { cause: error, remedy: `give a JSON object: '{"id": 22}'` });
  }
}

/** Reads a text file; says which one it is when it cannot. */
export async function readFile(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    throw new InputError(`cannot read ${path}`, { cause: error, remedy: (error as Error).message });
  }
}

function seconds(option: string, text: string): number {
  const value = parseDuration(text);
  if (value !== undefined) return value;
  throw new InputError(`${option} is ${JSON.stringify(text)}`, {
    remedy: "give a duration: 90, 90s, 5m, 2h, 7d",
  });
}

function moment(option: string, text: string): Date {
  const value = parseMoment(text);
  if (value !== undefined) return value;
  throw new InputError(`${option} is ${JSON.stringify(text)}`, {
    remedy: "give a date and time: 2026-12-24T18:00, 2026-12-24T18:00:00Z",
  });
}

function wholeNumber(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^[+-]?\d+$/.test(text)) return Number(text);
  throw new InputError(`${option} is ${JSON.stringify(text)}`, { remedy: "give a whole number" });
}
