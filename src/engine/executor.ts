/**
 * Runs claimed tasks in their handlers, so many at once, and says how each ended. Writes no SQL.
 *
 * @module
 */

import { type Clock, systemClock } from "../clock.ts";
import { HandlerError, messageOf, stackOf, TqError } from "../errors.ts";
import { Fifo } from "../fifo.ts";
import { type Note, Task, type TaskHost } from "../handler/context.ts";
import type { HandlerRegistry } from "../handler/registry.ts";
import { logger } from "../log.ts";
import type { TaskQueue } from "../publish/queue.ts";
import type { RetryPolicy } from "../retry_policy.ts";
import type { ClaimedRow, Lease } from "../store/mod.ts";
import { FUNCTION_PATTERN, MODEL_PATTERN } from "../task.ts";
import { asTask } from "./console.ts";
import { type AbortKind, abortReason, Held, seedOf } from "./held.ts";
import { HeldTable } from "./held_table.ts";
import type { Journal } from "./journal.ts";
import { failed, type HandlerEnd, type Outcome, outcomeOf, putOff } from "./outcome.ts";
import { Throughput } from "./throughput.ts";
import { tracedRun } from "./traced.ts";

/** How an executor is made. */
export interface ExecutorOptions {
  /** Tasks inside their handlers at once. */
  readonly workers: number;
  readonly registry: HandlerRegistry;
  readonly queue: TaskQueue;
  readonly maxResultBytes: number;
  readonly retry: RetryPolicy;
  readonly journal: Pick<Journal, "enter" | "leave" | "write">;
  readonly clock?: Clock;
  /** Takes the end of a run. */
  ended(held: Held, outcome: Outcome): void;
  /** Takes claimed tasks that may not start any more. */
  expired(held: readonly Held[]): void;
  /** Takes a line for a task's log. */
  note(taskId: number, note: Note): void;
}

/** A claim that is answered later than this, or waits longer for its start, is void. Milliseconds (invariant 10). */
export const CLAIM_VALIDITY = 1000;
/** Handlers that never wait may run for this long before I/O gets its turn, milliseconds. */
const SLICE = 10;
/** What an aborted handler gets until its end is decided without it, milliseconds. */
const GRACE = 10_000;
/** How often time limits are looked at, milliseconds. */
const TICK = 250;
/** A task whose last run goes on here, though it is over, is put off by this, seconds. */
const STUCK_WAIT = 2;

/** Claimed tasks: a line of those that wait, and places for those that run. */
export class Executor implements Disposable {
  readonly #options: ExecutorOptions;
  readonly #clock: Clock;
  readonly #host: TaskHost;
  readonly #held = new HeldTable();
  readonly #byChannel = new Map<string, number>();
  readonly #throughput: Throughput;
  readonly #line = new Fifo<Held>();
  /** Those inside their handlers, by their places in the journal: no `Set`, see `HeldTable`. */
  readonly #places: (Held | undefined)[] = [];
  #running = 0;
  /** Ids of those inside their handlers whose end was decided without them. */
  #stuck = new Set<number>();
  #scheduled = false;
  #isClosed = false;
  #ticking: (() => void) | undefined;
  #roomWaiters: (() => void)[] = [];
  #log = logger("engine");

