/**
 * Upkeep's loops on real parts, for their tests.
 *
 * @module
 */

import type { SettingsInput } from "../../src/config.ts";
import { createDispatch, type Dispatch } from "../../src/dispatch/mod.ts";
import type { Store } from "../../src/store/mod.ts";
import { Outlook } from "../../src/upkeep/outlook.ts";
import type { UpkeepOptions } from "../../src/upkeep/upkeep_service.ts";
import { TestRecord } from "../support/test_record.ts";

/** A record and a dispatch, and who leads. */
export class Keep implements AsyncDisposable, UpkeepOptions {
  readonly record: TestRecord;
  readonly store: Store;
  readonly dispatch: Dispatch;
  readonly settings: UpkeepOptions["settings"];
  readonly leader: { isLeader: boolean } = { isLeader: true };
  /** Has seen nothing, so that each loop asks the record, unless a test shows it something. */
  readonly outlook: Outlook;
  /** Milliseconds for which this supervisor has been sound. */
  gaplessFor: number = Infinity;
  /** Until when, by the database's clock, milliseconds since the epoch. */
  gaplessEnd: number = Infinity;

  private constructor(record: TestRecord, settings: SettingsInput) {
    this.record = record;
    this.store = record.store();
    this.outlook = new Outlook(this.store);
    this.settings = record.settings(settings);
    this.dispatch = createDispatch(this.settings, record.install, this.store.wakeup);
  }

  /** Makes one; `redis` as for a record. */
  static async make(
    options: { url?: string; redis?: string; settings?: SettingsInput } = {},
  ): Promise<Keep> {
    const { settings = {}, ...rest } = options;
    return new Keep(await TestRecord.make(rest), settings);
  }

  gapless(): number {
    return this.gaplessFor;
  }

  gaplessUntil(): number {
    return this.gaplessEnd;
  }

  /** Takes all ids that dispatch has for a channel, in their order, at once. */
  async popped(channel: string): Promise<number[]> {
    const hints = await this.dispatch.pop([channel], 10_000, 1, new AbortController().signal);
    return hints.map((hint) => hint.id);
  }

  /** Changes tasks behind tq's back. */
  async set(ids: readonly number[], assignments: string): Promise<void> {
    await this.record.sql.unsafe(
      `update ${this.record.schema}.tasks set ${assignments} where id = any($1::text::bigint[])`,
      [`{${ids.join()}}`],
    );
  }

  /** Registers an engine that has not beaten for so many seconds; returns its id. */
  async engine(silentSeconds = 0): Promise<string> {
    const id = crypto.randomUUID();
    await this.store.registerEngine({ id, host: "host", pid: 7, codeVersion: null, channels: ["tests"] });
    await this.record.sql.unsafe(
      `update ${this.record.schema}.engines set beat_at = now() - $2 * interval '1 second' where id = $1::text::uuid`,
      [id, silentSeconds] as never,
    );
    return id;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispatch.close();
    await this.record[Symbol.asyncDispose]();
  }
}
