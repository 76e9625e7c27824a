/**
 * The command line: reads arguments, runs one command, turns errors into one line and an exit code.
 * Commands import what they need when they run, so that `--help` is quick.
 *
 * @module
 */

import { Command, CommanderError } from "npm:commander@15.1.0";
import { describe, messageOf, TqError } from "../errors.ts";
import { COMMANDS } from "./commands.ts";
import { printError } from "./output.ts";
import { VERSION } from "../version.ts";

/** Exit codes: 0 done, 1 it failed, 2 bad usage or input, 75 a service is unreachable (try again). */
const USAGE = 2;

/** Runs `tq` with these arguments; returns its exit code. */
export async function main(args: readonly string[]): Promise<number> {
  let exitCode = 0;
  const program = new Command("tq")
    .description("An asynchronous task queue: publish a task and forget it.")
    .version(VERSION, "-V, --version", "print the version")
    .helpCommand(false)
    .showSuggestionAfterError(true)
    .configureHelp({ showGlobalOptions: false })
    .configureOutput({ outputError: () => {} })
    .exitOverride();
  for (const add of COMMANDS) {
    add(program, (code) => exitCode = code);
  }
  for (const command of program.commands) command.exitOverride().configureOutput({ outputError: () => {} });
  try {
    if (args[0] === "completions" || args[0] === "complete") await addCompletions(program);
    await program.parseAsync([...args], { from: "user" });
    return exitCode;
  } catch (error) {
    return fail(error);
  }
}

/** Replaces the placeholder by the real command, which looks at all others. */
async function addCompletions(program: Command): Promise<void> {
  const { default: tab } = await import("npm:@bomb.sh/tab@0.0.22/commander");
  const commands = program.commands as Command[];
  commands.splice(commands.findIndex((command) => command.name() === "completions"), 1);
  // The package types its argument by its own copy of commander.
  tab(program as never, { completionCommandName: "completions" });
}

function fail(error: unknown): number {
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return 0;
    // "error: unknown option '--x'\n(Did you mean --y?)" becomes one line.
    const text = error.message.replace(/^error: /, "").replace(/\n\((.*)\)$/s, ": $1");
    // With no arguments at all commander has printed the help.
    if (error.code !== "commander.help") printError(text === error.message ? text : `${text}`, "tq --help");
    return USAGE;
  }
  if (error instanceof Deno.errors.BrokenPipe) return 0;
  if (error instanceof TqError) {
    printError(describe(error));
    return error.exitCode;
  }
  printError(messageOf(error) || String(error));
  if (Deno.env.get("TQ_LOG_LEVEL") === "debug" && error instanceof Error) console.error(error.stack);
  return 1;
}
