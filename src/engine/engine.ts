/**
 * An engine: one process that claims tasks and runs handlers.
 *
 * @module
 */

import { systemClock, within } from "../clock.ts";
import type { Settings } from "../config.ts";
import { checkoutStamp, readCommit } from "../commit.ts";
import { createDispatch, type Dispatch } from "../dispatch/mod.ts";
import { CodeChangedError, HandlerError, messageOf } from "../errors.ts";
import type { Note } from "../handler/context.ts";
import { HandlerRegistry } from "../handler/registry.ts";
import { logger } from "../log.ts";
import { EngineCounts } from "../metrics/engine_counts.ts";
import { setDefaultQueue, TaskQueue } from "../publish/queue.ts";
import { connectStore } from "../store/connect.ts";
import type { HeldRow, Lease, Store } from "../store/mod.ts";
import { attemptNote } from "./attempt_note.ts";
import { Claimer, CLAIMS } from "./claimer.ts";
import { catchConsole } from "./console.ts";
import { Completer, END_BATCHES } from "./completer.ts";
import { countedClaims, countEnd } from "./counting.ts";
import { Executor } from "./executor.ts";
import { Heartbeat } from "./heartbeat.ts";
import type { Held } from "./held.ts";
import { Journal } from "./journal.ts";
import type { EngineCounted, EngineStatus } from "./protocol.ts";
import { TaskNotes } from "./task_notes.ts";
import { traceEnd } from "./traced.ts";
import { builtins } from "../handler/builtin/mod.ts";

/** Connections of an engine: those that full load keeps busy, and one for all else. */
const CONNECTIONS = CLAIMS + END_BATCHES + 1;
/** An engine with more ends than this that are not recorded takes on no more tasks. */
const MOST_ENDS = 5000;
/** The same for their characters. */
const MOST_BYTES = 64 * 1024 * 1024;
/** What handlers get to settle after they were aborted by a drain, milliseconds. */
const SETTLE = 1000;
/** A drain looks at its limit at least this often, milliseconds. */
const LONGEST_WAIT = 60_000;
/** The last word to Postgres at a drain, milliseconds; and of an engine that nobody waits for. */
const LAST_WORD = 10_000;
const LONGEST_LAST_WORD = 3_600_000;
/** What it takes to leave the list of engines at most, milliseconds. */
const FAREWELL = 1000;

/** A beat lists tasks that were claimed two seconds before it; milliseconds, with room for the way. */
const LISTED_AFTER = 4000;

/** The reason of tasks that a drain puts back. */
export const RESTARTING = "worker engine restarting";

/** What an engine found when it started. */
export interface EngineReady {
  readonly id: string;
  readonly commit: string | null;
  readonly problems: readonly { readonly file: string; readonly message: string }[];
}

