/**
 * What is wrong, in words: what a person must see first.
 *
 * @module
 */

import { COUNT_LIMIT } from "../../store/mod.ts";
import type { SupervisorStatus } from "../../supervisor/status_file.ts";
import type { ChannelView, EngineView, Limits } from "./views.ts";
import type { Failure, HandlerTally } from "./tally.ts";

/** One thing that is wrong. */
export interface Problem {
  /** `bad`: tasks fail or stand still. `warn`: they go on, but not as they should. */
  readonly level: "bad" | "warn";
  /** One sentence without its full stop. */
  readonly text: string;
  /** What somebody said about it: an error's message, a reason. */
  readonly detail: string | null;
  /** Where to look: a path of the dashboard. */
  readonly link: string | null;
}

/** What problems are seen in. */
export interface Sight {
  /** Seconds since the epoch. */
  readonly now: number;
  readonly isLed: boolean;
  readonly channels: readonly ChannelView[];
  readonly engines: readonly EngineView[];
  /** How handlers did in the last quarter of an hour. */
  readonly lately: ReadonlyMap<string, HandlerTally & { readonly failure: Failure | undefined }>;
  readonly status: SupervisorStatus;
  readonly limits: Limits;
}

/** A handler with so many failures lately, of so many of its runs, is a problem of its own. */
const FAILURES = 3;
const FAILURE_RATE = 0.2;
/** Handlers that are named, at most. */
const MOST_HANDLERS = 3;
/** Ready tasks that nobody takes for this long, in seconds, are a problem even when they are few. */
const LONG_WAIT = 60;

/** What is wrong, the worst first. */
export function problemsOf(sight: Sight): Problem[] {
  const problems = [
    ...engineProblems(sight),
    ...refreshProblems(sight),
    ...channelProblems(sight),
    ...failureProblems(sight),
    ...serviceProblems(sight),
  ];
  return problems.sort((a, b) => Number(a.level === "warn") - Number(b.level === "warn"));
}

function* engineProblems({ engines, status, now }: Sight): Iterable<Problem> {
  if (status.trouble !== null) yield bad("Engines end soon after they start", status.trouble);
  const working = engines.filter(({ state }) => state === "ready");
  if (working.length === 0) {
    const starting = engines.some(({ state }) => state === "starting");
    yield starting
      ? warn("The first engine is still starting: no task is run yet")
      : bad("No engine is running: no task is run");
  }
  for (const { host, pid, state, beat } of engines) {
    if (state !== "lost" || beat === null) continue;
    yield warn(`Engine ${host}:${pid} has not been heard of for ${durationText(now - beat)}`);
  }
}

function* refreshProblems({ status: { refresh } }: Sight): Iterable<Problem> {
  if (refresh?.outcome !== "refused") return;
  const commit = refresh.commit === null ? "The new code" : `Commit ${refresh.commit.slice(0, 8)}`;
  yield bad(`${commit} was refused; the engines go on with the code they have`, refresh.reason);
}

function* channelProblems({ channels, engines, limits, now }: Sight): Iterable<Problem> {
  const isServed = engines.some(({ state }) => state === "ready");
  for (const { channel, ready, oldest, engines: takers } of channels) {
    if (ready === null || ready === 0) continue;
    const link = `/tasks?state=scheduled&channel=${encodeURIComponent(channel)}&sort=id`;
    const age = oldest === null ? 0 : now - oldest;
    const wait = `the first waits for ${durationText(age)}`;
    if (takers === 0 && isServed) {
      yield bad(`No engine takes tasks from ${channel}: ${countText(ready)} wait, ${wait}`, null, link);
    } else if (ready > limits.backlog) {
      yield warn(`${channel} has ${countText(ready)} ready tasks; ${wait}`, null, link);
    } else if (age > LONG_WAIT && isServed) {
      yield warn(`${channel} has a ready task that waits for ${durationText(age)}`, null, link);
    }
  }
}

function* failureProblems({ lately }: Sight): Iterable<Problem> {
  const failing = [...lately.values()].filter(({ failed, completed }) =>
    failed >= FAILURES && failed / (failed + completed) >= FAILURE_RATE
  );
  for (const { model, fname, failed, completed, failure } of failing.slice(0, MOST_HANDLERS)) {
    const link = `/tasks?${new URLSearchParams({ state: "failed", model, fname })}`;
    const text = `${model} ${fname} failed ${failed} of ${failed + completed} times in the last 15 minutes`;
    yield bad(text, failure?.reason ?? null, link);
  }
  const more = failing.length - MOST_HANDLERS;
  if (more > 0) yield bad(`${more} more handlers fail`, null, "/tasks?state=failed");
}

function* serviceProblems({ isLed, status }: Sight): Iterable<Problem> {
  if (status.dispatch.endsWith("away")) {
    yield warn("Redis is away: engines claim from Postgres, which is slower");
  }
  if (!isLed) yield bad("Nobody does the upkeep: retries and delayed tasks do not become ready");
}

function bad(text: string, detail: string | null = null, link: string | null = null): Problem {
  return { level: "bad", text, detail, link };
}

function warn(text: string, detail: string | null = null, link: string | null = null): Problem {
  return { level: "warn", text, detail, link };
}

function countText(count: number): string {
  return count > COUNT_LIMIT ? `over ${COUNT_LIMIT.toLocaleString("en")}` : count.toLocaleString("en");
}

function durationText(seconds: number): string {
  if (seconds < 100) return `${Math.round(seconds)} s`;
  if (seconds < 6000) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}
