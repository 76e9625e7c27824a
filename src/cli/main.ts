/**
 * The command line: reads arguments, runs one command, turns errors into one line and an exit code.
 * Commands import what they need when they run, so that `--help` is quick.
 *
 * @module
 */

import { Command, CommanderError } from "npm:commander@15.1.0";
import { describe, messageOf, TqError } from "../errors.ts";
import { nearest } from "../nearest.ts";
import { describeVersion, VERSION } from "../version.ts";
import { COMMANDS } from "./commands.ts";
import { plain, printError, width, write } from "./output.ts";

/** Exit codes: 0 done, 1 it failed, 2 bad usage or input, 75 a service is unreachable (try again). */
const USAGE = 2;

const EXAMPLES = `
Examples:
  tq run
  tq publish demo.Report on_tq_run_summary '{"id": 22}' --wait
  tq tasks --state failed
  tq publish --help

It exits with 0 when it is done, 1 when it failed, 2 for bad usage or input,
and 75 when Postgres cannot be reached: then try again.`;

/** Runs `tq` with these arguments; returns its exit code. */
export async function main(args: readonly string[]): Promise<number> {
  let exitCode = 0;
  const program = new Command("tq")
    .description("An asynchronous task queue: publish a task and forget it.")
    .version(asksVersion(args) ? await describeVersion() : VERSION, "-V, --version", "print the version")
    .helpOption("-h, --help", "show this help")
    .helpCommand("help [command]", "show the help of a command")
    .addHelpText("after", EXAMPLES)
    // Arguments are in each command's own help; here they would leave no room for what it does.
    .configureHelp({ subcommandTerm: (command) => command.name() })
    .configureOutput({
      writeOut: write,
      // Whatever it says is said once, as one line, below.
      writeErr: () => {},
      getOutHelpWidth: () => Math.min(width(), WIDEST_HELP),
      getOutHasColors: () => false,
    })
    .exitOverride();
  for (const add of COMMANDS) add(program, (code) => exitCode = code);
  try {
    await program.parseAsync(args.length === 0 ? ["--help"] : args, { from: "user" });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : refuse(error, program, args);
    return fail(error);
  }
}

/** Commander wants the text before it reads the arguments, and what this tq is stands in files. */
function asksVersion(args: readonly string[]): boolean {
  return args.includes("--version") || args.includes("-V");
}

/** Longer lines are hard to read. */
const WIDEST_HELP = 80;

/** Says what is wrong with the arguments; commander's own words are two or three lines. */
function refuse(error: CommanderError, program: Command, args: readonly string[]): number {
  const names = program.commands.map((command) => command.name());
  const [name = "", asked = ""] = args;
  const help = `see tq ${names.includes(name) ? `${name} ` : ""}--help`;
  const [, what = "", meant] = /^(?:error: )?(.*?)\.?(?:\n\(Did you mean (.*)\?\))?$/s.exec(error.message) ??
    [];
  const [, most, got] = /^too many arguments for .* Expected (\d+) arguments? but got (\d+)/s.exec(what) ??
    [];
  if (got !== undefined) {
    // The arguments themselves are left out: they may be long.
    const takes = most === "0" ? "no arguments" : most === "1" ? "1 argument" : `${most} arguments at most`;
    printError(`${name} takes ${takes} and got ${got}: quote those with spaces, or ${help}`);
  } else if (error.code === "commander.help") {
    const near = nearest(asked, names);
    printError(
      `unknown command '${asked}': ${near === undefined ? "see tq --help" : `did you mean ${near}?`}`,
    );
  } else {
    printError(`${what}: ${meant === undefined ? help : `did you mean ${meant}?`}`);
  }
  return USAGE;
}

function fail(error: unknown): number {
  if (error instanceof Deno.errors.BrokenPipe) return 0;
  printError(error instanceof TqError ? describe(error) : messageOf(error) || String(error));
  if (error instanceof TqError) return error.exitCode;
  if (Deno.env.get("TQ_LOG_LEVEL") === "debug" && error instanceof Error) {
    console.error(plain(String(error.stack)));
  }
  return 1;
}
