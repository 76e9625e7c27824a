/**
 * Publishing in batches: many callers, few statements.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { Batcher } from "../batcher.ts";
import { systemClock } from "../clock.ts";
import type { Dispatch, Hint } from "../dispatch/mod.ts";
import { InputError, messageOf, UnreachableError } from "../errors.ts";
import { logger } from "../log.ts";
import type {
  HandlerDefaultsByModel,
  InsertBatch,
  InsertKind,
  InsertRow,
  Opened,
  Patience,
  Store,
  Transaction,
} from "../store/mod.ts";
import type { TaskKind } from "./options.ts";

/** What tasks get that say nothing of it themselves, nor through their handler. */
export interface PublishDefaults {
  readonly maxAttempts: number;
  readonly timeoutSeconds: number;
}

/** How a publisher is made. */
export interface PublisherOptions {
  readonly store: Store;
  readonly defaults: PublishDefaults;
  /** Makes the dispatch, once the record's install id is known. */
  createDispatch(install: string): Dispatch;
  /** How long a publish is tried while Postgres does not answer. */
  readonly patience: Patience;
  /** Milliseconds for which what handlers say of themselves is kept. @default Infinity */
  readonly defaultsAge?: number;
  /** Hears of each batch: its tasks, and the milliseconds until it was committed. */
  readonly sent?: ((tasks: number, milliseconds: number) => void) | undefined;
}

interface Item {
  readonly kind: TaskKind;
  readonly data: string;
  /** What it takes up of a batch, and of memory. */
  readonly bytes: number;
  /** Its row has been committed: a batch that is split for another's value must not insert it again. */
  published: boolean;
  resolve(id: number): void;
  reject(error: unknown): void;
}

/** A task that is in the record. */
interface Published {
  readonly id: number;
  readonly kind: InsertKind;
}

/** A publish inserts at once; ids are drawn ahead for this many at most. */
const LARGEST_DRAW = 10_000;
/** What a waiting task costs besides its data, bytes. */
const TASK_BYTES = 400;
/** While so many bytes wait for Postgres, publishing is refused. */
const MOST_BYTES = 256 * 1024 * 1024;
/** `publishMany` hands over so many tasks at a time, and characters of data: those of two batches. */
const PART = 10_000;
const PART_BYTES = 16 * 1024 * 1024;
/** Pushes under way at most; beyond them hints are dropped, and upkeep finds the tasks. */
const MOST_PUSHES = 64;

/** Turns tasks into rows, and tells dispatch after the commit. */
export class Publisher {
  readonly #options: PublisherOptions;
  readonly #log = logger("publish");
  readonly #batcher: Batcher<Item>;
  readonly #pushes = new Set<Promise<void>>();
  #opening: Promise<Opened> | undefined;
  #openedAt = 0;
  #dispatch: Dispatch | undefined;
  #ids: number[] = [];
  #drawing: Promise<void> | undefined;
  #drawSize = 1;
  #pushFails = false;

