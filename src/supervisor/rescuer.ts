/**
 * Takes tasks back from engines of this host that are known to be dead, without waiting for their leases.
 *
 * @module
 */

import { join } from "node:path";
import { within } from "../clock.ts";
import type { Dispatch } from "../dispatch/mod.ts";
import { isJournal, journalFolder, readJournal } from "../engine/journal.ts";
import { messageOf } from "../errors.ts";
import { logger } from "../log.ts";
import { FileLock } from "../posix.ts";
import { Service } from "../service.ts";
import type { Death, Store } from "../store/mod.ts";
import { pushed } from "../upkeep/due.ts";
import type { EngineProcess } from "./engine_process.ts";

/** How a rescuer is made. */
export interface RescuerOptions {
  readonly store: Pick<Store, "rescue">;
  readonly dispatch: Dispatch;
  readonly varFolder: string;
  /** Whether an engine is this supervisor's own: of its death it hears by itself, with whom to charge. */
  isOurs(engineId: string): boolean;
  /** Called when tasks became suspects. */
  suspected(): void;
  /** Called when an engine died that was not told to. */
  died?(engine: EngineProcess, how: string): void;
  /** Called with how many tasks were taken back. */
  rescued?(tasks: number): void;
}

/** Milliseconds between looks for engines that earlier supervisors left behind. */
const INTERVAL = 2000;
/** How long one rescue is tried; then a later look, or the lease, decides. Milliseconds. */
const PATIENCE = 60_000;
/** What rescues under way get at a stop, milliseconds. */
const LAST_WORDS = 10_000;

/** Rescues at an engine's end; as a loop, what engines without a supervisor held. */
export class Rescuer extends Service {
  readonly #options: RescuerOptions;
  readonly #log = logger("supervisor");
  readonly #underWay = new Map<string, Promise<void>>();
  readonly #expected = new Map<string, Death>();

  constructor(options: RescuerOptions) {
    super("supervisor");
    this.#options = options;
  }

  /** Rescues what `engine` held. One that ended well took its journal with it: then there is nothing, and only its row goes. */
  engineEnded(engine: EngineProcess, status: Deno.CommandStatus): void {
    const id = engine.identity?.id;
    const journal = id === undefined ? undefined : this.journalOf(id);
    const how = engine.death?.reason ?? status.signal ?? `exit code ${status.code}`;
    // One that was told to end before it was ready has nothing to tell.
    if (id === undefined ? !engine.isDraining : journal !== undefined) {
      this.#log.error("Engine died", { pid: engine.pid, engine: id, how });
      this.#options.died?.(engine, how);
    }
    if (id === undefined) return;
    this.#rescue(id, engine.death ?? { reason: `worker engine died (${how})`, suspects: journal ?? [] });
  }

  /**
   * Rescues what engines of earlier supervisors of this host held: whoever can take an engine's lock knows that it
   * is dead. The death of a supervisor or a host is nobody's fault, so nobody is charged.
   */
  async runOnce(): Promise<number> {
    const folder = journalFolder(this.#options.varFolder);
    for await (const { name, isFile } of Deno.readDir(folder)) {
      if (!isFile || !isJournal(name) || this.#underWay.has(name) || this.#options.isOurs(name)) continue;
      const lock = FileLock.tryTake(join(folder, name));
      if (lock === undefined) continue;
      this.#rescue(name, this.#expected.get(name) ?? { reason: "engine lost" }, lock);
      this.#expected.delete(name);
    }
    return INTERVAL;
  }

  /** Tells how an engine of an earlier supervisor, which is not lost, is about to end. */
  expect(engineId: string, death: Death): void {
    this.#expected.set(engineId, death);
  }

  /** Resolves when the rescues under way are done, or have taken too long. */
  async idle(): Promise<void> {
    await within(this.clock, LAST_WORDS, Promise.all(this.#underWay.values()));
  }

  /** @param lock on the engine's journal, held to the end */
  #rescue(id: string, death: Death, lock?: FileLock): void {
    const rescue = this.#tryRescue(id, death).finally(() => {
      lock?.[Symbol.dispose]();
      this.#underWay.delete(id);
    });
    this.#underWay.set(id, rescue);
  }

  async #tryRescue(id: string, death: Death): Promise<void> {
    const { store, dispatch, varFolder } = this.#options;
    try {
      const { ready, moved } = await store.rescue(id, death, { patience: PATIENCE });
      const suspects = (death.suspects?.length ?? 0) + (death.overdue?.length ?? 0);
      this.#options.rescued?.(moved);
      if (moved > 0) this.#log.info("Tasks were taken back", { engine: id, tasks: moved, suspects });
      await Deno.remove(join(journalFolder(varFolder), id)).catch(() => {});
      await pushed(dispatch, ready);
      if (suspects > 0) this.#options.suspected();
    } catch (error) {
      this.#log.warn("Cannot take tasks back yet", { engine: id, error: messageOf(error) });
    }
  }

  /** The tasks that are inside their handlers by an engine's journal; undefined where there is none. */
  journalOf(id: string): number[] | undefined {
    const path = join(journalFolder(this.#options.varFolder), id);
    try {
      return readJournal(path);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      this.#log.warn("Cannot read a journal", { path, error: messageOf(error) });
      return [];
    }
  }
}
