/**
 * The command line as its users meet it: a child process each time, in a project of the test's own.
 *
 * @module
 */

import assert from "node:assert/strict";
import { join } from "node:path";
import { type Ended, type Project, REPOSITORY } from "../support/tq.ts";

/** Where a command runs, and what it is given besides arguments. */
export interface RunOptions {
  /** @default nothing: stdin is closed */
  readonly stdin?: string | Uint8Array<ArrayBuffer>;
  /** Goes before the project's; `undefined` takes a variable away. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** The current folder. @default the project's */
  readonly folder?: string;
}

/** The arguments of `deno` that run `tq`. */
export const TQ: readonly string[] = ["run", "-A", "--quiet", join(REPOSITORY, "main.ts")];

/** Every command that reads or writes the record, with arguments that it takes; `--file -` reads stdin. */
export const RECORD_COMMANDS: readonly (readonly string[])[] = [
  ["publish", "app", "run"],
  ["publish", "--file", "-"],
  ["web-request", "https://example.com/"],
  ["tasks"],
  ["task", "1"],
  ["retry", "1"],
  ["cancel", "1"],
  ["prune"],
  ["migrate"],
];

/** Runs `tq` to its end. */
export async function tq(
  project: Pick<Project, "path" | "environment">,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Ended> {
  // The runner's mark is no setting, and would be named as such.
  const merged: Record<string, string | undefined> = {
    ...project.environment,
    TQ_TEST_RUN_MARK: undefined,
    ...options.environment,
  };
  const env = Object.fromEntries(
    Object.entries(merged).flatMap(([name, value]) => value === undefined ? [] : [[name, value]]),
  );
  const child = new Deno.Command(Deno.execPath(), {
    args: [...TQ, ...args],
    cwd: options.folder ?? project.path,
    env,
    clearEnv: true,
    stdin: options.stdin === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const fed = options.stdin === undefined
    ? undefined
    // It may refuse before it has read all.
    : new Blob([options.stdin]).stream().pipeTo(child.stdin).catch(() => {});
  const { code, stdout, stderr } = await child.output();
  await fed;
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** What a command prints that does its work. */
export async function printed(
  project: Pick<Project, "path" | "environment">,
  args: readonly string[],
  options: RunOptions = {},
): Promise<string> {
  const { code, stdout, stderr } = await tq(project, args, options);
  assert.equal(stderr, "", args.join(" "));
  assert.equal(code, 0, args.join(" "));
  return stdout;
}

/** What a command says, after `tq: `, that ends with `code`, prints nothing else, and says it in one plain line. */
export async function refusal(
  project: Pick<Project, "path" | "environment">,
  code: number,
  args: readonly string[],
  options: RunOptions = {},
): Promise<string> {
  const ended = await tq(project, args, options);
  const shown = `${args.join(" ")} → ${ended.code}\n${ended.stdout}\n${ended.stderr}`;
  assert.equal(ended.stdout, "", shown);
  assert.equal(ended.code, code, shown);
  const line = /^tq: (.+)\n$/.exec(ended.stderr)?.[1];
  assert.ok(line !== undefined, `not one line: ${shown}`);
  assert.doesNotMatch(line, /\p{Cc}/u);
  assert.match(line, /[^:]: ./, "says how to mend it");
  return line;
}

/** What a terminal of so many columns is given by `tq`, to whom somebody types; undefined where there is no `script` of util-linux. */
export async function onTerminal(
  project: Pick<Project, "path" | "environment">,
  columns: number,
  args: readonly string[],
  environment: Record<string, string> = {},
  typed?: string,
): Promise<string[] | undefined> {
  if (Deno.build.os !== "linux") return undefined;
  const { TQ_TEST_RUN_MARK: _, NO_COLOR: __, ...env } = project.environment;
  const command = [Deno.execPath(), ...TQ, ...args].map((part) => `'${part}'`).join(" ");
  try {
    const child = new Deno.Command("script", {
      args: ["-qec", `stty cols ${columns} rows 40; exec ${command}`, "/dev/null"],
      cwd: project.path,
      env: { ...env, TERM: "xterm-256color", ...environment },
      clearEnv: true,
      stdin: typed === undefined ? "null" : "piped",
      stdout: "piped",
    }).spawn();
    // It ends with the command, which may not read all.
    if (typed !== undefined) await new Blob([typed]).stream().pipeTo(child.stdin).catch(() => {});
    const { stdout } = await child.output();
    return new TextDecoder().decode(stdout).split("\r\n");
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Does `work` for each of `items`, four at a time: a child process is mostly waiting. */
export async function forEach<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const left = [...items];
  const worker = async () => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await work(item);
  };
  await Promise.all([worker(), worker(), worker(), worker()]);
}

/** The commands that `tq --help` names, in its order, `help` among them. */
export async function commandNames(project: Pick<Project, "path" | "environment">): Promise<string[]> {
  const [, list = ""] = (await printed(project, ["--help"])).split("\nCommands:\n");
  const [commands = ""] = list.split("\n\n");
  return [...commands.matchAll(/^ {2}([a-z]\S*) /gm)].map(([, name = ""]) => name);
}
