/**
 * The verbs of the record.
 *
 * @module
 */

import type { TaskLog, TaskRecord } from "../task.ts";
import { BoundedReads } from "./bounded.ts";
import { cancel, type CanceledRow, type Only, retryNow } from "./cancel.ts";
import { type ChannelRoom, claim, claimNext, claimSuspect } from "./claim.ts";
import { type EndedStretch, endedStretch, lastLogId, type Standing, standing } from "./dashboard.ts";
import { Database, type Patience } from "./database.ts";
import { expireStale, promoteDue, type PromoteOptions, type Promotion, type Stale } from "./due.ts";
import { complete, type Ending, finish } from "./finish.ts";
import { Health } from "./health.ts";
import { drawIds, insert, type InsertBatch, insertInto, insertKeyed } from "./insert.ts";
import {
  activeChannels,
  extent,
  get,
  type IdRange,
  idsAfter,
  list,
  type ListFilter,
  newest,
  readyAfter,
  readyCounts,
  type TaskFilter,
  type TaskName,
  untouchedReady,
} from "./inspect.ts";
import {
  type Beat,
  beat,
  bury,
  type DeadEngine,
  deadEngines,
  type DeadOptions,
  type Death,
  type EngineRow,
  forgetEngine,
  type HeldBy,
  heldBy,
  lead,
  readySuspects,
  registerEngine,
  rescue,
  resign,
  stillHeld,
} from "./lease.ts";
import { type NoteRow, readLog, writeNotes } from "./log.ts";
import { type HandlerDefaultsByModel, migrate, open, type Opened, setHandlerDefaults } from "./migrate.ts";
import { notify, notifyChannel, type Wakeup } from "./notify.ts";
import type { StoreOptions } from "./options.ts";
import { briefPage, type BriefRecord, logPage, type Page, page, type PageFilter } from "./page.ts";
import { Pool, type Transaction } from "./pool.ts";
import { prunable, prune, type PruneOptions } from "./prune.ts";
import { release } from "./release.ts";
import { type DayStats, dayStats, type Totals, totals } from "./report.ts";
import type { ClaimedRow, Lease, ReadyRow } from "./row.ts";
import { tidy, type Tidying } from "./tidy.ts";

/** The record of tasks. Every verb is one statement, guarded by state and lease, and may be sent again. */
export class Store implements AsyncDisposable {
  readonly #db: Database;
  readonly #reads: BoundedReads;
  readonly #notifies: boolean;
  /** How dispatch without Redis is woken. */
  readonly wakeup: Wakeup;

  constructor(options: StoreOptions) {
    const { connections: size, schema, clock, poll, notifies } = options;
    this.wakeup = { ...poll, listen: (heard) => this.listen(heard), tell: () => this.notify() };
    this.#db = new Database(new Pool({ ...options, size }), schema, clock);
    this.#reads = new BoundedReads(this.#db);
    this.#notifies = notifies;
  }

