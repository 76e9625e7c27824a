/**
 * `tq retry` and `tq cancel` with `--state`: what is done to every task of a filter.
 *
 * @module
 */

import { InputError, TqError } from "../errors.ts";
import type { TaskQueue } from "../publish/queue.ts";
import { type State, STATE_DISPLAY } from "../task.ts";
import { confirmed, isAttended } from "./confirm.ts";
import { openQueue, openStore, prepare } from "./context.ts";
import { countText, print, printError, printJson, tasksText } from "./output.ts";
import { progressBar, toldSoFar } from "./progress.ts";
import { type FilterFlags, filterOf } from "./task_filter.ts";

/** The options as commander gives them. */
export interface ManyFlags extends FilterFlags {
  yes?: true;
  json?: true;
}

/** To how many tasks it was done, and how many that run were merely asked to stop. */
export interface Acted {
  readonly done: number;
  readonly asked: number;
}

/** What is done to tasks. */
export interface Act {
  /** `retry`, and `retried`. */
  readonly verb: string;
  readonly done: string;
  /** The states that it can be done in. */
  readonly states: readonly State[];
  /** Why a task of them may be left as it was. */
  readonly unless: string;
  /** Does it to those that are still in one of these states. */
  run(queue: TaskQueue, ids: readonly number[], states: readonly State[]): Promise<Acted>;
}

/** Tasks in one statement. */
const BATCH = 1000;

/** Whether tasks are named by a filter; refuses when they are named in two ways or in none. */
export function meansMany(verb: string, ids: readonly string[], flags: ManyFlags): boolean {
  const isFiltered = Object.keys(filterOf(flags)).length > 0;
  if (ids.length > 0 && !isFiltered) return false;
  if (ids.length > 0) throw new InputError("both ids and a filter are given", { remedy: "give one of them" });
  if (flags.state !== undefined) return true;
  throw new InputError(isFiltered ? "--state is missing" : "missing required argument 'id'", {
    remedy: `see tq ${verb} --help`,
  });
}

/**
 * Does it to every task of the filter that exists now, in batches by id; what is done stays done when it is
 * interrupted. Asks a person first; returns the exit code.
 */
export async function actOnMany(act: Act, flags: ManyFlags): Promise<number> {
  const filter = filterOf(flags);
  const { states = [] } = filter;
  const bad = states.find((state) => !act.states.includes(state));
  if (bad !== undefined) {
    throw new InputError(`tasks that are ${STATE_DISPLAY[bad]} cannot be ${act.done}`, {
      remedy: `give --state ${act.states.map((state) => STATE_DISPLAY[state]).join(",")}, or some of them`,
    });
  }
  if (!flags.yes && !isAttended()) {
    throw new InputError(`nobody is here to be asked whether many tasks are to be ${act.done}`, {
      remedy: "give --yes",
    });
  }
  const settings = await prepare();
  await using store = await openStore(settings);
  await using queue = await openQueue(settings);
  const { count, last } = await store.extent(filter);
  const kind = states.map((state) => STATE_DISPLAY[state]).join(" or ");
  if (count > 0 && !flags.yes && !confirmed(`${capital(act.verb)} ${tasksText(count, kind)}?`)) {
    printError(`nothing is ${act.done}: the answer was no`);
    return 1;
  }
  let [seen, done, asked] = [0, 0, 0];
  try {
    using bar = await progressBar(count);
    for (let after = 0; after < last;) {
      const ids = await store.idsAfter(filter, { after, last, limit: BATCH });
      if (ids.length === 0) break;
      const acted = await act.run(queue, ids, states);
      done += acted.done;
      asked += acted.asked;
      seen += ids.length;
      bar.update(seen);
      after = ids.at(-1) ?? last;
    }
  } catch (error) {
    if (done + asked === 0 || !(error instanceof TqError)) throw error;
    const too = asked === 0 ? "" : ` and ${countText(asked)} asked to stop`;
    throw toldSoFar(error, `at least ${tasksText(done)} were ${act.done}${too} before`);
  }
  if (flags.json) printJson({ count: done, ...(asked === 0 ? {} : { asked }) });
  else print(`${act.done} ${tasksText(done)}${asked === 0 ? "" : `, asked ${countText(asked)} to stop`}`);
  const left = seen - done - asked;
  if (left === 0) return 0;
  printError(`not ${act.done}: ${tasksText(left)}: ${act.unless}`);
  return 1;
}

function capital(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}
