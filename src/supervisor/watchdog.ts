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
/** A blocked engine cannot abort its handlers, so a task's grace is short: seconds past its time limit. */
const GRACE = 2;
/** One that is not blocked decides ten seconds past a task's limit itself: seconds for one that cannot be asked. */
const OLD_GRACE = 20;
/** A younger engine is not replaced for its size, milliseconds: what it needs from the start its successor needs too. */
const GROWN_UP = 60_000;
/** Ready tasks, places for them, and nothing claimed for this long: deaf. Milliseconds. */
const DEAFNESS = 10_000;

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

  constructor(options: WatchdogOptions) {
    super("supervisor", options.clock ?? systemClock);
    this.#options = options;
  }

  async runOnce(): Promise<number> {
    for (const engine of this.#options.engines()) {
      if (engine.silentFor > SILENCE) await this.#endBlocked(engine);
      else if (!this.#replaceStuck(engine) && !this.#replaceWornOut(engine)) await this.#replaceDeaf(engine);
    }
    for (const engine of this.#options.oldEngines()) await this.#endOldBlocked(engine);
    return INTERVAL;
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
    const { isLate, overdue, others } = await this.#look(id, GRACE);
    if (overdue.length > 0) return engine.kill(this.#blocked(engine.pid, overdue));
    // A handler within its limit may compute: what waits behind it is past its own without a fault.
    if (!isLate || others.length > 0) return;
    this.#log.error("An engine answers nothing and runs nothing; it is ended", { pid: engine.pid });
    engine.kill({ reason: "the worker engine did not answer" });
  }

  async #endOldBlocked(engine: OldEngine): Promise<void> {
    if (engine.id === null) return;
    const { overdue } = await this.#look(engine.id, OLD_GRACE);
    if (overdue.length > 0) this.#options.endOld(engine, this.#blocked(engine.pid, overdue));
  }

  /** Whether an engine holds tasks past their limits; and of those inside their handlers, which are, and the others. */
  async #look(engineId: string, grace: number): Promise<HeldBy & { readonly isLate: boolean }> {
    const held = await this.#options.store.heldBy(engineId, grace);
    const inside = new Set(this.#options.inside(engineId));
    const isInside = (id: number) => inside.has(id);
    return {
      isLate: held.overdue.length > 0,
      overdue: held.overdue.filter(isInside),
      others: held.others.filter(isInside),
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
