/**
 * No hints: engines look into the record, woken by NOTIFY where that arrives, else by a poll that grows rarer while
 * it finds nothing. Redis' stand-in too while that is away.
 *
 * @module
 */

import { type Clock, systemClock } from "../clock.ts";
import { messageOf } from "../errors.ts";
import { logger } from "../log.ts";
import type { ControlMessage, Dispatch, Hint } from "./dispatch.ts";

/** How a look into the record is brought about. */
export interface Wakeup {
  /** Milliseconds until the record is looked into again after it had nothing; doubles up to `longest`. */
  readonly first: number;
  readonly longest: number;
  /** Hears that tasks are ready; undefined where that cannot be heard. */
  listen(heard: () => void): Promise<(() => void) | undefined>;
  /** Tells whoever listens that tasks are ready. */
  tell(): Promise<void>;
}

/** Waits between looks into the record. */
export class Poller {
  readonly #wakeup: Pick<Wakeup, "first" | "longest">;
  readonly #clock: Clock;
  #pause = 0;
  #poked = false;
  #wake = new AbortController();

  constructor(wakeup: Pick<Wakeup, "first" | "longest">, clock: Clock = systemClock) {
    this.#wakeup = wakeup;
    this.#clock = clock;
  }

  /** Ends the current wait, or the next one if there is none. */
  poke(): void {
    this.#poked = true;
    this.#wake.abort();
  }

  /** Returns at once while looks find something or somebody poked; else after a pause, with jitter, or at a signal. */
  async wait(found: number, ...signals: readonly AbortSignal[]): Promise<void> {
    this.#pause = found > 0
      ? 0
      : Math.min(Math.max(this.#pause * 2, this.#wakeup.first), this.#wakeup.longest);
    if (this.#pause > 0 && !this.#poked && !signals.some((one) => one.aborted)) {
      const wake = this.#wake = new AbortController();
      const stop = () => wake.abort();
      // On Deno 2.4 AbortSignal.any leaves something on a signal that lives on (denoland/deno#24842).
      for (const one of signals) one.addEventListener("abort", stop);
      await this.#clock.sleep(this.#pause * (0.75 + Math.random() / 4), wake.signal);
      for (const one of signals) one.removeEventListener("abort", stop);
    }
    if (this.#poked) this.#pause = 0;
    this.#poked = false;
  }
}

/** Dispatch without Redis. */
export class PostgresDispatch implements Dispatch {
  readonly kind = "postgres";
  readonly isUp = true;
  readonly #poller: Poller;
  readonly #wakeup: Wakeup;
  readonly #log = logger("dispatch");
  #listening: Promise<(() => void) | undefined> | undefined;
  #cannotListen = false;

  constructor(wakeup: Wakeup, clock: Clock = systemClock) {
    this.#wakeup = wakeup;
    this.#poller = new Poller(wakeup, clock);
  }

  check(): Promise<void> {
    return Promise.resolve();
  }

  async push(hints: readonly Hint[], isTold = false): Promise<void> {
    this.#poller.poke();
    if (hints.length > 0 && !isTold) await this.#wakeup.tell();
  }

  async pop(
    _channels: readonly string[],
    _count: number,
    found: number,
    signal: AbortSignal,
    enough: AbortSignal = signal,
  ): Promise<readonly Hint[]> {
    // Who finds tasks need not be woken; and the pauses of who finds none pace the tries.
    if (found === 0) this.#listening ??= this.#listen();
    await this.#poller.wait(found, signal, enough);
    return [];
  }

  drop(): Promise<void> {
    return Promise.resolve();
  }

  send(_message: ControlMessage): Promise<void> {
    return Promise.resolve();
  }

  listen(_heard: (message: ControlMessage) => void): Promise<() => void> {
    return Promise.resolve(() => {});
  }

  wasEmptied(): Promise<boolean> {
    return Promise.resolve(false);
  }

  async close(): Promise<void> {
    (await this.#listening)?.();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** A failure is said once, and the next wait tries again. */
  async #listen(): Promise<(() => void) | undefined> {
    try {
      const unlisten = await this.#wakeup.listen(() => this.#poller.poke());
      if (this.#cannotListen) this.#log.info("Can listen again");
      this.#cannotListen = false;
      return unlisten;
    } catch (error) {
      if (!this.#cannotListen) this.#log.warn("Cannot listen; engines poll", { error: messageOf(error) });
      this.#cannotListen = true;
      this.#listening = undefined;
      return undefined;
    }
  }
}
