/**
 * The compiled executable: made once per test run, in a folder of the run, and never in the tree.
 *
 * By `deno task compile` where Deno's download server can be reached, for the runtime that goes in comes from there;
 * else with `compiler.sh`, which gets one from the npm registry: `TQ_TEST_COMPILER` (a path, or `none`), else
 * `../shared/tools/compiler.sh` beside the repository.
 *
 * @module
 */

import { join } from "node:path";
import { FileLock } from "../../src/posix.ts";
import { eventually } from "../support/fixtures.ts";
import { type Need, needTest } from "../support/need.ts";
import { REPOSITORY } from "../support/tq.ts";

/** How the executable is made here. */
interface Way {
  /** For people. */
  readonly shown: string;
  /** A program and its arguments; those of `deno task` follow. */
  readonly command: readonly string[];
}

const SERVER = "https://dl.deno.land/release-latest.txt";
/** Milliseconds for the server's answer. */
const REACH = 5_000;
/** Milliseconds: the first use of `compiler.sh` downloads 230 MB. */
const COMPILES_WITHIN = 600_000;

/** Evaluates what the script prints, and runs the Deno that it names with the other arguments. */
const BY_SCRIPT = 'set -euo pipefail; made="$("$0")"; eval "$made"; exec "$TQ_COMPILE_DENO" "$@"';

const way = await findWay();
let compiled: Promise<string> | undefined;

/** Whether the executable can be made on this machine. */
export const CAN_COMPILE: boolean = way !== undefined;

/** The path of the executable; made when it is first asked for. Anybody may run it. */
export function compiledTq(): Promise<string> {
  return compiled ??= make();
}

/** Registers a test of the executable: skipped, out loud, where it cannot be made, or one of `needs` is not there. */
export function compiledTest(
  needs: readonly Need[],
  name: string,
  fn: (t: Deno.TestContext) => void | Promise<void>,
): void {
  if (way !== undefined) return needTest(needs, name, fn);
  console.log(`SKIPPED ${name}: neither Deno's download server nor compiler.sh on this machine`);
  Deno.test({ name, fn, ignore: true });
}

async function findWay(): Promise<Way | undefined> {
  const reached = await fetch(SERVER, { signal: AbortSignal.timeout(REACH) })
    .then(async (response) => {
      await response.body?.cancel();
      return response.ok;
    }, () => false);
  if (reached) return { shown: "deno task compile", command: [Deno.execPath()] };
  const script = Deno.env.get("TQ_TEST_COMPILER") ?? join(REPOSITORY, "../shared/tools/compiler.sh");
  const isThere = await Deno.stat(script).then((info) => info.isFile, () => false);
  return isThere ? { shown: script, command: ["bash", "-c", BY_SCRIPT, script] } : undefined;
}

async function make(): Promise<string> {
  if (way === undefined) throw new Error("the executable cannot be made on this machine");
  const folder = join(await runFolder(), "compiled");
  await Deno.mkdir(folder, { recursive: true });
  // Test files of one run share it, whether they run one after the other or side by side.
  using _lock = await eventually(() => FileLock.tryTake(join(folder, "lock")), {
    within: COMPILES_WITHIN,
    what: "another test file to have compiled",
  });
  const output = join(folder, "tq");
  if (!await Deno.stat(output).then(() => true, () => false)) {
    const [program = "", ...args] = way.command;
    const made = await new Deno.Command(program, {
      args: [...args, "task", "compile", "--output", output],
      cwd: REPOSITORY,
      stdin: "null",
    }).output();
    const said = new TextDecoder().decode(made.success ? made.stdout : made.stderr).trimEnd();
    if (!made.success) throw new Error(`${way.shown} failed:\n${said.slice(-4000)}`);
    console.log(`made by ${way.shown}: ${said.split("\n").at(-1)}`);
  } else console.log(`made before, by ${way.shown}: ${output}`);
  return output;
}

/** Another user must be able to run what is in here. */
async function runFolder(): Promise<string> {
  const run = Deno.env.get("TQ_TEST_RUN_FOLDER");
  if (run !== undefined) return run;
  const folder = await Deno.makeTempDir({ prefix: "tq_compiled_", ...(Deno.uid() === 0 && { dir: "/tmp" }) });
  await Deno.chmod(folder, 0o755);
  globalThis.addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));
  return folder;
}
