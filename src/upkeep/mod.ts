/**
 * All of upkeep: who leads, and the loops of the leader.
 *
 * @module
 */

import { systemClock } from "../clock.ts";
import type { Service } from "../service.ts";
import { Due } from "./due.ts";
import { Janitor } from "./janitor.ts";
import { Leader } from "./leader.ts";
import { Outlook } from "./outlook.ts";
import { Pruner } from "./pruner.ts";
import { Recoverer } from "./recoverer.ts";
import { Redispatcher } from "./redispatcher.ts";
import type { UpkeepOptions } from "./upkeep_service.ts";

/** One host's upkeep: it works while this host leads. */
export class Upkeep {
  readonly #leader: Leader;
  readonly #due: Due;
  readonly #services: readonly Service[];

  constructor(options: Omit<UpkeepOptions, "leader" | "outlook">) {
    const { store, settings, clock = systemClock } = options;
    this.#leader = new Leader(store, clock, settings.TQ_LEASE);
    const parts = { ...options, leader: this.#leader, outlook: new Outlook(store) };
    this.#due = new Due(parts);
    const loops = [new Recoverer(parts), new Redispatcher(parts), new Janitor(parts), new Pruner(parts)];
    this.#services = [this.#due, ...loops, this.#leader];
  }

  /** Whether this host leads. */
  get isLeader(): boolean {
    return this.#leader.isLeader;
  }

  /** Starts every loop. */
  start(): void {
    for (const service of this.#services) service.start();
  }

  /** Looks for due tasks now. */
  wake(): void {
    this.#due.wake();
  }

  /** Lets another host lead at once, until `seek`. */
  async resign(): Promise<void> {
    await this.#leader.resign();
  }

  /** Seeks the leadership again. */
  seek(): void {
    this.#leader.seek();
  }

  /** Stops every loop, and lets another host lead. */
  async stop(): Promise<void> {
    await Promise.all(this.#services.map((service) => service.stop()));
  }
}