  constructor(options: PublisherOptions) {
    this.#options = options;
    this.#batcher = new Batcher<Item>({
      inFlight: 2,
      sizeOf: (item) => item.bytes,
      send: (items) => this.#send(items),
      failed: (item, error) => item.reject(error),
      ...(options.sent === undefined ? {} : { sent: options.sent }),
    });
  }

  /** Publishes one task; resolves with its id after the commit. */
  publish(kind: TaskKind, data: string): Promise<number> {
    if (this.#isFull) return Promise.reject(this.#refusal());
    return this.#add(kind, data);
  }

  /**
   * Publishes many tasks, one part after the other, so that others' tasks find room and a turn between them; resolves
   * with their ids, in order. It is refused before the first part or not at all.
   */
  async publishMany(
    tasks: readonly (readonly [kind: TaskKind, data: string])[],
    traced: (kind: TaskKind) => TaskKind,
  ): Promise<number[]> {
    if (this.#isFull) throw this.#refusal();
    const ids: number[] = [];
    while (ids.length < tasks.length) {
      const part: Promise<number>[] = [];
      for (let size = 0, i = ids.length; i < tasks.length && part.length < PART && size < PART_BYTES; i++) {
        const [kind, data] = tasks[i] as typeof tasks[number];
        size += data.length;
        part.push(this.#add(traced(kind), data));
      }
      ids.push(...await Promise.all(part));
    }
    return ids;
  }

  /** Inserts one task inside the caller's transaction; to be told after its commit. */
  async publishInto(tx: Transaction, kind: TaskKind, data: string): Promise<Published> {
    if (kind.publishKey !== null || kind.uniqueKey !== null) {
      throw new InputError("key and unique cannot be used in a transaction", {
        remedy: "publish outside the transaction",
      });
    }
    const { handlerDefaults } = await this.open();
    const [id] = await this.#drawIds(1) as [number];
    const full = this.#insertKind(kind, handlerDefaults);
    const batch = { kinds: [full], rows: [{ id, kind: 0, data }] };
    await this.#options.store.insertInto(tx, batch, this.#notifies);
    return { id, kind: full };
  }

  /** Tells dispatch of tasks that were committed: which are ready, and when the next of the others is due. */
  tell(tasks: readonly Published[]): void {
    const hints: Hint[] = [];
    let nearest = Infinity;
    for (const { id, kind } of tasks) {
      const seconds = secondsUntil(kind);
      if (seconds > 0) nearest = Math.min(nearest, seconds);
      else hints.push({ id, channel: kind.channel, priority: kind.priority });
    }
    this.push(hints, true);
    if (nearest < Infinity) this.#dispatch?.send({ kind: "due", seconds: nearest }).catch(() => {});
  }

  /** Tells dispatch in the background; a failure is logged and changes nothing else. */
  push(hints: readonly Hint[], isTold = false): void {
    const dispatch = this.#dispatch;
    if (dispatch === undefined || hints.length === 0 || this.#pushes.size >= MOST_PUSHES) return;
    const push = dispatch.push(hints, isTold).then(
      () => {
        this.#pushFails = false;
      },
      (error) => {
        if (!this.#pushFails) {
          this.#log.warn("Cannot push; engines will find the tasks", { error: messageOf(error) });
        }
        this.#pushFails = true;
      },
    ).finally(() => this.#pushes.delete(push));
    this.#pushes.add(push);
  }

  /** Checks the record, once, or when what it said is too old; a failure is tried again by the next caller. */
  open(): Promise<Opened> {
    const { store, patience, createDispatch, defaultsAge = Infinity } = this.#options;
    const now = systemClock.monotonic();
    if (this.#opening !== undefined && now - this.#openedAt < defaultsAge) return this.#opening;
    this.#openedAt = now;
    const opening = store.open(1, patience).then((opened) => {
      this.#ids.push(...opened.ids);
      this.#dispatch ??= createDispatch(opened.install);
      return opened;
    }, (error) => {
      if (this.#opening === opening) this.#opening = undefined;
      throw error;
    });
    return this.#opening = opening;
  }

  /** The dispatch, once the record is open. */
  async dispatch(): Promise<Dispatch> {
    await this.open();
    return this.#dispatch as Dispatch;
  }

  /** Resolves when everything that was taken is committed and told. */
  async idle(): Promise<void> {
    await this.#batcher.idle();
    await this.#drawing?.catch(() => {});
    await Promise.allSettled(this.#pushes);
  }

  /** Waits for what is under way and closes dispatch. */
  async close(): Promise<void> {
    await this.idle();
    await this.#dispatch?.close();
  }

  get #isFull(): boolean {
    return this.#batcher.bytes > MOST_BYTES;
  }

  #refusal(): UnreachableError {
    return new UnreachableError(`${this.#batcher.waiting} tasks wait for Postgres already`, {
      remedy: "await earlier publishes before you publish more",
    });
  }

  #add(kind: TaskKind, data: string): Promise<number> {
    const bytes = Buffer.byteLength(data) + TASK_BYTES;
    return new Promise((resolve, reject) =>
      this.#batcher.add({ kind, data, bytes, published: false, resolve, reject })
    );
  }

  async #send(items: readonly Item[]): Promise<void> {
    const { handlerDefaults } = await this.open();
    const { plain = [], keyed = [] } = Object.groupBy(
      items.filter((item) => !item.published),
      ({ kind }) => kind.publishKey !== null || kind.uniqueKey !== null ? "keyed" : "plain",
    );
    const ids = await this.#drawIds(plain.length + keyed.length);
    const { store, patience } = this.#options;
    if (plain.length > 0) {
      const batch = this.#batch(plain, ids, handlerDefaults);
      await store.insert(batch, this.#notifies, patience);
      this.#published(plain, batch, batch.rows.map((row) => row.id));
    }
    if (keyed.length > 0) {
      const batch = this.#batch(keyed, ids.slice(plain.length), handlerDefaults);
      this.#published(keyed, batch, await store.insertKeyed(batch, this.#notifies, patience));
    }
  }

  /** Whether engines are woken by NOTIFY. */
  get #notifies(): boolean {
    return this.#dispatch?.kind === "postgres";
  }

  #published(items: readonly Item[], { rows, kinds }: InsertBatch, ids: readonly number[]): void {
    const inserted: Published[] = [];
    for (let i = 0; i < items.length; i++) {
      const [item, row, id] = [items[i], rows[i], ids[i]] as [Item, InsertRow, number];
      item.published = true;
      item.resolve(id);
      // Another id is that of an earlier task with the same key, perhaps on another channel.
      if (id === row.id) inserted.push({ id, kind: kinds[row.kind] as InsertKind });
    }
    this.tell(inserted);
  }

  #batch(
    items: readonly Item[],
    ids: readonly number[],
    handlerDefaults: HandlerDefaultsByModel,
  ): InsertBatch {
    const kinds: InsertKind[] = [];
    const numbers = new Map<string, number>();
    const rows: InsertRow[] = [];
    let last: TaskKind | undefined;
    let kind = -1;
    for (let i = 0; i < items.length; i++) {
      const item = items[i] as Item;
      if (item.kind !== last) {
        last = item.kind;
        const name = JSON.stringify(last);
        kind = numbers.get(name) ?? kinds.push(this.#insertKind(last, handlerDefaults)) - 1;
        numbers.set(name, kind);
      }
      rows.push({ id: ids[i] as number, kind, data: item.data });
    }
    return { kinds, rows };
  }

  #insertKind(kind: TaskKind, handlerDefaults: HandlerDefaultsByModel): InsertKind {
    const { defaults } = this.#options;
    const own = handlerDefaults[kind.model];
    return {
      channel: kind.channel ?? own?.channel ?? kind.fallbackChannel,
      model: kind.model,
      fname: kind.fname,
      priority: kind.priority,
      max_attempts: kind.maxAttempts ?? own?.maxAttempts ?? defaults.maxAttempts,
      timeout_seconds: kind.timeoutSeconds ?? own?.timeout ?? defaults.timeoutSeconds,
      delay: kind.delay,
      at: kind.at,
      stale_in: kind.staleIn,
      stale_at: kind.staleAt,
      publish_key: kind.publishKey,
      unique_key: kind.uniqueKey,
      trace_parent: kind.traceParent,
    };
  }

  /** Takes ids from the store of drawn ones, which is refilled before it is empty; grows with the demand. */
  async #drawIds(count: number): Promise<number[]> {
    while (this.#ids.length < count) {
      await (this.#drawing ??= this.#draw(count));
    }
    const ids = this.#ids.splice(0, count);
    if (this.#drawSize > 1 && this.#ids.length < this.#drawSize / 2) {
      this.#drawing ??= this.#draw(0);
      this.#drawing.catch(() => {});
    }
    return ids;
  }

  async #draw(atLeast: number): Promise<void> {
    try {
      this.#drawSize = Math.min(this.#drawSize * 2, LARGEST_DRAW);
      this.#ids.push(
        ...await this.#options.store.drawIds(Math.max(atLeast, this.#drawSize), this.#options.patience),
      );
    } finally {
      this.#drawing = undefined;
    }
  }
}

/** By this machine's clock, so good for hints alone. */
function secondsUntil(kind: InsertKind): number {
  if (kind.delay !== null) return kind.delay;
  return kind.at === null ? 0 : (kind.at - systemClock.now()) / 1000;
}