  /** Checks the schema against this program; draws `count` ids, for whoever publishes next. */
  open(count = 0, how: Patience = {}): Promise<Opened> {
    return open(this.#db, count, how);
  }

  /** Brings the schema up to date; returns the names of the migrations that ran. */
  migrate(): Promise<string[]> {
    return migrate(this.#db);
  }

  /** Writes what the handlers of these models say of themselves, for publishers; what others said stays. */
  setHandlerDefaults(
    defaults: HandlerDefaultsByModel,
    loaded: readonly string[] = Object.keys(defaults),
  ): Promise<void> {
    return setHandlerDefaults(this.#db, defaults, loaded);
  }

  /** Draws ids ahead of their use. */
  drawIds(count: number, how: Patience = {}): Promise<number[]> {
    return drawIds(this.#db, "tasks", count, how);
  }

  /** Publishes; `notify` wakes engines that have no Redis. */
  insert(batch: InsertBatch, notify: boolean, how: Patience = {}): Promise<void> {
    return insert(this.#db, batch, notify && this.#notifies, how);
  }

  /** Publishes tasks with keys; returns the ids that stand. */
  insertKeyed(batch: InsertBatch, notify = false, how: Patience = {}): Promise<number[]> {
    return insertKeyed(this.#db, batch, notify && this.#notifies, how);
  }

  /** Publishes inside the caller's transaction. */
  insertInto(tx: Transaction, batch: InsertBatch, notify = false): Promise<void> {
    return insertInto(this.#db, tx, batch, notify && this.#notifies);
  }

  /** Makes ready rows this engine's, by id. */
  claim(ids: readonly number[], engineId: string, how: Patience = {}): Promise<readonly ClaimedRow[]> {
    return claim(this.#db, ids, engineId, how);
  }

  /** Makes the next ready rows of these channels this engine's. */
  claimNext(
    channels: readonly ChannelRoom[],
    count: number,
    engineId: string,
    how: Patience = {},
  ): Promise<readonly ClaimedRow[]> {
    return claimNext(this.#db, channels, count, engineId, how);
  }

  /** Makes a ready suspect this engine's. */
  claimSuspect(id: number, engineId: string, how: Patience = {}): Promise<readonly ClaimedRow[]> {
    return claimSuspect(this.#db, id, engineId, how);
  }

  /** Ends runs as completed, without a result. */
  complete(
    leases: readonly Lease[],
    engineId: string,
    codeVersion: string | null,
    how: Patience = {},
  ): Promise<number> {
    return complete(this.#db, leases, engineId, codeVersion, how);
  }

  /** Ends runs in any way. */
  finish(
    endings: readonly Ending[],
    engineId: string,
    codeVersion: string | null,
    how: Patience = {},
  ): Promise<number> {
    return finish(this.#db, endings, engineId, codeVersion, how);
  }

  /** Gives claimed rows back, uncharged; returns those that are ready again. */
  release(
    leases: readonly Lease[],
    engineId: string,
    reason: string | null,
    how: Patience = {},
  ): Promise<readonly ReadyRow[]> {
    return release(this.#db, leases, engineId, reason, how);
  }

  /** Makes due tasks ready. */
  promoteDue(limit: number, how: PromoteOptions = {}): Promise<Promotion> {
    return promoteDue(this.#db, limit, how);
  }

  /** Fails stale tasks. */
  expireStale(limit: number, how: Patience = {}): Promise<Stale> {
    return expireStale(this.#db, limit, how);
  }

  /** Writes an engine's row. */
  registerEngine(engine: EngineRow, how: Patience = {}): Promise<void> {
    return registerEngine(this.#db, engine, how);
  }

  /** Removes the row of an engine that ends and holds nothing. */
  forgetEngine(engineId: string, how: Patience = {}): Promise<void> {
    return forgetEngine(this.#db, engineId, how);
  }

  /** Renews leases; tells what the record says these engines hold, and what is ready on these channels. */
  beat(engineIds: readonly string[], channels: readonly string[] = [], how: Patience = {}): Promise<Beat> {
    return beat(this.#db, engineIds, channels, how);
  }

  /** Of these leases, the ids of those that the engine still has. */
  stillHeld(leases: readonly Lease[], engineId: string, how: Patience = {}): Promise<number[]> {
    return stillHeld(this.#db, leases, engineId, how);
  }

  /** Engines whose lease ran out. */
  deadEngines(leaseSeconds: number, how: DeadOptions = {}): Promise<readonly DeadEngine[]> {
    return deadEngines(this.#db, leaseSeconds, how);
  }

  /** The tasks that an engine holds, by whether they are past their time limit. */
  heldBy(engineId: string, graceSeconds: number, how: Patience = {}): Promise<HeldBy> {
    return heldBy(this.#db, engineId, graceSeconds, how);
  }

  /** The oldest ready tasks that may have killed an engine. */
  readySuspects(channels: readonly string[], limit: number, how: Patience = {}): Promise<number[]> {
    return readySuspects(this.#db, channels, limit, how);
  }

  /** Declares an engine dead that may wake up; false when it has beaten within so many seconds. */
  bury(engineId: string, silentSeconds: number, how: Patience = {}): Promise<boolean> {
    return bury(this.#db, engineId, silentSeconds, how);
  }

  /** Takes a dead engine's rows from it, and forgets an engine whose death is certain. */
  rescue(engineId: string, death: Death, how: Patience = {}): Promise<{ ready: ReadyRow[]; moved: number }> {
    return rescue(this.#db, engineId, death, how);
  }

  /** Takes or renews the leadership of upkeep. */
  lead(holder: string, seconds: number, how: Patience = {}): Promise<boolean> {
    return lead(this.#db, holder, seconds, how);
  }

  /** Gives the leadership up. */
  resign(holder: string, how: Patience = {}): Promise<void> {
    return resign(this.#db, holder, how);
  }

  /** Cancels waiting and ready tasks, and asks the engines of running ones; of all or of some `states`. */
  cancel(ids: readonly number[], reason: string | null, how: Only = {}): Promise<readonly CanceledRow[]> {
    return cancel(this.#db, ids, reason, how);
  }

  /** Makes ended tasks ready again; of all or of some `states`. */
  retryNow(ids: readonly number[], how: Only = {}): Promise<readonly ReadyRow[]> {
    return retryNow(this.#db, ids, how);
  }

  /** Writes lines into tasks' logs, and progress. */
  writeNotes(notes: readonly NoteRow[], engineId: string, how: Patience = {}): Promise<void> {
    return writeNotes(this.#db, notes, engineId, how);
  }

  /** Reads a task's log, oldest first. */
  readLog(taskId: number, after = 0, limit = 1000, how: Patience = {}): Promise<TaskLog[]> {
    return readLog(this.#db, taskId, after, limit, how);
  }

  /** Counts what ended in a stretch of time, the newest first. */
  endedStretch(from: string, to: string | null, limit: number, how: Patience = {}): Promise<EndedStretch> {
    return endedStretch(this.#db, from, to, limit, how);
  }

  /** Reads what waits and runs; channels that are subscribed to, by engines or here, are counted before others. */
  standing(subscribed: readonly string[] = [], how: Patience = {}): Promise<Standing> {
    return standing(this.#db, subscribed, how);
  }

  /** The id of the last line in a task's log; 0 when it is empty. */
  lastLogId(taskId: number, how: Patience = {}): Promise<number> {
    return lastLogId(this.#db, taskId, how);
  }

  /** Reads records by id. */
  get(ids: readonly number[], how: Patience = {}): Promise<TaskRecord[]> {
    return get(this.#db, ids, how);
  }

  /** Reads one page of records. */
  list(filter: ListFilter = {}, how: Patience = {}): Promise<TaskRecord[]> {
    return list(this.#db, filter, how);
  }

  /** Counts the tasks that are meant, and tells the last of their ids. */
  extent(filter: TaskFilter, how: Patience = {}): Promise<{ count: number; last: number }> {
    return extent(this.#db, filter, how);
  }

  /** Walks through the ids of the tasks that are meant, in order. */
  idsAfter(filter: TaskFilter, range: IdRange, how: Patience = {}): Promise<number[]> {
    return idsAfter(this.#db, filter, range, how);
  }

  /** Names the newest tasks. */
  newest(limit: number, how: Patience = {}): Promise<readonly TaskName[]> {
    return newest(this.#db, limit, how);
  }

  /** Reads one page of records, with any filter and order, and counts them; bounded in time and bytes. */
  page(filter: PageFilter): Promise<Page<TaskRecord>> {
    return page(this.#db, this.#reads, filter);
  }

  /** The same without data and results. */
  briefPage(filter: PageFilter): Promise<Page<BriefRecord>> {
    return briefPage(this.#db, this.#reads, filter);
  }

  /** Reads one page of a task's log, and counts its lines. */
  logPage(
    taskId: number,
    range: { start: number; size: number; descending: boolean },
    how: Patience = {},
  ): Promise<Page<TaskLog>> {
    return logPage(this.#db, taskId, range, how);
  }

  /** Counts what waits, runs and is ready, and what ended in the last `seconds`. */
  totals(seconds: number): Promise<Totals> {
    return totals(this.#db, this.#reads, seconds);
  }

  /** Tells what ended on each of the last `days` days. */
  dayStats(days: number): Promise<{ days: readonly DayStats[]; isEstimate: boolean }> {
    return dayStats(this.#db, this.#reads, days);
  }

  /** Counts ready tasks by channel, up to just above `COUNT_LIMIT`. */
  readyCounts(channels: readonly string[], how: Patience = {}): Promise<Map<string, number>> {
    return readyCounts(this.#db, channels, how);
  }

  /** Names the channels that have ready tasks. */
  activeChannels(how: Patience = {}): Promise<string[]> {
    return activeChannels(this.#db, how);
  }

  /** Finds ready rows whose hint may be lost. */
  untouchedReady(
    channel: string,
    limit: number,
    seconds: number,
    how: Patience = {},
  ): Promise<readonly ReadyRow[]> {
    return untouchedReady(this.#db, channel, limit, seconds, how);
  }

  /** Pages through the ready rows of a channel in the order they run. */
  readyAfter(
    channel: string,
    after: { priority: number; id: number },
    limit: number,
    how: Patience = {},
  ): Promise<readonly ReadyRow[]> {
    return readyAfter(this.#db, channel, after, limit, how);
  }

  /** Renews the planner's statistics if they are outdated, and vacuums where autovacuum is off; says what it did. */
  tidy(how: Patience = {}): Promise<Tidying> {
    return tidy(this.#db, how);
  }

  /** For looking at the server and the tables, as `tq doctor` does. */
  get health(): Health {
    return new Health(this.#db);
  }

  /** Counts ended tasks past their age; ages in days. */
  prunable(completedAfter: number, otherwiseAfter: number, how: Patience = {}): Promise<number> {
    return prunable(this.#db, completedAfter, otherwiseAfter, how);
  }

  /** Deletes ended tasks past their age; ages in days. */
  prune(completedAfter: number, othersAfter: number, limit: number, how: PruneOptions = {}): Promise<number> {
    return prune(this.#db, completedAfter, othersAfter, limit, how);
  }

  /** Wakes engines that have no Redis; does nothing where NOTIFY does not arrive. */
  async notify(): Promise<void> {
    if (this.#notifies) await notify(this.#db);
  }

  /** Hears that tasks are ready; may miss some. Undefined where NOTIFY does not arrive. */
  async listen(heard: () => void): Promise<(() => void) | undefined> {
    if (!this.#notifies) return undefined;
    return await this.#db.pool.listen(notifyChannel(this.#db.schema), heard);
  }

  /** Runs `fn` in a transaction on a connection of its own, for at most `deadline` milliseconds. */
  transaction<T>(fn: (tx: Transaction) => Promise<T>, deadline: number): Promise<T> {
    return this.#db.pool.transaction((tx) => fn(tx as Transaction), deadline);
  }

  /** Closes the connections. */
  async close(): Promise<void> {
    await this.#db.pool.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
