/**
 * The base of every loop: started once, stopped once, with a body that tests call directly.
 *
 * @module
 */

import { type Clock, systemClock } from "./clock.ts";
import { messageOf } from "./errors.ts";
import { logger } from "./log.ts";

/**
 * By how much a longer pause may be shorter, milliseconds: the loops of a process wake at the same moments. The ten of
 * a quiet supervisor took 6.1 ms of processor a second, and take 4.7 (2026-11-27).
 */
const SLACK = 1000;

/** A loop that calls `runOnce` until it is stopped. An error is logged and the loop goes on. */
export abstract class Service implements AsyncDisposable {
  protected readonly clock: Clock;
  readonly #name: string;
  #stop = new AbortController();
  #loop: Promise<void> | undefined;
  #wake = new AbortController();

  constructor(name: string, clock: Clock = systemClock) {
    this.#name = name;
    this.clock = clock;
  }

  /**
   * Does the work once; returns the milliseconds until it should be called again at the latest: 0 only if it has
   * waited itself.
   */
  abstract runOnce(signal: AbortSignal): Promise<number>;

  /** Whether the last call did its work: only then is it said that the loop works again. */
  protected get hasWorked(): boolean {
    return true;
  }

  /** How long to wait after an error, in milliseconds. */
  protected readonly pauseAfterError: number = 1000;

  /** Starts the loop; a second call does nothing. */
  start(): void {
    this.#loop ??= this.#run();
  }

  /** Ends the current wait, so that `runOnce` is called now. */
  wake(): void {
    this.#wake.abort();
  }

  /** Stops the loop and waits for its current call to end. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#wake.abort();
    await this.#loop;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #run(): Promise<void> {
    const log = logger(this.#name);
    // Several loops share a name; who reads the log wants to know which of them.
    const loop = this.constructor.name;
    let failing = false;
    while (!this.#stop.signal.aborted) {
      let pause = this.pauseAfterError;
      this.#wake = new AbortController();
      try {
        pause = await this.runOnce(this.#stop.signal);
        if (failing && this.hasWorked) {
          log.info("works again", { loop });
          failing = false;
        }
      } catch (error) {
        // The same trouble every second would bury the log: it is said once, and so is its end.
        if (!failing) log.warn("cannot work for now", { loop, error: messageOf(error) });
        failing = true;
      }
      // A timer of 0 ms takes more than one.
      if (pause > 0 && !this.#stop.signal.aborted) {
        await this.clock.sleep(pause, this.#wake.signal, pause < SLACK ? 0 : SLACK);
      }
    }
  }
}
