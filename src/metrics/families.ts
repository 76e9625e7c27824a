/**
 * The numbers of a host as metrics. Counters start at 0 with the supervisor.
 *
 * @module
 */

import { OUTCOMES } from "./engine_counts.ts";
import { type Family, single } from "./exposition.ts";
import type { HostMetrics, Tally } from "./host_metrics.ts";

/** The metrics of a host. Each label has few values: those of handlers are 200 and `other`. */
export function* hostFamilies(metrics: HostMetrics): Iterable<Family> {
  yield* runFamilies(metrics);
  yield* batchFamilies(metrics);
  yield* serviceFamilies(metrics);
  yield* upkeepFamilies(metrics);
}

function* runFamilies({ counts }: HostMetrics): Iterable<Family> {
  const handlers = [...counts.handlers];
  yield {
    type: "counter",
    name: "tq_task_runs_total",
    help: "Runs that ended here, by how: completed, failed for good, to be run again (retry), canceled.",
    samples: handlers.flatMap(({ channel, handler, outcomes }) =>
      OUTCOMES.map((outcome, i) => [{ channel, handler, outcome }, outcomes[i] ?? 0] as const)
    ),
  };
  yield {
    type: "histogram",
    name: "tq_task_run_seconds",
    help: "How long runs took.",
    samples: handlers.map(({ channel, handler, seconds }) => [{ channel, handler }, seconds] as const),
  };
  yield {
    type: "histogram",
    name: "tq_task_wait_seconds",
    help: "How long tasks were ready before they started.",
    samples: [...counts.waits].map(([channel, waits]) => [{ channel }, waits] as const),
  };
  yield single("counter", "tq_tasks_released_total", "Claimed tasks that were given back.", counts.released);
  yield single(
    "counter",
    "tq_ends_dropped_total",
    "Ends of runs that were not recorded, since another engine had the task by then.",
    counts.dropped,
  );
}

function* batchFamilies({ counts: { batches } }: HostMetrics): Iterable<Family> {
  yield {
    type: "histogram",
    name: "tq_batch_size",
    help:
      "Items of one statement: tasks claimed, ends of runs, tasks that handlers publish, lines of tasks' logs.",
    samples: [...batches].map(([batch, { sizes }]) => [{ batch }, sizes] as const),
  };
  yield {
    type: "histogram",
    name: "tq_batch_seconds",
    help: "How long such a statement took, waits for Postgres included.",
    samples: [...batches].map(([batch, { seconds }]) => [{ batch }, seconds] as const),
  };
}

function* serviceFamilies(metrics: HostMetrics): Iterable<Family> {
  const { redisAway, postgresAway, hasRedis, refreshes, alerts } = metrics;
  const up = (isAway: boolean) => isAway ? 0 : 1;
  yield single(
    "gauge",
    "tq_postgres_up",
    "1 while the supervisor's beats reach Postgres.",
    up(postgresAway.isRunning),
  );
  if (hasRedis) {
    yield single("gauge", "tq_redis_up", "1 while Redis answers all engines.", up(redisAway.isRunning));
  }
  yield {
    type: "counter",
    name: "tq_degraded_seconds_total",
    help: "Seconds during which a server was away.",
    samples: [
      [{ server: "postgres" }, postgresAway.seconds],
      ...(hasRedis ? [[{ server: "redis" }, redisAway.seconds] as const] : []),
    ],
  };
  yield single(
    "counter",
    "tq_engine_starts_total",
    "Engine processes started.",
    metrics.engines.get("started"),
  );
  yield single(
    "counter",
    "tq_engine_deaths_total",
    "Engine processes that died without being told to.",
    metrics.engines.get("died"),
  );
  yield {
    type: "counter",
    name: "tq_code_refreshes_total",
    help: "Times that new code was taken or refused.",
    samples: ["taken", "refused"].map((outcome) => [{ outcome }, refreshes.get(outcome)] as const),
  };
  yield {
    type: "counter",
    name: "tq_alerts_total",
    help: "Alerts that were sent, and that could not be.",
    samples: ["sent", "lost"].map((outcome) => [{ outcome }, alerts.get(outcome)] as const),
  };
}

function* upkeepFamilies({ upkeep, rounds, roundSeconds }: HostMetrics): Iterable<Family> {
  const byLoop = (tally: Tally) => [...tally].map(([loop, number]) => [{ loop }, number] as const);
  yield {
    type: "counter",
    name: "tq_upkeep_tasks_total",
    help:
      "Tasks that upkeep made ready (due), failed as stale, deleted, took back from dead engines (rescued), or told Redis of again (pushed).",
    samples: [...upkeep].map(([action, number]) => [{ action }, number] as const),
  };
  yield {
    type: "counter",
    name: "tq_upkeep_rounds_total",
    help: "Rounds of the loops of upkeep, which the leader does.",
    samples: byLoop(rounds),
  };
  yield {
    type: "counter",
    name: "tq_upkeep_seconds_total",
    help: "Seconds that these rounds took.",
    samples: byLoop(roundSeconds),
  };
}
