/**
 * Watches the other parts of a supervisor, which tell it what happens: for metrics and, with `TQ_ALERT_URL`, alerts.
 * Whoever tells it something never waits for it.
 *
 * @module
 */

import { type Clock, systemClock } from "../clock.ts";
import type { Settings } from "../config.ts";
import type { EngineCounted } from "../engine/protocol.ts";
import { HostMetrics, type UpkeepAction } from "../metrics/host_metrics.ts";
import { Service } from "../service.ts";
import { COUNT_LIMIT, type Store } from "../store/mod.ts";
import type { UpkeepObserver } from "../upkeep/upkeep_service.ts";
import { Alerts, type Certainty } from "./alerts.ts";
import type { EngineProcess } from "./engine_process.ts";
import { FailureRate } from "./failure_rate.ts";
import { Outbox } from "./outbox.ts";
import type { RefreshReport } from "./status_file.ts";

/** How a monitor is made. */
export interface MonitorOptions {
  readonly settings: Pick<
    Settings,
    "TQ_ALERT_URL" | "TQ_ALERT_FAILURE_RATE" | "TQ_REPORT_BACKLOG" | "TQ_LEASE" | "TQ_REDIS_URL"
  >;
  readonly store: Pick<Store, "standing">;
  /** This host, as alerts name it. @default its name */
  readonly host?: string;
  /** Takes alerts, where they are wanted. @default posts them to `TQ_ALERT_URL` */
  readonly outbox?: Pick<Outbox, "add" | "close">;
  readonly clock?: Clock;
}

/** An engine, as far as it matters here. */
type Engine = Pick<EngineProcess, "pid" | "identity" | "isDraining" | "exited">;

/** Milliseconds between looks. */
const INTERVAL = 1000;
/** Milliseconds between looks at failures, and at hosts whose engines were lost. */
const SLOW_INTERVAL = 10_000;
/** The failures of this long are one rate, milliseconds. */
const FAILURE_WINDOW = 300_000;
/** Fewer failures are no alert, whatever their share. */
const LEAST_FAILURES = 10;
/** The janitor counts every 10 s: over the limit twice in a row is a backlog, and a minute without a count means that another host leads. */
const BACKLOG: Certainty = { after: 5000, forgottenAfter: 60_000 };
/** A host that was lost an hour ago is not waited for. */
const LOST: Certainty = { calm: 0, forgottenAfter: 3_600_000 };

/** Hears what happens on a host. As a loop, started where alerts are wanted, it sends them. */
export class Monitor extends Service implements UpkeepObserver {
  readonly metrics: HostMetrics;
  readonly #options: MonitorOptions;
  readonly #outbox: Pick<Outbox, "add" | "close"> | undefined;
  readonly #alerts: Alerts | undefined;
  readonly #failures: FailureRate;
  readonly #engines = new Set<Engine>();
  /** Engines whose Redis is away. */
  readonly #without = new Set<Engine>();
  readonly #lostHosts = new Set<string>();
  #lastSlowLook = -Infinity;

  constructor(options: MonitorOptions) {
    super("alerts", options.clock ?? systemClock);
    this.#options = options;
    const { TQ_ALERT_URL: url, TQ_REDIS_URL } = options.settings;
    this.metrics = new HostMetrics(TQ_REDIS_URL !== undefined, this.clock);
    this.#failures = new FailureRate(this.metrics.counts, FAILURE_WINDOW);
    if (url === undefined) return;
    const ended = (how: "sent" | "lost") => this.metrics.alerts.add(how, 1);
    const outbox = this.#outbox = options.outbox ?? new Outbox({ url, ended, clock: this.clock });
    this.#alerts = new Alerts(options.host ?? Deno.hostname(), (message) => outbox.add(message), this.clock);
  }

