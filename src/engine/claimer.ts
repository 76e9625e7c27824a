/**
 * Gets work: waits for hints, claims the rows, hands them to the executor.
 *
 * @module
 */

import { type Clock, systemClock } from "../clock.ts";
import type { Subscription } from "../config.ts";
import type { Dispatch, Hint } from "../dispatch/mod.ts";
import { Service } from "../service.ts";
import type { ClaimedRow, Patience, Store } from "../store/mod.ts";
import { CLAIM_VALIDITY } from "./executor.ts";

/** How a claimer is made. */
export interface ClaimerOptions {
  readonly engineId: string;
  readonly subscriptions: readonly Subscription[];
  readonly dispatch: Dispatch;
  readonly store: Pick<Store, "claim" | "claimNext">;
  readonly executor: {
    wants(asked: number): number;
    changed(): Promise<void>;
    heldOf(channel: string): number;
    take(rows: readonly ClaimedRow[], sentAt: number): void;
  };
  /** Whether the engine has too many ends that are not recorded to take on more. */
  isFull(): boolean;
  readonly clock?: Clock;
}

/** Rows of one claim at most. */
const MOST = 1000;
/** Characters of data that one claim should bring at most. */
const MOST_DATA = 8 * 1024 * 1024;
/** Claims by hints at once: while Postgres answers the one, the tasks of the other run. */
export const CLAIMS = 2;
/** Milliseconds until a claim's connection is given up: its rows, if any, come back with a later beat. */
const HOW: Patience = { deadline: 10_000 };
/** Milliseconds before a full engine is asked again. */
const FULL_PAUSE = 100;

/** The loop that claims. */
export class Claimer extends Service {
  readonly #options: ClaimerOptions;
  #turn = 0;
  #found = 0;
  #claimed = 0;
  /** Claims under way, and the rows that they ask for. */
  readonly #underWay = new Set<Promise<void>>();
  #asked = 0;
  /** Rows of the next claim at most: fewer while answers are large, or come too late for their tasks to start. */
  #most = MOST;
  #failure: { readonly error: unknown } | undefined;
  /** The last claim failed. */
  #isFailing = false;

  constructor(options: ClaimerOptions) {
    super("engine", options.clock ?? systemClock);
    this.#options = options;
  }

  /** Tasks claimed so far. */
  get claimed(): number {
    return this.#claimed;
  }

