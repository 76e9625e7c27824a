/**
 * What a process that is asked something has to say.
 *
 * @module
 */

import { type Clock, within } from "./clock.ts";

/** A process that was killed is waited for this long, milliseconds: what it has started may hold its pipes. */
const LAST_WORDS = 1000;

/** All that `child` writes until it ends; undefined when that takes longer than `deadline` milliseconds: it is killed. */
export async function outputWithin(
  clock: Clock,
  deadline: number,
  child: Deno.ChildProcess,
): Promise<Deno.CommandOutput | undefined> {
  const output = child.output();
  const ended = await within(clock, deadline, output);
  if (ended === undefined) {
    try {
      child.kill("SIGKILL");
    } catch (error) {
      // It has ended, and only what it has started goes on.
      if (!(error instanceof TypeError)) throw error;
    }
    await within(clock, LAST_WORDS, output);
  }
  return ended;
}
