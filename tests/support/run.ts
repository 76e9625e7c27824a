/**
 * The test runner behind `deno task test`: finds or starts the servers, runs `deno test`, and ends with one line
 * that says how many tests passed, failed and were skipped.
 *
 *     deno task test                        # everything but tests/chaos and tests/bench
 *     deno task test tests/store --filter claim
 *
 * `TQ_TEST_DATABASE_URL` and `TQ_TEST_REDIS_URL` name servers to use (`none`: do without), `TQ_TEST_MINUTES` bounds
 * the run (50), and `CI=true` makes a skipped test a failure.
 *
 * @module
 */

import { join } from "node:path";
import { look } from "./available.ts";
import { takeBackCron } from "./cron.ts";
import { inheritorsOf, MARK, signal } from "./processes.ts";
import { findPostgres, findRedis, type SharedServer, withoutPassword } from "./servers.ts";

const ROOT = join(import.meta.dirname ?? ".", "../..");
const DEFAULT_PATHS = ["--ignore=tests/chaos,tests/bench", "tests/"];

/** What a run of `deno test` came to. */
export interface Summary {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** Reads the summary out of what `deno test` printed: the last line of its form, since tests may print others. */
export function parseSummary(output: string): Summary | undefined {
  // deno-lint-ignore no-control-regex
  const plain = output.replace(/\x1b\[[0-9;]*m/g, "");
  const steps = String.raw`(?: \(\d+ steps?\))?`;
  const form = new RegExp(
    String
      .raw`^(?:ok|FAILED) \| (\d+) passed${steps} \| (\d+) failed${steps}(?: \| (\d+) ignored${steps})?.*$`,
    "gm",
  );
  const [, passed, failed, ignored = "0"] = [...plain.matchAll(form)].at(-1) ?? [];
  if (passed === undefined || failed === undefined) return undefined;
  return { passed: Number(passed), failed: Number(failed), skipped: Number(ignored) };
}

/** The arguments of `deno test`: the caller's, with the default paths when none of them is a path. */
export function testArguments(args: readonly string[]): string[] {
  const end = args.indexOf("--");
  const own = end === -1 ? args : args.slice(0, end);
  const hasPath = own.some((arg, i) =>
    !arg.startsWith("-") && own[i - 1] !== "--filter" &&
    (/[*?{]/.test(arg) || exists(join(ROOT, arg)) || exists(arg))
  );
  const reporter = own.some((arg) => arg.startsWith("--reporter")) ? [] : ["--reporter=pretty"];
  const rest = end === -1 ? [] : args.slice(end);
  return ["test", "-A", ...reporter, ...own, ...(hasPath ? [] : DEFAULT_PATHS), ...rest];
}

/** Runs the tests; returns the exit code. */
export async function run(args: readonly string[]): Promise<number> {
  const folder = await Deno.makeTempDir({ prefix: "tq_run_", ...(Deno.uid() === 0 && { dir: "/tmp" }) });
  await Deno.chmod(folder, 0o755); // Postgres does not run as root, and must be let through.
  Deno.env.set("TQ_TEST_RUN_FOLDER", folder);
  try {
    await using postgres = await findPostgres();
    await using redis = await findRedis();
    say(`Postgres: ${shown(postgres)}`);
    say(`Redis: ${shown(redis)}`);
    const mark = crypto.randomUUID();
    const { output, code, ended } = await runChild(testArguments(args), {
      [MARK]: mark,
      TQ_TEST_RUN_FOLDER: folder,
      TQ_TEST_DATABASE_URL: postgres.url ?? "none",
      TQ_TEST_REDIS_URL: redis.url ?? "none",
      TQ_TEST_AVAILABLE: [...look(postgres.url, redis.url)].join(","),
      // A leak fails its test, as it did by default before Deno 2.8. By variables: older ones refuse the flags.
      DENO_TEST_SANITIZE_OPS: "1",
      DENO_TEST_SANITIZE_RESOURCES: "1",
    });
    await takeBackCron(mark); // First, or cron would start anew what is ended.
    endLeftBehind(mark);
    return conclude(parseSummary(output), code, ended);
  } catch (error) {
    return conclude(undefined, 1, error instanceof Error ? error.message : String(error));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

interface Ended {
  readonly output: string;
  readonly code: number;
  /** Why it was ended before it came to its end, if it was. */
  readonly ended: string | undefined;
}

async function runChild(args: string[], env: Record<string, string>): Promise<Ended> {
  // A process group of its own, so that whatever hangs in there can be ended with one signal.
  const child = new Deno.Command(Deno.execPath(), {
    args,
    env,
    cwd: ROOT,
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
    detached: true,
  }).spawn();
  let ended: string | undefined;
  const end = (why: string) => {
    ended ??= why;
    signal(-child.pid, "SIGKILL");
  };
  const minutes = Number(Deno.env.get("TQ_TEST_MINUTES") ?? 50);
  const timer = setTimeout(() => end(`the test run took longer than ${minutes} minutes`), minutes * 60_000);
  const interruptions = (["SIGINT", "SIGTERM", "SIGHUP"] as const).map((name) => {
    const listener = () => end(`the test run was interrupted by ${name}`);
    Deno.addSignalListener(name, listener);
    return { name, listener };
  });

  let output = "";
  const decoder = new TextDecoder();
  const copying = new AbortController();
  const copied = child.stdout.pipeTo(
    new WritableStream({
      async write(chunk) {
        output = (output + decoder.decode(chunk, { stream: true })).slice(-100_000);
        for (let written = 0; written < chunk.length;) {
          written += await Deno.stdout.write(chunk.subarray(written));
        }
      },
    }),
    { signal: copying.signal },
  ).catch(() => {});
  const { code } = await child.status;
  clearTimeout(timer);
  for (const { name, listener } of interruptions) Deno.removeSignalListener(name, listener);
  signal(-child.pid, "SIGKILL"); // Whoever is left of the group.
  const patience = setTimeout(() => copying.abort(), 2000); // A daemon may hold the pipe open for ever.
  await copied;
  clearTimeout(patience);
  return { output, code, ended };
}

/** Ends the processes that left the group but still carry this run's mark, such as daemons that a test started. */
function endLeftBehind(mark: string): void {
  const pids = inheritorsOf(MARK, mark);
  if (pids.length > 0) say(`ended what tests left running: ${pids.join(", ")}`);
  for (const pid of pids) signal(pid, "SIGKILL");
}

function conclude(summary: Summary | undefined, code: number, ended: string | undefined): number {
  if (ended !== undefined || summary === undefined) {
    say(`${ended ?? "deno test printed no summary"}: the run itself counts as failed`);
    const { passed, failed, skipped } = summary ?? { passed: 0, failed: 0, skipped: 0 };
    say(`${passed} passed, ${failed + 1} failed, ${skipped} skipped`);
    return 1;
  }
  const { passed, failed, skipped } = summary;
  const strict = ["true", "1"].includes(Deno.env.get("CI") ?? "");
  if (strict && skipped > 0) say(`CI=true: ${skipped} skipped, which counts as failure here`);
  say(`${passed} passed, ${failed} failed, ${skipped} skipped`);
  return strict && skipped > 0 && code === 0 ? 1 : code;
}

function shown(server: SharedServer): string {
  return server.url === undefined ? "none" : `${withoutPassword(server.url)} (${server.how})`;
}

function say(line: string): void {
  console.log(line);
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

if (import.meta.main) Deno.exit(await run(Deno.args));
