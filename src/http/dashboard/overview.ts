/**
 * What the overview shows: the last hour, what waits and runs, and what is wrong.
 *
 * @module
 */

import type { Standing } from "../../store/mod.ts";
import type { SupervisorStatus } from "../../supervisor/status_file.ts";
import type { History, Minutes, Times } from "./history.ts";
import { type Problem, problemsOf } from "./problems.ts";
import type { ChannelView, EngineView, Limits } from "./views.ts";

/** The overview. Times are seconds since the epoch, by the database's clock; lengths of time are seconds. */
export interface Overview {
  readonly now: number;
  readonly minutes: Minutes;
  /** From ready to the start of a run, lately. */
  readonly wait: Times;
  /** How long runs took, lately. */
  readonly run: Times;
  /** Tasks that wait for their time, counted up to just above 10,000. */
  readonly later: number;
  readonly nextDue: number | null;
  readonly channels: readonly ChannelView[];
  readonly engines: readonly EngineView[];
  /** Handlers that failed in the last hour, those with most failures first, ten at most. */
  readonly failing: readonly FailingHandler[];
  /** What is wrong, the worst first. */
  readonly problems: readonly Problem[];
  /** The supervisor that serves this page. */
  readonly supervisor: {
    readonly version: string;
    readonly commit: string | null;
    readonly dispatch: string;
    /** Seconds since the epoch, by its own clock. */
    readonly started: number;
  };
}

/** A handler that failed lately. */
export interface FailingHandler {
  readonly model: string;
  readonly fname: string;
  readonly failed: number;
  /** Completed and failed together. */
  readonly ended: number;
  /** The newest failure. */
  readonly id: number | null;
  readonly at: number | null;
  readonly reason: string | null;
}

const MOST_FAILING = 10;

/** Puts the overview together. */
export function overviewOf(
  standing: Standing,
  history: History,
  status: SupervisorStatus,
  limits: Limits,
): Overview {
  const engines = enginesOf(standing, status, limits.lease);
  const channels = channelsOf(standing, engines);
  const failing = [...history.handlers().values()].filter(({ failed }) => failed > 0).slice(0, MOST_FAILING)
    .map(({ model, fname, failed, completed, failure }) => ({
      model,
      fname,
      failed,
      ended: failed + completed,
      id: failure?.id ?? null,
      at: failure?.at ?? null,
      reason: failure?.reason ?? null,
    }));
  return {
    now: standing.now,
    minutes: history.minutes(standing),
    ...history.times(),
    later: standing.later,
    nextDue: standing.nextDue,
    channels,
    engines,
    failing,
    problems: problemsOf({
      now: standing.now,
      isLed: standing.isLed,
      channels,
      engines,
      lately: history.handlers(PROBLEM_MINUTES),
      status,
      limits,
    }),
    supervisor: {
      version: status.version,
      commit: status.commit,
      dispatch: status.dispatch,
      started: Date.parse(status.started) / 1000,
    },
  };
}

/** Failures of this many minutes make a problem. */
const PROBLEM_MINUTES = 15;

function enginesOf(standing: Standing, status: SupervisorStatus, lease: number): EngineView[] {
  const here = new Map(status.engines.flatMap((engine) => engine.id === null ? [] : [[engine.id, engine]]));
  const running = new Map(standing.running.map(({ engine, count }) => [engine, count]));
  const known = standing.engines.map((engine): EngineView => {
    const report = here.get(engine.id);
    return {
      ...engine,
      state: report?.state ?? (standing.now - engine.beat > lease ? "lost" : "ready"),
      running: running.get(engine.id) ?? 0,
      memory: report?.status?.rss ?? null,
    };
  });
  const registered = new Set(known.map(({ id }) => id));
  // An engine that starts has no row yet; one without an id is not even that far.
  const starting = status.engines.filter(({ id }) => id === null || !registered.has(id)).map((
    { id, pid, commit, state, status },
  ): EngineView => ({
    id,
    host: null,
    pid,
    commit,
    state,
    running: status?.running ?? 0,
    memory: status?.rss ?? null,
    started: null,
    beat: null,
    channels: [],
  }));
  return [...known, ...starting];
}

function channelsOf(standing: Standing, engines: readonly EngineView[]): ChannelView[] {
  const names = new Set([
    ...standing.channels.map(({ channel }) => channel),
    ...standing.running.flatMap(({ channel }) => channel ?? []),
    ...engines.flatMap(({ channels }) => channels),
  ]);
  const isCounted = (channel: string) => standing.counted === null || standing.counted.includes(channel);
  return [...names].map((channel) => {
    const ready = standing.channels.find((one) => one.channel === channel);
    return {
      channel,
      ready: ready?.ready ?? (isCounted(channel) ? 0 : null),
      oldest: ready?.oldest ?? null,
      running: standing.running.find((one) => one.channel === channel)?.count ?? 0,
      engines: engines.filter(({ channels, state }) =>
        state === "ready" && channels.includes(channel)
      ).length,
    };
  }).sort((a, b) =>
    (b.ready ?? 0) - (a.ready ?? 0) || b.running - a.running || (a.channel < b.channel ? -1 : 1)
  );
}
