/**
 * Who does the upkeep: a row with an expiry, so that PgBouncer and the embedded database need nothing special.
 *
 *     follower ── row free or expired ──► leader ── renewed every 4 s ──► leader
 *         ▲                                  │ resigns, or does not get through for its term, 10 s
 *         └──────────────────────────────────┘
 *
 * Two leaders at once do no harm: every statement of upkeep is guarded.
 *
 * @module
 */

import { type Clock, systemClock } from "../clock.ts";
import { Service } from "../service.ts";
import type { Store } from "../store/mod.ts";

/** Seconds until a leader that does not renew is replaced: no longer than a lease, or the rescue would wait for it. */
const TERM = 10;
/** It is renewed after this share of it: there is time for a second try. */
const RENEWAL = 0.4;

/** The loop that holds or seeks the leadership. */
export class Leader extends Service {
  readonly #store: Pick<Store, "lead" | "resign">;
  readonly #term: number;
  /** Milliseconds between renewals. */
  readonly #interval: number;
  readonly #holder = crypto.randomUUID();
  #until = -Infinity;
  #hasResigned = false;
  /** Whether it leads, as it was asked last. */
  #asked: Promise<void> | undefined;

  /** @param lease seconds of an engine's lease */
  constructor(store: Pick<Store, "lead" | "resign">, clock: Clock = systemClock, lease = TERM) {
    super("upkeep", clock);
    this.#store = store;
    this.#term = Math.min(TERM, lease);
    this.#interval = this.#term * 1000 * RENEWAL;
  }

  /** Whether this process is the leader now. */
  get isLeader(): boolean {
    return this.clock.monotonic() < this.#until;
  }

  async runOnce(): Promise<number> {
    if (!this.#hasResigned) await (this.#asked = this.#ask());
    return this.#interval;
  }

  async #ask(): Promise<void> {
    const sentAt = this.clock.monotonic();
    const leads = await this.#store.lead(this.#holder, this.#term, { deadline: this.#interval });
    this.#until = leads ? sentAt + this.#term * 1000 : -Infinity;
  }

  /** Lets another lead at once, and does not lead again until `seek`. */
  async resign(): Promise<void> {
    this.#hasResigned = true;
    await this.#asked?.catch(() => {});
    if (!this.isLeader) return;
    this.#until = -Infinity;
    await this.#store.resign(this.#holder, { deadline: this.#interval }).catch(() => {});
  }

  /** Seeks the leadership again, at once. */
  seek(): void {
    this.#hasResigned = false;
    this.wake();
  }

  /** Stops, and lets another lead at once. */
  override async stop(): Promise<void> {
    await super.stop();
    await this.resign();
  }
}
