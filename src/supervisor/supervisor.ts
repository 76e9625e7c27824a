/**
 * The parent of engines: starts and replaces them, renews their leases, rescues what dead ones held, does upkeep.
 *
 * @module
 */

import { systemClock, within } from "../clock.ts";
import { childEnvironment, need, type Settings } from "../config.ts";
import { type ControlMessage, createDispatch, type Dispatch } from "../dispatch/mod.ts";
import { Heartbeat } from "../engine/heartbeat.ts";
import { journalFolder } from "../engine/journal.ts";
import { messageOf, SettingsError } from "../errors.ts";
import { logger } from "../log.ts";
import type { Service } from "../service.ts";
import { connectStore, isEmbedded, rememberDatabase } from "../store/connect.ts";
import type { HeldRow, Store } from "../store/mod.ts";
import { Due } from "../upkeep/due.ts";
import { Janitor } from "../upkeep/janitor.ts";
import { Leader } from "../upkeep/leader.ts";
import { Recoverer } from "../upkeep/recoverer.ts";
import { Redispatcher } from "../upkeep/redispatcher.ts";
import { EngineProcess } from "./engine_process.ts";
import { Places } from "./places.ts";
import { Rescuer } from "./rescuer.ts";
import { Spooler } from "./spooler.ts";
import { Suspects } from "./suspects.ts";
import { Watchdog } from "./watchdog.ts";

/** How a supervisor is made. */
export interface SupervisorOptions {
  readonly settings: Settings;
  /** Brings the schema up to date first. @default true */
  readonly migrate?: boolean;
  /** Takes the lines of the engines' logs. */
  writeLine(line: string): void;
}

/** Connections: beats, upkeep, rescues. */
const CONNECTIONS = 3;
/** Engine processes at most, unless a setting says more. */
const MOST_PROCESSES = 4;
/** What engines get beyond the drain time to write their last words, milliseconds. */
const LAST_WORDS = 12_000;

