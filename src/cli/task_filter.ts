/**
 * The options that say which tasks are meant.
 *
 * @module
 */

import type { Command } from "npm:commander@15.1.0";
import { InputError } from "../errors.ts";
import type { TaskFilter } from "../store/mod.ts";
import { parseState, STATE_DISPLAY } from "../task.ts";

/** The options as commander gives them. */
export interface FilterFlags {
  state?: string;
  channel?: string;
  model?: string;
  fname?: string;
  search?: string;
}

/** Adds the options. */
export function addFilterOptions(command: Command): Command {
  return command
    .option("--state <names>", "states by name or number, separated by commas")
    .option("--channel <name>", "of this channel")
    .option("--model <name>", "of this model")
    .option("--fname <name>", "of this function")
    .option("--search <text>", "whose model, function or reason has this text");
}

/** The tasks that are meant. */
export function filterOf({ state, channel, model, fname, search }: FilterFlags): TaskFilter {
  const states = state?.split(",").map((name) => parseState(name.trim()) ?? refuse(name));
  return {
    ...(states === undefined ? {} : { states }),
    ...(channel === undefined ? {} : { channel }),
    ...(model === undefined ? {} : { model }),
    ...(fname === undefined ? {} : { fname }),
    ...(search === undefined ? {} : { search }),
  };
}

function refuse(name: string): never {
  throw new InputError(`--state is ${JSON.stringify(name)}`, {
    remedy: `give one of ${Object.values(STATE_DISPLAY).join(", ")}`,
  });
}
