/**
 * Posts messages as JSON, one after the other, each again for a while when it is not taken. Whoever hands one over
 * does not wait for it.
 *
 * @module
 */

import { type Clock, systemClock } from "../clock.ts";
import { messageOf } from "../errors.ts";
import { logger } from "../log.ts";

/** How an outbox is made. */
export interface OutboxOptions {
  /** Where messages are posted. It may hold a secret: it is never logged. */
  readonly url: string;
  /** Hears how each message ended. */
  ended(how: "sent" | "lost"): void;
  readonly clock?: Clock;
}

/** Tries of one message; the pauses between them are 1, 2, 4, 8, 16 and 32 s. */
const TRIES = 7;
const FIRST_PAUSE = 1000;
/** Milliseconds for one try. */
const DEADLINE = 10_000;
/** Messages that wait; beyond them the oldest is lost. */
const MOST = 100;
/** Milliseconds for what is under way when it is closed. */
const LAST_WORDS = 2000;
/** Answers, besides 5xx, that may be different next time. */
const PASSING = [408, 425, 429];

/** Messages on their way. */
export class Outbox {
  readonly #options: OutboxOptions;
  readonly #clock: Clock;
  readonly #log = logger("alerts");
  readonly #waiting: unknown[] = [];
  readonly #closing = new AbortController();
  #posting: Promise<void> | undefined;

  constructor(options: OutboxOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  /** Takes a message; returns at once. */
  add(message: unknown): void {
    if (this.#waiting.length >= MOST) {
      this.#waiting.shift();
      this.#lost("too many wait");
    }
    this.#waiting.push(message);
    this.#start();
  }

  /** Gives what waits 2 s more, and gives up the rest. */
  async close(): Promise<void> {
    const cancel = this.#clock.after(LAST_WORDS, () => this.#closing.abort());
    await this.#posting;
    cancel();
    this.#closing.abort();
  }

  #start(): void {
    this.#posting ??= this.#postAll().finally(() => {
      this.#posting = undefined;
      // One may have come since it found no more.
      if (this.#waiting.length > 0) this.#start();
    });
  }

  async #postAll(): Promise<void> {
    for (;;) {
      const message = this.#waiting.shift();
      if (message === undefined) return;
      const trouble = await this.#post(JSON.stringify(message));
      if (trouble !== undefined) this.#lost(trouble);
      else this.#options.ended("sent");
    }
  }

  /** Posts one message; what went wrong, when it is lost. */
  async #post(body: string): Promise<string | undefined> {
    let trouble = "nobody waits for it";
    for (let tries = 0; tries < TRIES && !this.#closing.signal.aborted; tries++) {
      if (tries > 0) await this.#clock.sleep(FIRST_PAUSE * 2 ** (tries - 1), this.#closing.signal);
      const late = new AbortController();
      const cancel = this.#clock.after(
        DEADLINE,
        () => late.abort(new Error(`no answer within ${DEADLINE / 1000} s`)),
      );
      try {
        const response = await fetch(this.#options.url, {
          method: "POST",
          headers: { "content-type": "application/json", "user-agent": "tq" },
          body,
          signal: AbortSignal.any([late.signal, this.#closing.signal]),
        });
        await response.body?.cancel();
        if (response.ok) return undefined;
        trouble = `status ${response.status}`;
        if (response.status < 500 && !PASSING.includes(response.status)) return trouble;
      } catch (error) {
        trouble = this.#withoutUrl(messageOf(error));
      } finally {
        cancel();
      }
    }
    return trouble;
  }

  #lost(why: string): void {
    this.#log.warn("An alert could not be posted", { why });
    this.#options.ended("lost");
  }

  /** The runtime quotes the whole URL in its errors. */
  #withoutUrl(text: string): string {
    return text.replaceAll(this.#options.url, "TQ_ALERT_URL").replaceAll(
      new URL(this.#options.url).href,
      "TQ_ALERT_URL",
    );
  }
}