/** Supervises the engines of one host. */
export class Supervisor {
  readonly #settings: Settings;
  readonly #options: SupervisorOptions;
  readonly #varFolder: string;
  readonly #store: Store;
  readonly #engines = new Set<EngineProcess>();
  readonly #places: Places;
  readonly #stopping = new AbortController();
  readonly #log = logger("supervisor");
  #services: Service[] = [];
  #rescuer: Rescuer | undefined;
  #suspects: Suspects | undefined;
  #dispatch: Dispatch | undefined;
  #due: Due | undefined;
  #unlisten = () => {};

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#settings = options.settings;
    this.#varFolder = need(options.settings.varFolder, "var");
    const { settings } = options;
    this.#store = connectStore(settings, { applicationName: "tq supervisor", connections: CONNECTIONS });
    this.#places = new Places({
      count: settings.TQ_PROCESSES ??
        (isEmbedded(settings) ? 1 : Math.min(MOST_PROCESSES, navigator.hardwareConcurrency)),
      spawn: (strict) => this.#spawn({ strict }),
    });
  }

  /** The engines that live now. */
  get engines(): readonly EngineProcess[] {
    return [...this.#engines];
  }

  /** Resolves when every engine takes tasks. Rejects when one cannot start: then nothing is left running. */
  async start(): Promise<void> {
    const settings = this.#settings;
    await Deno.mkdir(journalFolder(this.#varFolder), { recursive: true });
    try {
      if (this.#options.migrate ?? true) {
        for (const name of await this.#store.migrate()) this.#log.info("Migrated", { name });
      }
      const { install } = await this.#store.open();
      await rememberDatabase(settings);
      const dispatch = this.#dispatch = createDispatch(settings, install, this.#store.wakeup);
      await dispatch.check().catch((error) => {
        if (error instanceof SettingsError) throw error;
        this.#log.warn("Redis is away; engines claim from Postgres", { error: messageOf(error) });
      });
      await this.#startServices(dispatch);
      if (!this.#stopping.signal.aborted) await this.#places.start();
    } catch (error) {
      await this.stop(this.#settings.TQ_DRAIN_TIMEOUT);
      throw error;
    }
  }

  /**
   * Drains the engines and ends.
   *
   * @param seconds what running tasks get; 0 ends engines at once
   */
  async stop(seconds: number): Promise<void> {
    if (!this.#stopping.signal.aborted) this.#log.info("Stopping", { engines: this.#engines.size, seconds });
    this.#stopping.abort();
    // Before the engines are told: none may be started that is not.
    const idle = Promise.all([this.#places.stop(), this.#suspects?.stop()]);
    for (const engine of this.#engines) engine.drain(seconds);
    const ends = Promise.all([...this.#engines].map((engine) => engine.exited));
    await within(systemClock, seconds * 1000 + (seconds === 0 ? 0 : LAST_WORDS), ends);
    this.killEngines();
    await ends;
    await idle;
    await this.#rescuer?.idle();
    this.#unlisten();
    await Promise.all(this.#services.map((service) => service.stop()));
    await this.#dispatch?.close();
    await this.#store.close();
    this.#log.info("Stopped");
  }

  /** Ends all engines at once: their tasks are put back. */
  killEngines(): void {
    for (const engine of this.#engines) engine.kill();
  }

  /** Replaces the engines one by one, the gapless way. @throws {TqError} when a new one cannot start */
  async reload(): Promise<void> {
    await this.#places.reload();
  }

  #spawn(how: { strict?: boolean; only?: number }): EngineProcess {
    const { settings, writeLine } = this.#options;
    const engine = new EngineProcess({ environment: childEnvironment(settings), writeLine, ...how });
    this.#engines.add(engine);
    engine.exited.then((status) => {
      this.#engines.delete(engine);
      this.#rescuer?.engineEnded(engine, status);
    });
    this.#log.info("Starting engine", { pid: engine.pid, suspect: how.only });
    engine.ready.then(({ id, commit }) => {
      this.#log.info("Engine is ready", { pid: engine.pid, engine: id, commit: commit ?? undefined });
    }, () => {});
    return engine;
  }

  async #startServices(dispatch: Dispatch): Promise<void> {
    const settings = this.#settings;
    const store = this.#store;
    const heartbeat = new Heartbeat({
      store,
      lease: settings.TQ_LEASE,
      engineIds: () => [...this.#engines].flatMap((engine) => engine.identity?.id ?? []),
      heard: (id, rows) => this.#beaten(id, rows),
    });
    const rescuer = this.#rescuer = new Rescuer({
      store,
      dispatch,
      varFolder: this.#varFolder,
      isOurs: (id) => this.engines.some((engine) => engine.identity?.id === id),
      suspected: () => suspects.expect(),
    });
    const suspects = this.#suspects = new Suspects({
      store,
      channels: settings.TQ_SUBSCRIBE.map((one) => one.channel),
      spawn: (only) => this.#spawn({ only }),
    });
    const watchdog = new Watchdog({
      store,
      engines: () => this.engines,
      replace: (engine) => this.#replace(engine),
    });
    const leader = new Leader(store, systemClock, settings.TQ_LEASE);
    const upkeep = { store, dispatch, settings, leader, gapless: () => heartbeat.gapless };
    this.#due = new Due(upkeep);
    // What engines of an earlier supervisor held is free before the first engine of this one starts.
    await rescuer.runOnce();
    await rescuer.idle();
    if (this.#stopping.signal.aborted) return;
    this.#services = [
      heartbeat,
      rescuer,
      suspects,
      watchdog,
      new Spooler(settings, this.#varFolder, { store, dispatch }),
      this.#due,
      new Recoverer(upkeep),
      new Redispatcher(upkeep),
      new Janitor(upkeep),
      leader,
    ];
    for (const service of this.#services) service.start();
    this.#unlisten = await dispatch.listen((message) => this.#heard(message));
  }

  /** Tells an engine what the record says of it. One that was declared dead is replaced: it never comes back. */
  #beaten(id: string, rows: readonly HeldRow[] | undefined): void {
    const engine = [...this.#engines].find((one) => one.identity?.id === id);
    if (engine === undefined) return;
    engine.send({ type: "held", rows: rows ?? [] });
    if (rows !== undefined || engine.isDraining) return;
    this.#log.warn("An engine was declared dead while it lived; it is replaced", {
      pid: engine.pid,
      engine: id,
    });
    this.#replace(engine);
  }

  #replace(engine: EngineProcess): void {
    this.#places.replace(engine).catch((error) => {
      this.#log.error("An engine could not be replaced", { pid: engine.pid, error: messageOf(error) });
    });
  }

  #heard(message: ControlMessage): void {
    if (message.kind === "due") this.#due?.wake();
    if (message.kind === "cancel") {
      for (const engine of this.#engines) engine.send({ type: "cancel", ids: message.ids });
    }
  }
}
