/**
 * The benchmark: `deno task bench`. See options.ts for its command line, and docs/performance.md for how it measures.
 *
 * @module
 */

import { chooseContestants } from "./contestants.ts";
import { keep, writeDocuments } from "./documents.ts";
import { measure } from "./measure.ts";
import { type Options, parseOptions, USAGE } from "./options.ts";
import { textReport } from "./report.ts";
import type { Results } from "./results.ts";
import { Servers } from "./servers.ts";
import { soak } from "./soak.ts";
import { fieldOf, installLine, whyAbsent } from "./system.ts";

/** Runs the benchmark; returns the exit code. A missed target is a result, a contestant that fails is an error. */
export async function run(args: readonly string[]): Promise<number> {
  let options: Options | undefined;
  try {
    options = parseOptions(args);
  } catch (error) {
    console.error(`bench: ${error instanceof Error ? error.message : error}`);
    return 2;
  }
  if (options === undefined) {
    console.log(USAGE);
    return 0;
  }
  if (options.report !== undefined) {
    const results: Results = JSON.parse(await Deno.readTextFile(options.report));
    console.log(textReport(results));
    if (results.complete && results.scale === "full") writeDocuments(results);
    return 0;
  }
  const field = await fieldOf(chooseContestants(options));
  if (field.absent.length > 0 && !field.present.some(({ system }) => system !== undefined)) {
    const titles = field.absent.map(({ title }) => title).join(", ");
    console.error(`bench: nobody is there to measure tq beside (${titles}): ${installLine(field.absent)}`);
    return 2;
  }
  for (const contestant of field.absent) console.error(`bench: ${whyAbsent(contestant)}`);
  const stop = new AbortController();
  // What was made on the servers is dropped on the way out; a second signal ends it at once.
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(name, () => stop.signal.aborted ? Deno.exit(130) : stop.abort());
  }
  await using servers = await Servers.find(options);
  if (options.soak) {
    return await soak(options.tasks, servers, stop.signal).catch((error) => {
      // Whatever it is: Ctrl-C also ends the processes that the soak talks to.
      if (stop.signal.aborted) return 130;
      throw error;
    });
  }
  const results = await measure(options, field, servers, stop.signal);
  console.log(textReport(results));
  if (stop.signal.aborted) return 130;
  console.log(`\nKept in ${keep(results)}`);
  return results.failures.length > 0 ? 1 : 0;
}

if (import.meta.main) Deno.exit(await run(Deno.args));
