/**
 * Ends engines that look alive and are not: one whose event loop a handler blocks beyond its time limit, one that is
 * deaf, that is, takes no tasks although there are some, and one whose handlers go on after their tasks are over.
 *
 * @module
 */

import { type Clock, systemClock } from "../clock.ts";
import { logger } from "../log.ts";
import { Service } from "../service.ts";
import type { Death, HeldBy, Store } from "../store/mod.ts";
import type { EngineProcess } from "./engine_process.ts";
import type { OldEngine } from "./old_engines.ts";

/** How a watchdog is made. */
export interface WatchdogOptions {
  readonly store: Pick<Store, "heldBy" | "readyCounts">;
  engines(): readonly EngineProcess[];
  /** Those of the program that this one has replaced: they look at time limits, and answer nobody. */
  oldEngines(): readonly OldEngine[];
  /** Ends one of those at once. */
  endOld(engine: OldEngine, death: Death): void;
  /** The tasks that are inside their handlers in an engine. */
  inside(engineId: string): readonly number[];
  /** Channels that had ready tasks at the last beat: only then is the record asked whether it still has some. */
  ready(): readonly string[];
  /** Bytes of memory, and tasks, after which an engine is replaced. */
  readonly mostRss: number;
  readonly mostTasks: number;
  /** Whether a worn out engine may be replaced: not while the code that is there was refused. */
  mayRecycle(): boolean;
  /** Replaces an engine that is deaf, stuck, or worn out. */
  replace(engine: EngineProcess): void;
  readonly clock?: Clock;
}

/** Milliseconds between looks. */
const INTERVAL = 2500;
/** An engine that has not answered a beat for this long may be blocked, milliseconds. */
const SILENCE = 2000;
/** One that holds no task and has been silent for this long is blocked by a handler whose task is over, milliseconds. */
const EMPTY_SILENCE = 30_000;
/** A blocked engine cannot abort its handlers, so a task's grace is short: seconds past its time limit. */
const GRACE = 2;
/** One that is not blocked decides ten seconds past a task's limit itself: seconds for one that cannot be asked. */
const OLD_GRACE = 20;
/** One that cannot be asked, and has for this long held tasks past their limits and none inside, is blocked, milliseconds. */
const OLD_LATENESS = 30_000;
/** A younger engine is not replaced for its size, milliseconds: what it needs from the start its successor needs too. */
const GROWN_UP = 60_000;
/** Ready tasks, places for them, and nothing claimed for this long: deaf. Milliseconds. */
const DEAFNESS = 10_000;

/** How one ends that runs nothing and answers nothing. */
const UNRESPONSIVE: Death = { reason: "the worker engine did not answer" };

/** Since when an engine has claimed nothing although it would; and since when there was something, monotonic milliseconds. */
interface Idleness {
  /** What it had claimed by then. */
  readonly claimed: number;
  readonly since: number;
  readySince: number | undefined;
}

/** The loop that watches engines. */
export class Watchdog extends Service {
  readonly #options: WatchdogOptions;
  readonly #log = logger("supervisor");
  readonly #idle = new WeakMap<EngineProcess, Idleness>();
  /** Since when an engine of the old tq has held late tasks and run none, by its id, monotonic milliseconds. */
  #lateSince = new Map<string, number>();
  #lastLook = Infinity;

  constructor(options: WatchdogOptions) {
    super("supervisor", options.clock ?? systemClock);
    this.#options = options;
  }

