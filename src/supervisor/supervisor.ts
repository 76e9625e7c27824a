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
import { connectStore, isEmbedded, rememberDatabase } from "../store/connect.ts";
import type { HeldRow, Store } from "../store/mod.ts";
import { VERSION } from "../version.ts";
import { Upkeep } from "../upkeep/mod.ts";
import { EngineProcess } from "./engine_process.ts";
import { Monitor } from "./monitor.ts";
import { statusLine } from "./notify.ts";
import { OldEngines } from "./old_engines.ts";
import type { SupervisorOptions } from "./options.ts";
import { Places } from "./places.ts";
import { selfTest } from "./reexec.ts";
import { Refresh } from "./refresh.ts";
import { Rescuer } from "./rescuer.ts";
import { Serving } from "./serving.ts";
import { Spooler } from "./spooler.ts";
import { Suspects } from "./suspects.ts";
import { type RefreshReport, StatusFile, type SupervisorStatus } from "./status_file.ts";
import { Watchdog } from "./watchdog.ts";

/** Connections: beats, upkeep, rescues. */
const CONNECTIONS = 3;
/** Engine processes at most, unless a setting says more. */
const MOST_PROCESSES = 4;
/** Engines hear that they are handed over within this, milliseconds. */
const HANDOVER = 100;
/** What engines get beyond the drain time to write their last words, milliseconds. */
const LAST_WORDS = 12_000;
/** What loops and requests get to end once the engines have, milliseconds. */
const LAST_ROUNDS = 5000;

