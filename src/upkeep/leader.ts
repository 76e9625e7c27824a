/**
 * Who does the upkeep: a row with an expiry, so that PgBouncer and the embedded database need nothing special.
 *
 *     follower ── row free or expired ──► leader ── renewed every 2 s ──► leader
 *         ▲                                  │ resigns, or does not get through for 10 s
 *         └──────────────────────────────────┘
 *
 * Two leaders at once do no harm: every statement of upkeep is guarded.
 *
 * @module
 */

import { type Clock, systemClock } from "../clock.ts";
import { Service } from "../service.ts";
import type { Store } from "../store/mod.ts";

/** Milliseconds between renewals. */
const INTERVAL = 2000;
/** Seconds until a leader that does not renew is replaced. */
const TERM = 10;

/** The loop that holds or seeks the leadership. */
export class Leader extends Service {
  readonly #store: Pick<Store, "lead" | "resign">;
  readonly #holder = crypto.randomUUID();
  #until = -Infinity;

  constructor(store: Pick<Store, "lead" | "resign">, clock: Clock = systemClock) {
    super("upkeep", clock);
    this.#store = store;
  }

  /** Whether this process is the leader now. */
  get isLeader(): boolean {
    return this.clock.monotonic() < this.#until;
  }

  async runOnce(): Promise<number> {
    const sentAt = this.clock.monotonic();
    const leads = await this.#store.lead(this.#holder, TERM, { deadline: INTERVAL });
    this.#until = leads ? sentAt + TERM * 1000 : -Infinity;
    return INTERVAL;
  }

  /** Stops, and lets another lead at once. */
  override async stop(): Promise<void> {
    await super.stop();
    if (!this.isLeader) return;
    this.#until = -Infinity;
    await this.#store.resign(this.#holder, { deadline: INTERVAL }).catch(() => {});
  }
}
