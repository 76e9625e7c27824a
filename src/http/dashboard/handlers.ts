/**
 * Handlers for the dashboard: which there are, and how they did in the last hour.
 *
 * The supervisor imports no handler, so that nothing of a user's own can block it. It asks `tq handlers`, a process
 * that ends, and keeps the answer until other engines run.
 *
 * @module
 */

import { outputWithin } from "../../child_output.ts";
import { type Clock, systemClock } from "../../clock.ts";
import { childEnvironment, need, type Settings } from "../../config.ts";
import { TqError } from "../../errors.ts";
import type { HandlerEntry } from "../../handler/registry.ts";
import { selfCommand } from "../../self.ts";
import { emptyHandler, handlerKey, type HandlerTally } from "./tally.ts";
import type { Failure } from "./tally.ts";

/** What `tq handlers` says. */
export interface HandlerList {
  readonly handlers: readonly HandlerEntry[];
  readonly problems: readonly { readonly file: string; readonly message: string }[];
}

/** The page of handlers. */
export interface HandlersView {
  /** Those that failed most first, then the busiest, then by name. */
  readonly handlers: readonly {
    readonly model: string;
    readonly fname: string;
    /** Null for one that ran, and is not here: on another host, or removed since. */
    readonly file: string | null;
    /** `timeout: 120, maxAttempts: 3` */
    readonly defaults: string;
    readonly completed: number;
    readonly failed: number;
    /** Of all runs in the last hour. */
    readonly seconds: number;
    readonly longest: number;
    readonly failure: Failure | null;
  }[];
  /** Modules that do not import. */
  readonly problems: readonly string[];
}

/** Milliseconds that the list may take: every handler is imported for it. */
const DEADLINE = 30_000;

/** Asks for the list, and keeps it. */
export class HandlerLister {
  readonly #settings: Settings;
  readonly #clock: Clock;
  #kept: { readonly key: string; readonly list: Promise<HandlerList> } | undefined;

  constructor(settings: Settings, clock: Clock = systemClock) {
    this.#settings = settings;
    this.#clock = clock;
  }

  /** The list; the same one as long as `key` is. */
  list(key: string): Promise<HandlerList> {
    if (this.#kept?.key !== key) {
      const list = this.#ask();
      this.#kept = { key, list };
      // An answer that failed is not kept.
      list.catch(() => this.#kept = this.#kept?.list === list ? undefined : this.#kept);
    }
    return this.#kept.list;
  }

  async #ask(): Promise<HandlerList> {
    const { executable, args } = selfCommand("handlers", "--json");
    const child = new Deno.Command(executable, {
      args,
      env: childEnvironment(this.#settings),
      cwd: need(this.#settings.root, "root"),
      stdin: "null",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    try {
      // A handler that never stops importing must not stay behind.
      const ended = await outputWithin(this.#clock, DEADLINE, child);
      if (ended === undefined) throw new Error(`not within ${DEADLINE / 1000} s`);
      return JSON.parse(new TextDecoder().decode(ended.stdout));
    } catch (error) {
      throw new TqError("the handlers could not be listed", { cause: error, remedy: "run tq handlers" });
    }
  }
}

/** Puts the page together. */
export function handlersOf(
  { handlers, problems }: HandlerList,
  hour: ReadonlyMap<string, HandlerTally & { readonly failure: Failure | undefined }>,
): HandlersView {
  const here = new Map(handlers.map((entry) => [handlerKey(entry.model, entry.fname), entry]));
  const keys = new Set([...here.keys(), ...hour.keys()]);
  const rows = [...keys].map((key) => {
    const entry = here.get(key);
    const [model = "", fname = ""] = key.split(" ");
    const { failure, completed, failed, seconds, longest } = hour.get(key) ??
      { ...emptyHandler(model, fname), failure: undefined };
    return {
      model,
      fname,
      file: entry?.file ?? null,
      defaults: Object.entries(entry?.defaults ?? {}).map(([name, value]) => `${name}: ${value}`).join(", "),
      completed,
      failed,
      seconds,
      longest,
      failure: failure ?? null,
    };
  });
  const byName = (a: string, b: string) => a < b ? -1 : 1;
  rows.sort((a, b) =>
    b.failed - a.failed || b.completed - a.completed ||
    byName(`${a.model} ${a.fname}`, `${b.model} ${b.fname}`)
  );
  return {
    handlers: rows,
    problems: problems.map(({ message }) => message),
  };
}