/** Claims tasks and runs their handlers until it is drained. */
export class Engine {
  /** A new one at each boot. */
  readonly id: string = crypto.randomUUID();
  readonly #settings: Settings;
  readonly #store: Store;
  readonly #stopping = new AbortController();
  readonly #log = logger("engine");
  readonly #builtins: ReturnType<typeof builtins>;
  readonly #registry: HandlerRegistry;
  readonly #notes: TaskNotes;
  #parts: {
    dispatch: Dispatch;
    executor: Executor;
    completer: Completer;
    claimer: Claimer;
    queue: TaskQueue;
    journal: Journal;
  } | undefined;
  #draining: Promise<void> | undefined;
  #claims = false;
  /** Monotonic milliseconds; a later drain may bring it nearer. */
  #drainLimit = Infinity;
  #hurry = new AbortController();
  #install = "";
  #claiming: Promise<void> | undefined;
  #heartbeat: Heartbeat | undefined;
  readonly #counts = new EngineCounts();
  #told = "";

  constructor(settings: Settings) {
    this.#settings = settings;
    this.#store = connectStore(settings, { applicationName: "tq engine", connections: CONNECTIONS });
    this.#builtins = builtins(settings, () => this.#install);
    this.#registry = new HandlerRegistry(settings.handlersFolder, this.#builtins.handlers);
    this.#notes = new TaskNotes({
      write: (notes) =>
        this.#store.writeNotes(notes, this.id, { patience: LAST_WORD, signal: this.#stopping.signal }),
      claimsOf: (taskId) => this.#parts?.executor.leaseOf(taskId)?.claims,
      sent: (notes, ms) => this.#counts.batch("note", notes, ms),
    });
  }

  /**
   * Imports handlers, registers, and begins to take tasks.
   *
   * @param how.claims whether it takes tasks by itself @default true
   * @param how.strict whether it refuses to start when a handler module does not import @default false
   * @throws {HandlerError} when it refuses
   * @throws {CodeChangedError} when the code changed while it was imported
   */
  async start(varFolder: string, how: { claims?: boolean; strict?: boolean } = {}): Promise<EngineReady> {
    const settings = this.#settings;
    const [opened, { problems, commit }] = await Promise.all([
      this.#store.open(0, { patience: LAST_WORD }),
      this.#import(how.strict ?? false),
    ]);
    this.#install = opened.install;
    for (const problem of problems) this.#log.error("Handler module does not import", { ...problem });
    await this.#store.setHandlerDefaults(this.#registry.defaults(), this.#registry.models);
    const dispatch = createDispatch(settings, opened.install, this.#store.wakeup);
    await dispatch.check().catch((error) => {
      if (error.name === "SettingsError") throw error;
    });
    const sent = (tasks: number, ms: number) => this.#counts.batch("publish", tasks, ms);
    const queue = new TaskQueue(settings, { parts: { store: this.#store, dispatch, sent } });
    setDefaultQueue(queue);
    const note = (taskId: number, note: Note) => this.#notes.add(taskId, note);
    catchConsole(note);
    const journal = new Journal(varFolder, this.id, settings.TQ_WORKERS);
    const completer = new Completer({
      store: this.#store,
      engineId: this.id,
      codeVersion: commit,
      recorded: (held) => held.forEach((one) => executor.forget(one)),
      counts: this.#counts,
      signal: this.#stopping.signal,
    });
    const executor = new Executor({
      workers: settings.TQ_WORKERS,
      registry: this.#registry,
      queue,
      maxResultBytes: settings.TQ_MAX_DATA,
      retry: { delay: settings.TQ_RETRY_DELAY, factor: settings.TQ_RETRY_BACKOFF_FACTOR },
      journal,
      ended: (held, outcome) => {
        completer.add(held, outcome);
        const now = systemClock.monotonic();
        countEnd(this.#counts, held, outcome, now);
        traceEnd(held, outcome);
        const attempt = attemptNote(held, outcome, { engineId: this.id, commit, now });
        if (attempt !== undefined) note(held.row.id, attempt);
      },
      expired: (held) => this.#release(held, null),
      note,
    });
    const claimer = new Claimer({
      engineId: this.id,
      subscriptions: settings.TQ_SUBSCRIBE,
      dispatch,
      store: countedClaims(this.#store, this.#counts),
      executor,
      isFull: () => completer.waiting > MOST_ENDS || completer.bytes > MOST_BYTES,
    });
    this.#parts = { dispatch, executor, completer, claimer, queue, journal };
    const channels = settings.TQ_SUBSCRIBE.map((one) => one.channel);
    await this.#store.registerEngine({
      id: this.id,
      host: Deno.hostname(),
      pid: Deno.pid,
      codeVersion: commit,
      channels,
    });
    this.#claims = how.claims ?? true;
    if (this.#claims) claimer.start();
    return { id: this.id, commit, problems };
  }

  /** Imports the handlers; all of them are of the commit that is returned. */
  async #import(strict: boolean): Promise<Pick<EngineReady, "problems" | "commit">> {
    const { root, handlersFolder } = this.#settings;
    const folders = [root, handlersFolder].filter((folder) => folder !== undefined);
    const stamps = () => folders.map((folder) => checkoutStamp(folder, systemClock.now()));
    const before = stamps();
    const commit = root === undefined ? undefined : readCommit(root);
    const { problems } = await this.#registry.loadAll();
    const after = stamps();
    if (after.some((stamp, i) => stamp === undefined || stamp !== before[i])) {
      throw new CodeChangedError("git changed the code while it was imported", { remedy: "start again" });
    }
    const [first] = problems;
    if (strict && first !== undefined) throw new HandlerError(first.message);
    return { problems, commit: commit ?? null };
  }

  /** Aborts tasks that are inside their handlers here. */
  cancel(ids: readonly number[]): void {
    for (const id of ids) this.#parts?.executor.abort(id, "canceled");
  }

  /** How it does. */
  get status(): EngineStatus {
    const parts = this.#parts;
    return {
      claimed: parts?.claimer.claimed ?? 0,
      rss: Deno.memoryUsage().rss,
      running: parts?.executor.running ?? 0,
      stuck: parts?.executor.stuck ?? 0,
      waiting: parts?.executor.waiting ?? 0,
      open: parts === undefined || this.#draining !== undefined || !this.#claims ? [] : parts.claimer.open,
    };
  }

  /** What it has counted; undefined when that is what it was at the last call. */
  takeCounted(): EngineCounted | undefined {
    const { dispatch } = this.#parts ?? {};
    const redisUp = dispatch?.kind === "redis" ? dispatch.isUp : null;
    const told = `${this.#counts.changes} ${redisUp}`;
    if (told === this.#told) return undefined;
    this.#told = told;
    return { counts: this.#counts.report, redisUp };
  }

  /**
   * Compares what the record said at the last beat with what is here: claims whose answer was lost go back
   * (invariant 11), cancels whose hint was lost are heard, and tasks that others have by now are aborted.
   */
  async reconcile(rows: readonly HeldRow[]): Promise<void> {
    const executor = this.#parts?.executor;
    // A beat that comes while it closes is about tasks whose ends are recorded already.
    if (executor === undefined || this.#stopping.signal.aborted) return;
    // The answer to the claim of a young one may be on its way. An older supervisor tells of no young ones but these.
    const strangers = rows.filter((row) =>
      row.is_old !== false && executor.leaseOf(row.id)?.claims !== row.claims
    );
    // Those that wait go back at once, and are no strangers.
    this.cancel(rows.filter((row) => row.cancel_requested).map((row) => row.id));
    if (strangers.length > 0) {
      this.#log.info("The record says that tasks are here which are not; they go back", {
        count: strangers.length,
      });
      await this.#giveBack(strangers, null);
    }
    const listed = new Set(rows.map((row) => row.id));
    const running = executor.runningSince(systemClock.monotonic() - LISTED_AFTER);
    await this.#abortLost(running.filter((lease) => !listed.has(lease.id)));
  }

  /** A beat's answer may be old when it is read, so the record is asked again before a task is given up. */
  async #abortLost(leases: readonly Lease[]): Promise<void> {
    if (leases.length === 0) return;
    const held = new Set(await this.#store.stillHeld(leases, this.id));
    const lost = leases.filter((lease) => !held.has(lease.id));
    for (const { id, claims } of lost) {
      if (this.#parts?.executor.leaseOf(id)?.claims === claims) this.#parts.executor.abort(id, "lost");
    }
    if (lost.length > 0) {
      this.#log.warn("Others have taken tasks that run here; they are aborted", { count: lost.length });
    }
  }

  /** Beats for itself: its supervisor is gone. */
  beatAlone(): void {
    this.#heartbeat ??= new Heartbeat({
      store: this.#store,
      lease: this.#settings.TQ_LEASE,
      engineIds: () => [this.id],
      heard: (_id, rows) => void this.reconcile(rows ?? []).catch(() => {}),
    });
    this.#heartbeat.start();
  }

  /** Runs one suspect and nothing else, then drains. */
  async runOnly(id: number): Promise<void> {
    const { executor, completer, claimer } = this.#parts ?? {};
    if (executor === undefined || completer === undefined || claimer === undefined) return;
    const sentAt = systemClock.monotonic();
    this.#claiming = this.#store.claimSuspect(id, this.id).then((rows) => claimer.take(rows, sentAt));
    await this.#claiming;
    while (executor.leaseOf(id) !== undefined) await within(systemClock, 1000, executor.changed());
    await this.drain(null);
  }

  /**
   * Takes no more tasks, lets those that run end, and closes. Tasks that have not ended after `seconds` (null: no
   * limit but their own) are aborted and put back uncharged.
   */
  drain(seconds: number | null): Promise<void> {
    const limit = seconds === null ? Infinity : systemClock.monotonic() + seconds * 1000;
    this.#drainLimit = Math.min(this.#drainLimit, limit);
    this.#hurry.abort();
    this.#draining ??= this.#drain();
    return this.#draining;
  }

  async #drain(): Promise<void> {
    const parts = this.#parts;
    if (parts === undefined) return;
    const { executor, completer, claimer, dispatch, queue, journal } = parts;
    // A claim that is under way is still served, where places are free: given back, it would only be claimed again.
    const claims = Promise.all([claimer.stop(), this.#claiming?.catch(() => {})]);
    await within(systemClock, LAST_WORD, claims);
    const backs = [this.#release(executor.close(), null)];
    while (executor.unsettled > 0 && systemClock.monotonic() < this.#drainLimit) {
      this.#hurry = new AbortController();
      const left = Math.min(this.#drainLimit - systemClock.monotonic(), LONGEST_WAIT);
      await Promise.race([executor.changed(), systemClock.sleep(left, this.#hurry.signal)]);
      this.#hurry.abort();
    }
    if (executor.unsettled > 0) {
      this.#log.info("Aborting tasks that have not ended", { count: executor.unsettled });
      executor.abortAll("restarting");
      const until = systemClock.monotonic() + SETTLE;
      while (executor.unsettled > 0 && systemClock.monotonic() < until) {
        await within(systemClock, until - systemClock.monotonic(), executor.changed());
      }
    }
    // What has timed out is over, and is not put back.
    executor.endOverdue();
    const undecided = executor.undecided();
    executor.abandon(undecided);
    for (const { span } of undecided) span?.end();
    backs.push(this.#release(undecided, RESTARTING));
    // Nobody waits for an engine that has all the time: what it knows is written when Postgres is back.
    const patience = this.#drainLimit === Infinity ? LONGEST_LAST_WORD : LAST_WORD;
    await within(
      systemClock,
      patience,
      Promise.all([completer.idle(), this.#notes.idle(), queue.idle(), ...backs]),
    );
    await this.#heartbeat?.stop();
    // Else it would look like an engine that is lost. Where that cannot be told now, it does.
    await within(systemClock, FAREWELL, this.#store.forgetEngine(this.id).catch(() => {}));
    this.#stopping.abort();
    await Promise.all([dispatch.close(), this.#store.close(), this.#builtins.close()]);
    executor[Symbol.dispose]();
    journal[Symbol.dispose]();
  }

  /** Gives held tasks back uncharged. */
  async #release(held: readonly Held[], reason: string | null): Promise<void> {
    if (held.length === 0) return;
    const leases = held.map((one) => ({ id: one.row.id, claims: one.claims }));
    // Before they go: one that comes back at once is a new task for the executor.
    for (const one of held) this.#parts?.executor.forget(one);
    await this.#giveBack(leases, reason);
  }

  async #giveBack(leases: readonly { id: number; claims: number }[], reason: string | null): Promise<void> {
    try {
      const ready = await this.#store.release(leases, this.id, reason, {
        patience: LAST_WORD,
        signal: this.#stopping.signal,
      });
      this.#counts.released(leases.length);
      await this.#parts?.dispatch.push(ready).catch(() => {});
    } catch (error) {
      this.#log.warn("Could not give tasks back; a later beat will", {
        count: leases.length,
        error: messageOf(error),
      });
    }
  }
}