/** Supervises the engines of one host. */
export class Supervisor {
  readonly #settings: Settings;
  readonly #options: SupervisorOptions;
  readonly #varFolder: string;
  readonly #store: Store;
  readonly #monitor: Monitor;
  readonly #engines = new Set<EngineProcess>();
  readonly #places: Places;
  readonly #stopping = new AbortController();
  readonly #log = logger("supervisor");
  readonly #refresh: Refresh;
  readonly #started = new Date(systemClock.now()).toISOString();
  readonly #oldEngines: OldEngines;
  readonly #ended = Promise.withResolvers<void>();
  readonly #serving: Serving;
  readonly #name = crypto.randomUUID();
  #isReady = false;
  readonly #statusFile: StatusFile;
  #upkeep: Upkeep | undefined;
  #services: readonly { start(): void; stop(): Promise<void> }[] = [];
  #rescuer: Rescuer | undefined;
  #suspects: Suspects | undefined;
  #dispatch: Dispatch | undefined;
  #unlisten = () => {};

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#settings = options.settings;
    this.#varFolder = need(options.settings.varFolder, "var");
    this.#statusFile = new StatusFile(this.#varFolder);
    this.#oldEngines = new OldEngines(options.oldEngines ?? [], () => void this.#tell());
    const { settings } = options;
    this.#store = connectStore(settings, { applicationName: "tq supervisor", connections: CONNECTIONS });
    this.#monitor = new Monitor({ settings, store: this.#store });
    this.#places = new Places({
      count: settings.TQ_PROCESSES ??
        (isEmbedded(settings) ? 1 : Math.min(MOST_PROCESSES, navigator.hardwareConcurrency)),
      spawn: (strict) => this.#spawn({ strict }),
      troubled: () => void this.#tell(),
    });
    this.#serving = new Serving(options.serve, {
      status: () => this.status,
      metrics: this.#monitor.metrics,
      control: {
        restart: () => this.#restartEverywhere(),
        canceled: (ids) => this.#heard({ kind: "cancel", ids }),
      },
    });
    const root = need(settings.root, "root");
    this.#refresh = new Refresh({
      root,
      handlers: settings.handlersFolder ?? root,
      reload: () => {
        this.#options.notifier?.reloading();
        return this.#places.reload();
      },
      replaceSelf: () => this.#replaceSelf(),
      changed: () => this.#refreshed(),
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
      await this.#serving.start(this.#stopping.signal);
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
      // None may be started that `stop` has not seen.
      if (this.#stopping.signal.aborted) return;
      this.#refresh.begin();
      await this.#places.start();
      this.#isReady = true;
      this.#options.notifier?.ready();
      if (this.#options.oldEngines !== undefined) this.#refresh.succeeded();
      await this.#tell();
      this.#refresh.start();
      this.#oldEngines.drain();
    } catch (error) {
      // Whom `stop` has told to end it also waits for.
      if (!this.#stopping.signal.aborted) this.#oldEngines.leave();
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
    this.#isReady = false;
    this.#options.notifier?.stopping();
    const refreshed = this.#refresh.stop();
    // Before the engines are told: none may be started that is not.
    const idle = Promise.all([this.#places.stop(), this.#suspects?.stop()]);
    for (const engine of this.#engines) engine.drain(seconds);
    const hurried = this.#oldEngines.hurry();
    const ends = Promise.all([
      ...[...this.#engines].map((engine) => engine.exited),
      hurried,
      this.#oldEngines.ended,
    ]);
    await within(systemClock, seconds * 1000 + (seconds === 0 ? 0 : LAST_WORDS), ends);
    this.killEngines();
    await ends;
    // What engines of the old tq held that were killed.
    await this.#rescuer?.runOnce().catch(() => {});
    this.#unlisten();
    const services = this.#services.map((service) => service.stop());
    // Who waits for a Postgres that is silent, or busy with new statistics, would wait for minutes: the end of the
    // store ends that.
    const rest = Promise.all([idle, refreshed, this.#serving.stop(), ...services]);
    await Promise.all([this.#rescuer?.idle(), within(systemClock, LAST_ROUNDS, rest)]);
    await this.#dispatch?.close();
    await this.#store.close();
    this.#log.info("Stopped");
  }

  /** Ends all engines at once: their tasks are put back. */
  killEngines(): void {
    for (const engine of this.#engines) engine.kill();
    this.#oldEngines.kill();
  }

  /** Replaces the engines one by one, the gapless way; the old ones stay when new ones cannot start. */
  async reload(): Promise<RefreshReport> {
    return await this.#refresh.now();
  }

  /** What it tells of itself. */
  get status(): SupervisorStatus {
    const now = new Date(systemClock.now()).toISOString();
    return {
      pid: Deno.pid,
      started: this.#started,
      written: now,
      ready: this.#isReady,
      version: VERSION,
      commit: this.#refresh.commit ?? null,
      dispatch: dispatchText(this.#dispatch, this.#monitor.metrics.redisAway.isRunning),
      leader: this.#upkeep?.isLeader ?? false,
      ...(this.#serving.url === undefined ? {} : { http: this.#serving.url }),
      engines: [...this.engines.map((engine) => engine.report), ...this.#oldEngines.reports],
      refresh: this.#refresh.last,
      trouble: this.#places.trouble ?? null,
    };
  }

  #refreshed(): void {
    this.#monitor.refreshed(this.#refresh.last);
    if (this.#isReady) this.#options.notifier?.ready();
    void this.#tell();
  }

  /** Whoever looks must not wait for the next beat to see that an engine died. */
  #enginesChanged(): void {
    if (this.#isReady) void this.#tell();
  }

  /** Tells it to whoever looks into `var`, and to systemd. */
  #tell(): Promise<void> {
    this.#options.notifier?.tell(statusLine(this.status));
    return this.#statusFile.write(() => this.status);
  }

  /** New code of tq itself: it must run first, then it takes this one's place and its engines over. */
  async #replaceSelf(): Promise<void> {
    this.#options.notifier?.reloading();
    // The new one cannot start without the record, and the old one would be gone by then.
    await this.#store.open();
    const stopping = this.#stopping.signal;
    await selfTest(need(this.#settings.root, "root"), stopping);
    stopping.throwIfAborted();
    const engines = [...this.#oldEngines.left];
    for (const engine of this.#engines) {
      engine.send({ type: "handover" });
      engines.push({ pid: engine.pid, id: engine.identity?.id ?? null, isTold: false });
    }
    this.#log.info("A new tq takes over", { engines: engines.length });
    await this.#upkeep?.resign();
    // What was written to the engines is on its way when the event loop has turned.
    await systemClock.sleep(HANDOVER);
    await this.#serving.giveWay(() => {
      // The new one would not know that it is to stop.
      stopping.throwIfAborted();
      this.#options.replaceProcess?.(engines);
    }, stopping).catch((error) => {
      // It goes on, and somebody must do the upkeep.
      this.#upkeep?.seek();
      throw error;
    });
    this.#ended.resolve();
  }

  /** Resolves when it cannot go on, and wants to be stopped. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  #spawn(how: { strict?: boolean; only?: number }): EngineProcess {
    const { settings, writeLine } = this.#options;
    const folder = need(settings.root, "root");
    const counted: Monitor["counted"] = (engine, told) => this.#monitor.counted(engine, told);
    const environment = childEnvironment(settings);
    const engine = new EngineProcess({ environment, folder, writeLine, counted, ...how });
    this.#engines.add(engine);
    this.#monitor.began(engine);
    engine.exited.then((status) => {
      this.#engines.delete(engine);
      this.#rescuer?.engineEnded(engine, status);
      this.#enginesChanged();
    });
    this.#log.info("Starting engine", { pid: engine.pid, suspect: how.only });
    engine.ready.then(({ id, commit }) => {
      this.#log.info("Engine is ready", { pid: engine.pid, engine: id, commit: commit ?? undefined });
      this.#enginesChanged();
    }, () => {});
    return engine;
  }

  async #startServices(dispatch: Dispatch): Promise<void> {
    const settings = this.#settings;
    const store = this.#store;
    const monitor = this.#monitor;
    const channels = settings.TQ_SUBSCRIBE.map((one) => one.channel);
    let readyChannels: readonly string[] = [];
    const heartbeat = new Heartbeat({
      store: monitor.watched(store),
      lease: settings.TQ_LEASE,
      channels,
      beaten: ({ ready, hasSuspects }) => {
        readyChannels = ready;
        if (hasSuspects) suspects.wake();
        void this.#tell();
      },
      turning: () => this.#options.notifier?.alive(),
      // An old one beats for itself as well, when no handler keeps it from doing so.
      engineIds: () => [
        ...[...this.#engines].flatMap((engine) => engine.identity?.id ?? []),
        ...this.#oldEngines.left.flatMap((engine) => engine.id ?? []),
      ],
      heard: (id, rows) => this.#beaten(id, rows),
    });
    const rescuer = this.#rescuer = new Rescuer({
      store,
      dispatch,
      varFolder: this.#varFolder,
      isOurs: (id) => this.engines.some((engine) => engine.identity?.id === id),
      suspected: () => suspects.expect(),
      died: (engine, how) => monitor.died(engine, how),
      rescued: (tasks) => monitor.moved("rescued", tasks),
    });
    const suspects = this.#suspects = new Suspects({
      store,
      channels,
      spawn: (only) => this.#spawn({ only }),
    });
    const watchdog = new Watchdog({
      store,
      engines: () => this.engines,
      oldEngines: () => this.#oldEngines.left,
      endOld: (engine, death) => {
        if (engine.id !== null) rescuer.expect(engine.id, death);
        this.#oldEngines.kill([engine]);
      },
      inside: (id) => rescuer.journalOf(id) ?? [],
      ready: () => readyChannels,
      mostRss: settings.TQ_MAX_RSS,
      mostTasks: settings.TQ_MAX_TASKS ?? Infinity,
      mayRecycle: () => !this.#refresh.isRefused,
      replace: (engine) => this.#replace(engine),
    });
    const upkeep = this.#upkeep = new Upkeep({
      store,
      dispatch,
      settings,
      observer: monitor,
      gapless: () => heartbeat.gapless,
      gaplessUntil: () => heartbeat.gaplessUntil,
    });
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
      upkeep,
      monitor,
    ];
    for (const service of this.#services) service.start();
    this.#unlisten = await dispatch.listen((message) => this.#heard(message));
  }

  /** Tells an engine what the record says of it. One that was declared dead is replaced: it never comes back. */
  #beaten(id: string, rows: readonly HeldRow[] | undefined): void {
    const engine = [...this.#engines].find((one) => one.identity?.id === id);
    if (engine === undefined) return;
    engine.send({ type: "held", rows: rows ?? [] });
    if (rows !== undefined || engine.isDraining || engine.isAlone) return;
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

  #restartEverywhere(): boolean {
    if (!this.#isReady) return false;
    void this.reload();
    this.#dispatch?.send({ kind: "restart", from: this.#name }).catch(() => {});
    return true;
  }

  #heard(message: ControlMessage): void {
    if (message.kind === "due") this.#upkeep?.wake();
    if (message.kind === "restart" && message.from !== this.#name && this.#isReady) void this.reload();
    if (message.kind === "cancel") {
      for (const engine of this.#engines) engine.send({ type: "cancel", ids: message.ids });
    }
  }
}

/** Engines know whether Redis is away: they wait for it, a supervisor does not. */
function dispatchText(dispatch: Dispatch | undefined, isAway: boolean): string {
  return isAway ? "postgres, redis is away" : dispatch?.kind ?? "not yet";
}