  /** Channels that a task would be taken from now. */
  get open(): string[] {
    const { executor, isFull } = this.#options;
    return isFull() || executor.wants(this.#asked) === 0 ? [] : this.#withRoom().map((one) => one.channel);
  }

  async runOnce(signal: AbortSignal): Promise<number> {
    const { executor, dispatch, isFull } = this.#options;
    this.#throwFailure();
    if (isFull()) return FULL_PAUSE;
    const want = Math.min(executor.wants(this.#asked), this.#most);
    const open = want === 0 || this.#underWay.size >= CLAIMS ? [] : this.#inTurn();
    if (open.length === 0) {
      await settledOrAborted(Promise.race([executor.changed(), ...this.#underWay]), signal);
      return 0;
    }
    const channels = open.map((one) => one.channel);
    // A channel that gets room while this waits for others must not wait as well.
    using room = open.length < this.#options.subscriptions.length ? this.#moreRoom(open.length) : undefined;
    const hints = await dispatch.pop(channels, want, this.#found, signal, room?.signal);
    if (signal.aborted) {
      // Popped in the last moment: nobody else would find these ids for some seconds.
      if (hints.length > 0) await dispatch.push(hints).catch(() => {});
      return 0;
    }
    if (hints.length > 0) {
      this.#found = 0;
      await this.#begin(hints, open);
    } else {
      // With more room the record is looked into soon, for all that have some now.
      this.#found = room?.signal.aborted ? 1 : await this.#claimNext(open, want);
    }
    return 0;
  }

  /** Stops, after the claims under way have been answered. */
  override async stop(): Promise<void> {
    await super.stop();
    await this.idle();
  }

  /** Resolves when no claim is under way. */
  async idle(): Promise<void> {
    await Promise.all(this.#underWay);
  }

  /** Begins to claim by hints; those beyond a channel's limit go straight back. */
  async #begin(hints: readonly Hint[], open: readonly Subscription[]): Promise<void> {
    const subscription = open.find((one) => one.channel === hints[0]?.channel);
    const room = this.#room(subscription, hints.length);
    if (room < hints.length) await this.#options.dispatch.push(hints.slice(room)).catch(() => {});
    const claim = this.#claim(hints.slice(0, room))
      .then(() => void (this.#isFailing = false), (error) => {
        this.#isFailing = true;
        this.#failure = { error };
      })
      .finally(() => this.#underWay.delete(claim));
    this.#underWay.add(claim);
    // How much room a channel with a limit has is known when its claim is answered; and whether claims work again.
    if (subscription?.limit === undefined && !this.#isFailing) return;
    await claim;
    this.#throwFailure();
  }

  async #claim(hints: readonly Hint[]): Promise<void> {
    const { store, engineId, dispatch } = this.#options;
    const sentAt = this.clock.monotonic();
    const ids = hints.map((hint) => hint.id);
    let rows: readonly ClaimedRow[];
    this.#asked += ids.length;
    try {
      rows = await store.claim(ids, engineId, HOW);
    } catch (error) {
      this.#shrink(ids.length, sentAt);
      // Without this nobody would find these ids for some seconds.
      dispatch.push(hints).catch(() => {});
      throw error;
    } finally {
      this.#asked -= ids.length;
    }
    this.take(inOrder(rows, ids), sentAt);
  }

  /** A claim that failed is the loop's error: it is logged, and followed by a pause. */
  #throwFailure(): void {
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure !== undefined) throw failure.error;
  }

  /** Hands claimed rows to the executor. */
  take(rows: readonly ClaimedRow[], sentAt: number): void {
    this.#claimed += rows.length;
    this.#learn(rows, sentAt);
    this.#options.executor.take(rows, sentAt);
  }

  /** Larger claims, much larger while there is time to spare; smaller ones when it was too short, or the data too much. */
  #learn(rows: readonly ClaimedRow[], sentAt: number): void {
    if (rows.length === 0 || this.#shrink(rows.length, sentAt)) return;
    const took = this.clock.monotonic() - sentAt;
    let size = 0;
    for (const { data } of rows) size += data.length;
    const fitting = Math.floor(MOST_DATA * rows.length / Math.max(1, size));
    const wanted = took < CLAIM_VALIDITY / 3 ? 2 * this.#most : this.#most + Math.ceil(this.#most / 8);
    this.#most = Math.max(1, Math.min(wanted, fitting, MOST));
  }

  /** Whether a claim of `count` rows took too long for them to start: then half as many are asked for. */
  #shrink(count: number, sentAt: number): boolean {
    const isLate = this.clock.monotonic() - sentAt >= CLAIM_VALIDITY;
    if (isLate) this.#most = Math.max(1, Math.min(this.#most, Math.floor(count / 2)));
    return isLate;
  }

  /** Claims straight from the record; returns how many rows it got. */
  async #claimNext(open: readonly Subscription[], want: number): Promise<number> {
    const { store, engineId } = this.#options;
    const rooms = open.map((one) => ({ channel: one.channel, room: this.#room(one, want) }));
    const sentAt = this.clock.monotonic();
    const rows = await store.claimNext(rooms, want, engineId, HOW).catch((error) => {
      this.#shrink(want, sentAt);
      throw error;
    });
    this.take(rows, sentAt);
    return rows.length;
  }

  /** The channels below their limits. */
  #withRoom(subscriptions = this.#options.subscriptions): Subscription[] {
    return subscriptions.filter((one) => this.#room(one, 1) > 0);
  }

  /** The same, each in turn the first. */
  #inTurn(): Subscription[] {
    const { subscriptions } = this.#options;
    this.#turn = (this.#turn + 1) % subscriptions.length;
    return this.#withRoom([...subscriptions.slice(this.#turn), ...subscriptions.slice(0, this.#turn)]);
  }

  /** A signal for when more than so many channels are below their limits, until it is disposed of. */
  #moreRoom(count: number): { readonly signal: AbortSignal } & Disposable {
    const room = new AbortController();
    let isWatched = true;
    const watch = async () => {
      while (isWatched && this.#withRoom().length <= count) await this.#options.executor.changed();
      if (isWatched) room.abort();
    };
    watch();
    return { signal: room.signal, [Symbol.dispose]: () => void (isWatched = false) };
  }

  #room(subscription: Subscription | undefined, want: number): number {
    if (subscription?.limit === undefined) return want;
    return Math.max(
      0,
      Math.min(want, subscription.limit - this.#options.executor.heldOf(subscription.channel)),
    );
  }
}

/** RETURNING has no order; hints have. */
function inOrder(rows: readonly ClaimedRow[], ids: readonly number[]): readonly ClaimedRow[] {
  if (rows.length < 2) return rows;
  const byId = new Map(rows.map((row) => [row.id, row]));
  return ids.map((id) => byId.get(id)).filter((row) => row !== undefined);
}

/** Leaves nothing on the signal, which lives as long as the engine: this is called many times a second. */
function settledOrAborted(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      signal.removeEventListener("abort", done);
      resolve();
    };
    signal.addEventListener("abort", done);
    promise.then(done);
  });
}
