/**
 * The parent of engines: starts and replaces them, renews their leases, rescues what dead ones held, does upkeep.
 *
 * @module
 */

import { join } from "node:path";
import { systemClock, within } from "../clock.ts";
import { need, type Settings } from "../config.ts";
import { type ControlMessage, createDispatch, type Dispatch } from "../dispatch/mod.ts";
import { journalFolder, readJournal } from "../engine/journal.ts";
import { messageOf } from "../errors.ts";
import { logger } from "../log.ts";
import { FileLock } from "../posix.ts";
import { reconnectDelay } from "../retry_policy.ts";
import type { Service } from "../service.ts";
import { connectStore, isEmbedded, rememberDatabase } from "../store/connect.ts";
import type { Store } from "../store/mod.ts";
import { Due, pushed } from "../upkeep/due.ts";
import { Janitor } from "../upkeep/janitor.ts";
import { Leader } from "../upkeep/leader.ts";
import { Recoverer } from "../upkeep/recoverer.ts";
import { Redispatcher } from "../upkeep/redispatcher.ts";
import { EngineProcess } from "./engine_process.ts";
import { Heartbeat } from "./heartbeat.ts";

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
/** An engine that lived for this long was sound, milliseconds. */
const SOUND_AGE = 10_000;
/** The longest pause before an engine that dies young is started again, milliseconds. */
const LONGEST_PAUSE = 30_000;
/** What engines get beyond the drain time to write their last words, milliseconds. */
const LAST_WORDS = 12_000;
/** How long a rescue is tried; after that the lease decides. Milliseconds. */
const RESCUE_PATIENCE = 60_000;