  constructor(options: ExecutorOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#throughput = new Throughput(this.#clock);
    this.#host = {
      queue: options.queue,
      maxResultBytes: options.maxResultBytes,
      signal: (id) => this.#signal(id),
      note: options.note,
    };
  }

  /** Tasks inside their handlers. */
  get running(): number {
    return this.#running;
  }

  /** Of those, the tasks whose end was decided without their handlers, which go on. */
  get stuck(): number {
    return this.#stuck.size;
  }

  /** Tasks inside their handlers that have an end to come. */
  get unsettled(): number {
    return this.#running - this.#stuck.size;
  }

  /** Claimed tasks that wait for a place. */
  get waiting(): number {
    return this.#line.length;
  }

  /** Held tasks of a channel, waiting for their end to be recorded too. */
  heldOf(channel: string): number {
    return this.#byChannel.get(channel) ?? 0;
  }

  /**
   * How many more tasks should be claimed now: free places, and about 100 ms of work ahead.
   *
   * @param asked tasks that claims under way may bring @default 0
   */
  wants(asked = 0): number {
    const free = this.#options.workers - this.#running;
    const ahead = this.#throughput.ahead();
    const coming = this.waiting + asked;
    const half = Math.ceil(ahead / 2);
    // Few large claims rather than many small ones, unless places are idle: two halves, one of which is claimed while
    // the other runs.
    return coming <= free + half ? Math.max(0, Math.min(free + ahead - coming, free + half)) : 0;
  }

  /** Resolves when something began, ended or was forgotten, so that `wants` or `heldOf` may have changed. */
  changed(): Promise<void> {
    return new Promise((resolve) => this.#roomWaiters.push(resolve));
  }

  /** Takes claimed rows; the claim was sent at `sentAt`, in monotonic milliseconds. */
  take(rows: readonly ClaimedRow[], sentAt: number): void {
    for (const row of rows) {
      const known = this.#held.get(row.id);
      if (known !== undefined) {
        // Claimed again while it is here: the new lease is adopted, it is not started twice.
        known.claims = row.claims;
        continue;
      }
      const held = new Held(row, sentAt + CLAIM_VALIDITY);
      this.#held.add(held);
      this.#byChannel.set(row.channel, this.heldOf(row.channel) + 1);
      // Never twice at once in one process (invariant 2): where its handler goes on, it has to wait.
      if (this.#stuck.has(row.id)) this.#putOff(held);
      else this.#line.push(held);
    }
    if (this.#isClosed) this.#options.expired(this.close());
    this.#schedule();
  }

  /** Lets go of a task whose end is recorded, or which was given back. */
  forget(held: Held): void {
    if (!this.#held.delete(held.row.id)) return;
    this.#byChannel.set(held.row.channel, this.heldOf(held.row.channel) - 1);
    // A channel at its limit may have room now, which whoever claims waits for.
    this.#schedule();
  }

  /** The lease of a held task. */
  leaseOf(id: number): Lease | undefined {
    const held = this.#held.get(id);
    return held && { id, claims: held.claims };
  }

  /** The leases of tasks that started before `moment` (monotonic milliseconds) and go on. */
  runningSince(moment: number): Lease[] {
    return this.#inside().filter((held) => !held.ended && held.startedAt < moment)
      .map((held) => ({ id: held.row.id, claims: held.claims }));
  }

  /** Aborts a task that is inside its handler. One that waits and is canceled never starts: it goes back. */
  abort(id: number, kind: AbortKind): void {
    const held = this.#held.get(id);
    if (held === undefined || held.aborted !== undefined) return;
    if (held.slot < 0) {
      if (kind === "canceled" && this.#line.remove(held)) this.#options.expired([held]);
      return;
    }
    held.aborted = kind;
    held.abortedAt = this.#clock.monotonic();
    held.controller?.abort(abortReason(kind));
  }

  /** Aborts all that run. */
  abortAll(kind: AbortKind): void {
    for (const held of this.#inside()) this.abort(held.row.id, kind);
  }

  /** Starts nothing any more: the claimed tasks that have not started are returned, and later ones go back. */
  close(): Held[] {
    this.#isClosed = true;
    return this.#line.take(this.#line.length);
  }

  /** Ends the runs that are past their time limits without the rest of their grace. */
  endOverdue(): void {
    for (const held of this.#inside()) {
      if (!held.ended && held.aborted === "timed out") this.#giveUp(held);
    }
  }

  /** The tasks that have started and whose end is not decided. */
  undecided(): Held[] {
    return this.#held.values().filter((held) => held.slot >= 0 && !held.ended);
  }

  /** Ends tasks without waiting for their handlers; their verdicts no longer count. */
  abandon(held: readonly Held[]): void {
    for (const one of held) one.ended = true;
  }

  /** Looks at time limits no more. */
  [Symbol.dispose](): void {
    this.#ticking?.();
    this.#ticking = undefined;
  }

  #inside(): Held[] {
    return this.#places.filter((held) => held !== undefined);
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => this.#pump());
  }

  #pump(): void {
    this.#scheduled = false;
    const started = this.#clock.monotonic();
    for (let now = started;; now = this.#clock.monotonic()) {
      if (now - started > SLICE) {
        this.#scheduled = true;
        this.#clock.after(0, () => this.#pump());
        break;
      }
      const group = this.#nextGroup(now);
      if (group.length === 0) break;
      for (const held of group) {
        held.slot = this.#options.journal.enter(held.row.id);
        held.startedAt = now;
        this.#places[held.slot] = held;
        this.#running++;
      }
      this.#options.journal.write();
      for (const held of group) this.#start(held);
    }
    this.#options.journal.write();
    if (this.#running > 0) this.#ticking ??= this.#clock.after(TICK, () => this.#tick());
    for (const resolve of this.#roomWaiters.splice(0)) resolve();
  }

  /** The tasks that start now: as many as there are places. Those whose claim has run out are given back. */
  #nextGroup(now: number): Held[] {
    const isExpired = (held: Held) => held.validUntil < now;
    let places = this.#options.workers - this.#running;
    let count = 0;
    for (; count < this.#line.length; count++) {
      if (!isExpired(this.#line.at(count) as Held) && places-- <= 0) break;
    }
    const taken = this.#line.take(count);
    const expired = taken.filter(isExpired);
    if (expired.length === 0) return taken;
    this.#options.expired(expired);
    return taken.filter((held) => !isExpired(held));
  }

  #start(held: Held): void {
    const { row } = held;
    const handler = this.#options.registry.lookup(row.model, row.fname);
    if (handler === undefined) {
      this.#startUnknown(held);
      return;
    }
    const task = held.task = new Task(seedOf(row), this.#host);
    try {
      const returned = tracedRun(held, () => asTask(task.id, () => handler(task)));
      if (isThenable(returned)) {
        // Made into a promise: an object of somebody's own may call back twice.
        Promise.resolve(returned).then(
          () => this.#end(held, RETURNED),
          (error: unknown) => this.#end(held, { threw: true, error }),
        );
        return;
      }
    } catch (error) {
      return this.#end(held, { threw: true, error });
    }
    this.#end(held, RETURNED);
  }

  /** A handler that is not known yet: it may have arrived on disk since. */
  async #startUnknown(held: Held): Promise<void> {
    const { model, fname } = held.row;
    if (!MODEL_PATTERN.test(model) || !FUNCTION_PATTERN.test(fname)) {
      const name = JSON.stringify(`${model} ${fname}`.slice(0, 100));
      this.#decide(held, failed(`${name} is not a name that a handler can have`));
      return this.#leave(held);
    }
    try {
      await this.#options.registry.resolve(model, fname);
    } catch (error) {
      return this.#end(held, { threw: true, error });
    }
    // Canceled or timed out while its module was imported.
    if (held.aborted !== undefined) return this.#end(held, { threw: true, error: abortReason(held.aborted) });
    if (this.#options.registry.lookup(model, fname) !== undefined) return this.#start(held);
    this.#end(held, { threw: true, error: new HandlerError(`there is no handler ${model} ${fname}`) });
  }

  #end(held: Held, end: HandlerEnd): void {
    const { row, task, aborted } = held;
    try {
      if (end.threw && !held.ended && aborted !== "restarting") this.#tellError(held, end.error);
      if (!held.ended && !(aborted === "restarting" && end.threw && task?.verdict === undefined)) {
        this.#decide(held, outcomeOf(row, task?.verdict, end, aborted, this.#options.retry));
      }
    } catch (error) {
      // Thrown by a look at what the handler threw, a revoked proxy for one.
      this.#log.warn("Cannot tell how a run ended", { task: row.id, error: messageOf(error) });
      if (!held.ended) this.#giveUp(held, messageOf(error));
    } finally {
      this.#leave(held);
    }
  }

  /** Decides the end of a run without its handler's word: by why it was aborted, or for another reason. */
  #giveUp(held: Held, error?: string): void {
    this.#stuck.add(held.row.id);
    const { row, aborted } = held;
    this.#decide(held, outcomeOf(row, undefined, { threw: true, error }, aborted, this.#options.retry));
  }

  #putOff(held: Held): void {
    held.startedAt = this.#clock.monotonic();
    this.#decide(held, putOff("its last run goes on", STUCK_WAIT));
  }

  #decide(held: Held, outcome: Outcome): void {
    held.ended = true;
    if (held.aborted === "lost") this.forget(held);
    else this.#options.ended(held, outcome);
  }

  #leave(held: Held): void {
    held.span?.end();
    this.#options.journal.leave(held.slot);
    this.#places[held.slot] = undefined;
    this.#running--;
    this.#stuck.delete(held.row.id);
    this.#throughput.count();
    this.#schedule();
  }

  #tellError(held: Held, error: unknown): void {
    const { id, model, fname } = held.row;
    this.#log.debug("Handler threw", { task: id, model, fname, error: messageOf(error) });
    // Errors of tq itself say all in their message; the stack of others is for whoever wrote the handler.
    const text = error instanceof TqError ? messageOf(error) : stackOf(error);
    this.#options.note(id, { kind: "error", text });
  }

  /** Time limits: aborts what is overdue, decides what goes on after its grace. */
  #tick(): void {
    this.#ticking = undefined;
    const now = this.#clock.monotonic();
    for (const held of this.#inside()) {
      if (held.ended) continue;
      if (held.aborted === undefined) {
        if (now - held.startedAt >= held.row.timeout_seconds * 1000) this.abort(held.row.id, "timed out");
      } else if (now - held.abortedAt >= GRACE && held.aborted !== "restarting") {
        this.#giveUp(held);
      }
    }
    // Claims in the line run out even while no place gets free.
    this.#schedule();
  }

  #signal(id: number): AbortSignal {
    const held = this.#held.get(id);
    if (held === undefined) return AbortSignal.abort(abortReason("lost"));
    if (held.controller === undefined) {
      held.controller = new AbortController();
      if (held.aborted !== undefined) held.controller.abort(abortReason(held.aborted));
    }
    return held.controller.signal;
  }
}

const RETURNED: HandlerEnd = Object.freeze({ threw: false });

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
}