  /** Starts the loop, where alerts are wanted. */
  override start(): void {
    if (this.#alerts !== undefined) super.start();
  }

  override async stop(): Promise<void> {
    await super.stop();
    await this.#outbox?.close();
  }

  async runOnce(): Promise<number> {
    const now = this.clock.monotonic();
    const current = [...this.#engines].filter((engine) => !engine.isDraining);
    // Deaths are told as they come; here it is told that it is over.
    if (current.length > 0 && current.every(({ identity }) => identity !== undefined)) {
      this.#alerts?.set("engine", undefined);
    }
    if (now - this.#lastSlowLook >= SLOW_INTERVAL) {
      this.#lastSlowLook = now;
      this.#lookAtFailures(now);
      await this.#lookForLost();
    }
    this.#alerts?.look();
    return INTERVAL;
  }

  /** An engine was started. */
  began(engine: Engine): void {
    this.metrics.engines.add("started", 1);
    this.#engines.add(engine);
    engine.exited.then(() => {
      this.#engines.delete(engine);
      this.#setRedis(engine, true);
    });
  }

  /** An engine told what it has counted. */
  counted(engine: Engine, { counts, redisUp }: EngineCounted): void {
    this.metrics.counts.heard(engine, counts);
    if (this.#engines.has(engine)) this.#setRedis(engine, redisUp !== false);
  }

  /** An engine died that was not told to. */
  died(engine: Pick<Engine, "pid">, how: string): void {
    this.metrics.engines.add("died", 1);
    this.#alerts?.set("engine", {
      event: "engine",
      text: `engine ${engine.pid} died (${how}); another takes its place`,
      recovery: "no engine has died for a minute",
      facts: { pid: engine.pid, how },
    });
  }

  /** Code was taken, or refused. */
  refreshed(report: RefreshReport | null): void {
    if (report === null) return;
    const { outcome, commit, reason } = report;
    this.metrics.refreshes.add(outcome, 1);
    const name = commit === null ? "new code" : `commit ${commit.slice(0, 12)}`;
    this.#alerts?.set(
      "deploy",
      outcome === "taken" ? undefined : {
        event: "deploy",
        text: `${name} was refused, the old code goes on: ${reason ?? "no reason"}`,
        recovery: "new code was taken",
        facts: { commit, reason },
        identity: commit ?? "",
      },
      { calm: 0 },
    );
  }

  /** The beats of `store`, watched: while they do not arrive, Postgres is away. */
  watched(store: Pick<Store, "beat">): Pick<Store, "beat"> {
    return {
      beat: async (...what) => {
        try {
          const beat = await store.beat(...what);
          this.metrics.postgresAway.set(false);
          return beat;
        } catch (error) {
          this.metrics.postgresAway.set(true);
          throw error;
        }
      },
    };
  }

  round(loop: string, seconds: number): void {
    this.metrics.rounds.add(loop, 1);
    this.metrics.roundSeconds.add(loop, seconds);
  }

  moved(action: UpkeepAction, count: number): void {
    this.metrics.upkeep.add(action, count);
  }

  backlog(ready: ReadonlyMap<string, number>): void {
    const limit = this.#options.settings.TQ_REPORT_BACKLOG;
    const channels = [...ready].filter(([, count]) => count > limit);
    for (const [channel, count] of channels) {
      this.#alerts?.set(`backlog:${channel}`, {
        event: "backlog",
        text:
          `${Math.min(count, COUNT_LIMIT)}${
            count > COUNT_LIMIT ? " or more" : ""
          } tasks are ready on ${channel}, ` +
          `above the limit of ${limit}`,
        recovery: `${channel} has no more than ${limit} ready tasks`,
        facts: { channel, ready: count, limit },
      }, BACKLOG);
    }
    const over = new Set(channels.map(([channel]) => `backlog:${channel}`));
    for (const key of this.#alerts?.keys ?? []) {
      if (key.startsWith("backlog:") && !over.has(key)) this.#alerts?.set(key, undefined);
    }
  }

  lost({ host, pid }: { readonly host: string; readonly pid: number }): void {
    // Without a name it has no row of its own any more: who it was is not known.
    if (this.#alerts === undefined || host === "") return;
    this.#lostHosts.add(host);
    this.#alerts.set(`engine:${host}`, {
      event: "engine",
      text:
        `engine ${pid} of ${host} was lost: it has not been heard of for ${this.#options.settings.TQ_LEASE} s`,
      recovery: `engines of ${host} are heard of again`,
      facts: { host, pid },
    }, LOST);
  }

  #lookAtFailures(now: number): void {
    const { failed, ended, worst } = this.#failures.look(now);
    const limit = this.#options.settings.TQ_ALERT_FAILURE_RATE;
    const isHigh = failed >= LEAST_FAILURES && failed / ended > limit;
    this.#alerts?.set(
      "failures",
      !isHigh ? undefined : {
        event: "failures",
        text: `${failed} of the ${ended} tasks that ended here within 5 minutes failed` +
          (worst === undefined ? "" : `, ${worst.failed} of them of ${worst.handler}`),
        recovery: `no more than ${Number((limit * 100).toPrecision(12))} % of the tasks that end here fail`,
        facts: { failed, ended, limit, handler: worst?.handler ?? null },
      },
    );
  }

  /** Whether hosts whose engines were lost have some again. Asked by whoever told of it, and only while it is waited for. */
  async #lookForLost(): Promise<void> {
    const keys = new Set(this.#alerts?.keys);
    for (const host of this.#lostHosts) if (!keys.has(`engine:${host}`)) this.#lostHosts.delete(host);
    if (this.#lostHosts.size === 0) return;
    const { engines, now } = await this.#options.store.standing();
    for (const { host, beat } of engines) {
      if (now - beat < this.#options.settings.TQ_LEASE) this.#alerts?.set(`engine:${host}`, undefined);
    }
  }

  #setRedis(engine: Engine, isUp: boolean): void {
    if (isUp) this.#without.delete(engine);
    else this.#without.add(engine);
    this.metrics.redisAway.set(this.#without.size > 0);
  }
}