  async runOnce(): Promise<number> {
    // Where this process has slept the engines have as well, and their answers are on their way.
    const hasSlept = this.clock.monotonic() - this.#lastLook > 2 * INTERVAL;
    try {
      for (const engine of this.#options.engines()) {
        if (engine.silentFor <= SILENCE) await this.#judge(engine);
        else if (!hasSlept) await this.#endBlocked(engine);
      }
      const late = new Map<string, number>();
      for (const engine of this.#options.oldEngines()) await this.#endOldBlocked(engine, late);
      this.#lateSince = late;
    } finally {
      this.#lastLook = this.clock.monotonic();
    }
    return INTERVAL;
  }

  /** Whether one that answers is to be replaced. */
  async #judge(engine: EngineProcess): Promise<void> {
    if (!this.#replaceStuck(engine) && !this.#replaceWornOut(engine)) await this.#replaceDeaf(engine);
  }

  /** Handlers that heed no signal keep their places for good: the engine goes when it has nothing else to do. */
  #replaceStuck(engine: EngineProcess): boolean {
    const { status, isDraining } = engine;
    if (status === undefined || isDraining || status.stuck === 0 || status.running > status.stuck) {
      return false;
    }
    this.#log.warn("Replacing an engine whose handlers go on after their tasks are over", {
      pid: engine.pid,
      tasks: status.stuck,
    });
    this.#options.replace(engine);
    return true;
  }

  #replaceWornOut(engine: EngineProcess): boolean {
    const { status, isDraining } = engine;
    const { mostRss, mostTasks } = this.#options;
    if (status === undefined || isDraining || !this.#options.mayRecycle()) return false;
    const isLarge = status.rss > mostRss && engine.age > GROWN_UP;
    if (!isLarge && status.claimed < mostTasks) return false;
    this.#log.info("Recycling an engine", { pid: engine.pid, rss: status.rss, tasks: status.claimed });
    this.#options.replace(engine);
    return true;
  }

  async #endBlocked(engine: EngineProcess): Promise<void> {
    const id = engine.identity?.id;
    if (id === undefined) return;
    const { isEmpty, isLate, overdue, others } = await this.#look(id, GRACE);
    // It has answered meanwhile.
    if (engine.silentFor <= SILENCE) return;
    if (overdue.length > 0) return engine.kill(this.#blocked(engine.pid, overdue));
    // A handler within its limit may compute: what waits behind it is past its own without a fault.
    if (others.length > 0 || !(isLate || isEmpty && engine.silentFor > EMPTY_SILENCE)) return;
    this.#log.error("An engine answers nothing and runs nothing; it is ended", { pid: engine.pid });
    engine.kill(UNRESPONSIVE);
  }

  /** @param late takes it when it holds tasks past their limits and runs none */
  async #endOldBlocked(engine: OldEngine, late: Map<string, number>): Promise<void> {
    const { id, pid } = engine;
    if (id === null) return;
    const { isLate, overdue, others } = await this.#look(id, OLD_GRACE);
    if (overdue.length > 0) return this.#options.endOld(engine, this.#blocked(pid, overdue));
    if (!isLate || others.length > 0) return;
    const since = this.#lateSince.get(id) ?? this.clock.monotonic();
    late.set(id, since);
    if (this.clock.monotonic() - since < OLD_LATENESS) return;
    this.#log.error("An engine of the old tq ends nothing and runs nothing; it is ended", { pid });
    this.#options.endOld(engine, UNRESPONSIVE);
  }

  /**
   * Whether an engine holds no task, or some past their limits; and of those inside their handlers, which are, and the
   * others.
   */
  async #look(
    engineId: string,
    grace: number,
  ): Promise<HeldBy & { readonly isEmpty: boolean; readonly isLate: boolean }> {
    const { overdue, others } = await this.#options.store.heldBy(engineId, grace);
    const inside = new Set(this.#options.inside(engineId));
    const isInside = (id: number) => inside.has(id);
    return {
      isEmpty: overdue.length + others.length === 0,
      isLate: overdue.length > 0,
      overdue: overdue.filter(isInside),
      others: others.filter(isInside),
    };
  }

  #blocked(pid: number, overdue: readonly number[]): Death {
    this.#log.error("A handler blocks its engine beyond its time limit", { pid, tasks: overdue });
    return { reason: "a handler blocked the worker engine", overdue };
  }

  async #replaceDeaf(engine: EngineProcess): Promise<void> {
    const { status } = engine;
    if (status === undefined || engine.isDraining) return;
    const now = this.clock.monotonic();
    const idle = this.#idle.get(engine);
    if (status.open.length === 0 || idle?.claimed !== status.claimed) {
      this.#idle.set(engine, { claimed: status.claimed, since: now, readySince: undefined });
      return;
    }
    const waiting = this.#options.ready().filter((channel) => status.open.includes(channel));
    if (waiting.length === 0) idle.readySince = undefined;
    if (waiting.length === 0 || now - idle.since < DEAFNESS / 2) return;
    const ready = await this.#options.store.readyCounts(waiting);
    if ([...ready.values()].every((count) => count === 0)) idle.readySince = undefined;
    else if (now - (idle.readySince ??= now) >= DEAFNESS) {
      this.#log.error("An engine takes no tasks although there are some; it is replaced", {
        pid: engine.pid,
      });
      this.#options.replace(engine);
    }
  }
}
