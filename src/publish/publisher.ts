/**
 * Publishing in batches: many callers, few statements.
 *
 * @module
 */

import { Batcher } from "../batcher.ts";
import { systemClock } from "../clock.ts";
import type { Dispatch, Hint } from "../dispatch/mod.ts";
import { messageOf } from "../errors.ts";
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
}

interface Item {
  readonly kind: TaskKind;
  readonly data: string;
  resolve(id: number): void;
  reject(error: unknown): void;
}

/** A publish inserts at once; ids are drawn ahead for this many at most. */
const LARGEST_DRAW = 2000;
/** Pushes under way at most; beyond them hints are dropped, and upkeep finds the tasks. */
const MOST_PUSHES = 64;

/** Turns tasks into rows, and tells dispatch after the commit. */
export class Publisher {
  readonly #options: PublisherOptions;
  readonly #log = logger("publish");
  readonly #batcher: Batcher<Item>;
  readonly #pushes = new Set<Promise<void>>();
  #opening: Promise<Opened> | undefined;
  #dispatch: Dispatch | undefined;
  #ids: number[] = [];
  #drawing: Promise<void> | undefined;
  #drawSize = 1;
  #pushFails = false;

  constructor(options: PublisherOptions) {
    this.#options = options;
    this.#batcher = new Batcher<Item>({
      inFlight: 2,
      sizeOf: (item) => item.data.length,
      send: (items) => this.#send(items),
      failed: (item, error) => item.reject(error),
    });
  }

  /** Publishes one task; resolves with its id after the commit. */
  publish(kind: TaskKind, data: string): Promise<number> {
    return new Promise((resolve, reject) => this.#batcher.add({ kind, data, resolve, reject }));
  }

  /** Inserts one task inside the caller's transaction; the returned hint is for after its commit. */
  async publishInto(tx: Transaction, kind: TaskKind, data: string): Promise<Hint> {
    const { handlerDefaults } = await this.open();
    const [id] = await this.#drawIds(1);
    const full = this.#insertKind(kind, handlerDefaults);
    await this.#options.store.insertInto(tx, { kinds: [full], rows: [{ id: id ?? 0, kind: 0, data }] });
    return { id: id ?? 0, channel: full.channel, priority: full.priority };
  }

  /** Tells dispatch in the background; a failure is logged and changes nothing else. */
  push(hints: readonly Hint[]): void {
    const dispatch = this.#dispatch;
    if (dispatch === undefined || hints.length === 0 || this.#pushes.size >= MOST_PUSHES) return;
    const push = dispatch.push(hints).then(
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

  /** Checks the record, once; a failure is tried again by the next caller. */
  open(): Promise<Opened> {
    this.#opening ??= this.#options.store.open(1, this.#options.patience).then((opened) => {
      this.#ids.push(...opened.ids);
      this.#dispatch = this.#options.createDispatch(opened.install);
      return opened;
    }, (error) => {
      this.#opening = undefined;
      throw error;
    });
    return this.#opening;
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

  async #send(items: readonly Item[]): Promise<void> {
    const { handlerDefaults } = await this.open();
    const keyed = items.filter(({ kind }) => kind.publishKey !== null || kind.uniqueKey !== null);
    const plain = keyed.length === 0 ? items : items.filter((item) => !keyed.includes(item));
    const ids = await this.#drawIds(items.length);
    const { store, patience } = this.#options;
    if (plain.length > 0) {
      const batch = this.#batch(plain, ids, handlerDefaults);
      await store.insert(batch, this.#dispatch?.kind === "postgres", patience);
      this.#published(plain, batch, batch.rows.map((row) => row.id));
    }
    if (keyed.length > 0) {
      const batch = this.#batch(keyed, ids.slice(plain.length), handlerDefaults);
      this.#published(keyed, batch, await store.insertKeyed(batch, patience));
    }
  }

  #published(items: readonly Item[], { rows, kinds }: InsertBatch, ids: readonly number[]): void {
    const hints: Hint[] = [];
    for (let i = 0; i < items.length; i++) {
      const id = ids[i] as number;
      const kind = kinds[rows[i]?.kind ?? 0] as InsertKind;
      if (secondsUntil(kind) <= 0) hints.push({ id, channel: kind.channel, priority: kind.priority });
      items[i]?.resolve(id);
    }
    this.push(hints);
    const nearest = Math.min(...kinds.map(secondsUntil).filter((seconds) => seconds > 0));
    if (nearest < Infinity) this.#dispatch?.send({ kind: "due", seconds: nearest }).catch(() => {});
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
