/**
 * What upkeep has to do, as the leader's one look a second tells it: while it is nothing, the other loops ask nothing.
 *
 * @module
 */

import { type Clock, systemClock } from "../clock.ts";
import type { Store, View } from "../store/mod.ts";

/** A view that is older is not trusted, milliseconds: then the record is asked. */
const TRUSTED = 3000;

/** The last view of the record. Who finds none that is fresh finds work everywhere. */
export class Outlook {
  readonly #store: Pick<Store, "activeChannels">;
  readonly #clock: Clock;
  #view: View | undefined;
  #seenAt = -Infinity;

  constructor(store: Pick<Store, "activeChannels">, clock: Clock = systemClock) {
    this.#store = store;
    this.#clock = clock;
  }

  /** Remembers what was seen. */
  saw(view: View): void {
    this.#view = view;
    this.#seenAt = this.#clock.monotonic();
  }

  /** Names the channels that have ready tasks. */
  async channels(): Promise<readonly string[]> {
    return this.#fresh?.channels ?? await this.#store.activeChannels();
  }

  /** Whether tasks may have gone stale. */
  get mayHaveStale(): boolean {
    return this.#fresh?.hasStale ?? true;
  }

  /** Whether an engine may have been silent for so many seconds. */
  mayBeSilentFor(seconds: number): boolean {
    const view = this.#fresh;
    if (view === undefined) return true;
    return view.silence !== undefined &&
      view.silence + (this.#clock.monotonic() - this.#seenAt) / 1000 >= seconds;
  }

  get #fresh(): View | undefined {
    return this.#clock.monotonic() - this.#seenAt < TRUSTED ? this.#view : undefined;
  }
}
