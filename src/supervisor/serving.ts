/**
 * What serves people and programs beside the engines: HTTP. A supervisor is told how to start it, and knows no more.
 *
 * @module
 */

import type { HostMetrics } from "../metrics/host_metrics.ts";
import type { SupervisorStatus } from "./status_file.ts";

/** What it is given. */
export interface Served {
  /** How the supervisor and its engines do. */
  status(): SupervisorStatus;
  /** The same in numbers, since it started. */
  readonly metrics: HostMetrics;
  /** Acts on the supervisor; returns at once. */
  readonly control: {
    /** Replaces the engines of every host on this record, the gapless way; false while they still start. */
    restart(): boolean;
    /** Tells the engines of this host that these running tasks were canceled. */
    canceled(ids: readonly number[]): void;
  };
}

/** What serves. */
export interface Server {
  /** Where it is reached; undefined while it is not. */
  readonly url: string | undefined;
  /** Ends it, after at most `grace` milliseconds for what is under way. */
  stop(grace?: number): Promise<void>;
}

/** Starts what serves. */
export type Serve = (served: Served) => Promise<Server>;

/** Keeps at most one of them. */
export class Serving {
  readonly #serve: Serve | undefined;
  readonly #served: Served;
  #server: Server | undefined;

  /** @param serve starts it; undefined where nothing is served */
  constructor(serve: Serve | undefined, served: Served) {
    this.#serve = serve;
    this.#served = served;
  }

  /** Where it is reached; null while it is not, undefined where nothing is served. */
  get url(): string | null | undefined {
    return this.#serve === undefined ? undefined : this.#server?.url ?? null;
  }

  /** Starts it, unless `stopping` says otherwise meanwhile. */
  async start(stopping: AbortSignal): Promise<void> {
    const server = await this.#serve?.(this.#served);
    if (stopping.aborted) await server?.stop();
    else this.#server = server;
  }

  /** Ends it. */
  async stop(grace?: number): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    await server?.stop(grace);
  }

  /** Ends it, so that the program that `replace` starts may serve; starts it again when that did not come to pass. */
  async giveWay(replace: () => void, stopping: AbortSignal): Promise<void> {
    await this.stop(HANDOVER_GRACE);
    try {
      replace();
    } catch (error) {
      await this.start(stopping);
      throw error;
    }
  }
}

/** Milliseconds: nobody should find the port closed for a second. */
const HANDOVER_GRACE = 200;
