/**
 * The benchmark's command line.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { CONTESTANTS } from "./contestants.ts";
import { WORKLOADS } from "./workloads/mod.ts";

/** What is asked of a run. */
export interface Options {
  readonly quick: boolean;
  readonly soak: boolean;
  /** Whether tq is measured beside the queues of other languages, for a table of their own. */
  readonly others: boolean;
  /** Names of workloads; undefined for all. */
  readonly only: readonly string[] | undefined;
  /** Names of contestants; undefined for the default ones. */
  readonly contestants: readonly string[] | undefined;
  readonly rounds: number | undefined;
  /** Of the soak. */
  readonly tasks: number;
  /** Whether servers are started for the benchmark alone. */
  readonly own: boolean;
  readonly postgres: string | undefined;
  readonly redis: string | undefined;
  /** Results to print and write anew, without measuring. */
  readonly report: string | undefined;
}

/** How it is used. */
export const USAGE = `deno task bench [options]

  --quick              smaller counts and one round, in under 6 minutes
  --soak               5 million tasks through one engine, instead of everything else
  --others             tq beside Celery, RQ and Sidekiq, as far as they are installed, in under 10 minutes
  --tasks N            so many tasks in the soak
  --only a,b           these workloads alone
  --contestants a,b    these contestants alone
  --rounds N           so many rounds
  --private            a Postgres and a Redis that are started for the benchmark, set as they come
  --postgres URL       the Postgres to use; by default the usual local one, else one is started
  --redis URL          the Redis to use; the same
  --report FILE        measure nothing: print the results in FILE, and write README, chart and page from them
  --help

Workloads: ${WORKLOADS.map(({ name }) => name).join(", ")}.
Contestants: ${CONTESTANTS.map(({ name }) => name).join(", ")}.`;

/** Tasks of a soak. */
const SOAK = 5_000_000;

/**
 * Reads the arguments; undefined when help was asked for.
 *
 * @throws {Error} one line, for what cannot be understood
 */
export function parseOptions(args: readonly string[]): Options | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: "boolean", default: false },
      soak: { type: "boolean", default: false },
      others: { type: "boolean", default: false },
      tasks: { type: "string" },
      only: { type: "string" },
      contestants: { type: "string" },
      rounds: { type: "string" },
      private: { type: "boolean", default: false },
      postgres: { type: "string" },
      redis: { type: "string" },
      report: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return undefined;
  return {
    quick: values.quick,
    soak: values.soak,
    others: values.others,
    only: names("--only", values.only, WORKLOADS.map(({ name }) => name)),
    contestants: names("--contestants", values.contestants, CONTESTANTS.map(({ name }) => name)),
    rounds: values.rounds === undefined ? undefined : whole("--rounds", values.rounds),
    tasks: values.tasks === undefined ? SOAK : whole("--tasks", values.tasks),
    own: values.private,
    postgres: values.postgres,
    redis: values.redis,
    report: values.report,
  };
}

function names(option: string, value: string | undefined, known: readonly string[]): string[] | undefined {
  const given = value?.split(",");
  const unknown = given?.find((name) => !known.includes(name));
  if (unknown !== undefined) throw new Error(`${option}: there is no ${unknown}; known: ${known.join(", ")}`);
  return given;
}

function whole(option: string, value: string): number {
  const number = Number(value);
  if (Number.isSafeInteger(number) && number > 0) return number;
  throw new Error(`${option} is ${value}: give a whole number from 1`);
}