/** Supervises the engines of one host. */
export class Supervisor {
  readonly #settings: Settings;
  readonly #options: SupervisorOptions;
  readonly #varFolder: string;
  readonly #store: Store;
  readonly #engines = new Set<EngineProcess>();
  readonly #places = new Set<Promise<void>>();
  readonly #rescues = new Set<Promise<void>>();
  readonly #stopping = new AbortController();
  readonly #log = logger("supervisor");
  #services: Service[] = [];
  #leader: Leader | undefined;
  #dispatch: Dispatch | undefined;
  #due: Due | undefined;
  #unlisten = () => {};

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#settings = options.settings;
    this.#varFolder = need(options.settings.varFolder, "var");
    this.#store = connectStore(options.settings, {
      applicationName: "tq supervisor",
      connections: CONNECTIONS,
    });
  }

  /** The engines that live now. */
  get engines(): readonly EngineProcess[] {
    return [...this.#engines];
  }

  /** Resolves when every engine takes tasks. Rejects when one cannot start: then nothing is left running. */
  async start(): Promise<void> {
    const { settings } = this.#options;
    await Deno.mkdir(journalFolder(this.#varFolder), { recursive: true });
    try {
      if (this.#options.migrate ?? true) {
        for (const name of await this.#store.migrate()) this.#log.info("Migrated", { name });
      }
      const { install } = await this.#store.open(1);
      await rememberDatabase(settings);
      const dispatch = this.#dispatch = createDispatch(settings, install, this.#store.wakeup);
      await dispatch.check().catch((error) => {
        if (error.name === "SettingsError") throw error;
        this.#log.warn("Redis is away; engines claim from Postgres", { error: messageOf(error) });
      });
      await this.#rescueLeftBehind();
      await this.#startUpkeep(dispatch);
      const count = settings.TQ_PROCESSES ??
        (isEmbedded(settings) ? 1 : Math.min(4, navigator.hardwareConcurrency));
      const first = Array.from({ length: count }, () => this.#spawn());
      await Promise.all(first.map((engine) => engine.ready));
      for (const engine of first) this.#keepPlace(engine);
    } catch (error) {
      await this.stop(0);
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
    for (const engine of this.#engines) this.#drain(engine, seconds);
    const ends = Promise.all([...this.#engines].map((engine) => engine.exited));
    await within(systemClock, seconds * 1000 + (seconds === 0 ? 0 : LAST_WORDS), ends);
    this.killEngines();
    await ends;
    await Promise.all(this.#places);
    await within(systemClock, LAST_WORDS, Promise.all(this.#rescues));
    this.#unlisten();
    await Promise.all(this.#services.map((service) => service.stop()));
    await this.#leader?.stop();
    await this.#dispatch?.close();
    await this.#store.close();
    this.#log.info("Stopped");
  }

  /** Ends all engines at once: their tasks are rescued as those of dead ones. */
  killEngines(): void {
    for (const engine of this.#engines) engine.kill();
  }

  #spawn(): EngineProcess {
    const engine = new EngineProcess({
      environment: this.#settings.given,
      writeLine: this.#options.writeLine,
    });
    this.#engines.add(engine);
    this.#log.info("Starting engine", { pid: engine.pid });
    engine.ready.then(({ id, commit }) =>
      this.#log.info("Engine is ready", { pid: engine.pid, engine: id, commit: commit ?? undefined })
    )
      .catch(() => {});
    return engine;
  }

  #drain(engine: EngineProcess, seconds: number | null): void {
    engine.isDraining = true;
    engine.send({ type: "drain", seconds });
  }

  /** Keeps one engine running: when it ends, its tasks are rescued and another takes its place. */
  #keepPlace(first: EngineProcess): void {
    const place = this.#replaceAsTheyEnd(first).finally(() => this.#places.delete(place));
    this.#places.add(place);
  }

  async #replaceAsTheyEnd(engine: EngineProcess): Promise<void> {
    for (let youngDeaths = 0;;) {
      const status = await engine.exited;
      this.#engines.delete(engine);
      this.#rescue(engine, status);
      if (this.#stopping.signal.aborted) return;
      youngDeaths = engine.age() < SOUND_AGE ? youngDeaths + 1 : 0;
      if (youngDeaths > 1) {
        const pause = reconnectDelay(youngDeaths, LONGEST_PAUSE);
        this.#log.warn("Engines die young; the next one waits", {
          deaths: youngDeaths,
          seconds: Math.round(pause / 100) / 10,
        });
        await systemClock.sleep(pause, this.#stopping.signal);
        if (this.#stopping.signal.aborted) return;
      }
      engine = this.#spawn();
    }
  }

  /** Takes what the engine held from it. After a clean end there is nothing, and only its row goes. */
  #rescue(engine: EngineProcess, status: Deno.CommandStatus): void {
    const id = engine.identity?.id;
    const clean = status.success && engine.isDraining;
    const how = status.signal ?? `exit code ${status.code}`;
    if (!clean) this.#log.error("Engine died", { pid: engine.pid, engine: id, how });
    if (id === undefined) return;
    const path = join(journalFolder(this.#varFolder), id);
    let suspects: number[] = [];
    try {
      suspects = readJournal(path);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) {
        this.#log.warn("Cannot read a journal", { path, error: messageOf(error) });
      }
    }
    // Killed by us at the end of a drain: nobody's fault.
    const charged = engine.isDraining ? [] : suspects;
    const reason = engine.isDraining ? "worker engine restarting" : `worker engine died (${how})`;
    this.#rescueRows(id, charged, reason, path);
  }

  #rescueRows(id: string, suspects: readonly number[], reason: string, path: string): void {
    const rescue = this.#store.rescue(id, suspects, reason, { patience: RESCUE_PATIENCE }).then(
      async ({ ready, moved }) => {
        if (moved > 0) {
          this.#log.info("Tasks were taken back", { engine: id, tasks: moved, suspects: suspects.length });
        }
        await pushed(this.#dispatch as Dispatch, ready);
        await Deno.remove(path).catch(() => {});
      },
      (error) =>
        this.#log.warn("Cannot take tasks back; the lease will decide", {
          engine: id,
          error: messageOf(error),
        }),
    ).finally(() => this.#rescues.delete(rescue));
    this.#rescues.add(rescue);
  }

  /**
   * Rescues what engines of earlier supervisors of this host held: whoever can take an engine's lock knows that it
   * is dead. The death of a supervisor or a host is nobody's fault, so nobody is charged.
   */
  async #rescueLeftBehind(): Promise<void> {
    for await (const { name } of Deno.readDir(journalFolder(this.#varFolder))) {
      const path = join(journalFolder(this.#varFolder), name);
      using lock = FileLock.tryTake(path);
      if (lock !== undefined) this.#rescueRows(name, [], "engine lost", path);
    }
    await Promise.all(this.#rescues);
  }

  async #startUpkeep(dispatch: Dispatch): Promise<void> {
    const heartbeat = new Heartbeat({
      store: this.#store,
      lease: this.#settings.TQ_LEASE,
      engineIds: () => [...this.#engines].flatMap((engine) => engine.identity?.id ?? []),
      heard: (id, rows) => this.#engineOf(id)?.send({ type: "held", rows }),
    });
    const leader = this.#leader = new Leader(this.#store);
    const options = {
      store: this.#store,
      dispatch,
      settings: this.#settings,
      leader,
      gapless: () => heartbeat.gapless,
    };
    this.#due = new Due(options);
    this.#services = [
      heartbeat,
      this.#due,
      new Recoverer(options),
      new Redispatcher(options),
      new Janitor(options),
    ];
    for (const service of [leader, ...this.#services]) service.start();
    this.#unlisten = await dispatch.listen((message) => this.#heard(message));
  }

  #heard(message: ControlMessage): void {
    if (message.kind === "due") this.#due?.wake();
    if (message.kind === "cancel") {
      for (const engine of this.#engines) engine.send({ type: "cancel", ids: message.ids });
    }
  }

  #engineOf(id: string): EngineProcess | undefined {
    return [...this.#engines].find((engine) => engine.identity?.id === id);
  }
}
