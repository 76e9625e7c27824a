/**
 * A store that counts what a publisher sends.
 *
 * @module
 */

import { type InsertBatch, type Patience, Store } from "../../src/store/mod.ts";

/** The real store; every insert is noted on its way. */
export class WatchedStore extends Store {
  /** The batches of plain tasks, in the order they were sent. */
  readonly inserts: InsertBatch[] = [];
  /** Those of tasks with keys. */
  readonly keyedInserts: InsertBatch[] = [];
  /** How long each of them was to be tried. */
  readonly patience: (Patience | undefined)[] = [];
  /** Statements that drew ids. */
  draws = 0;
  /** Inserts under way at once, at most. */
  most = 0;
  #underWay = 0;

  override async insert(batch: InsertBatch, notify: boolean, how?: Patience): Promise<void> {
    this.inserts.push(batch);
    this.patience.push(how);
    await this.#watched(super.insert(batch, notify, how));
  }

  override async insertKeyed(batch: InsertBatch, notify?: boolean, how?: Patience): Promise<number[]> {
    this.keyedInserts.push(batch);
    this.patience.push(how);
    return await this.#watched(super.insertKeyed(batch, notify, how));
  }

  override drawIds(count: number, how?: Patience): Promise<number[]> {
    this.draws++;
    return super.drawIds(count, how);
  }

  async #watched<T>(insert: Promise<T>): Promise<T> {
    this.most = Math.max(this.most, ++this.#underWay);
    try {
      return await insert;
    } finally {
      this.#underWay--;
    }
  }
}
