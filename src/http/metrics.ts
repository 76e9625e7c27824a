/**
 * `/metrics`, for Prometheus: the numbers of this host, and what waits in the record, which is the same on all hosts.
 *
 * @module
 */

import { within } from "../clock.ts";
import { CONTENT_TYPE, type Family, single, writeFamilies } from "../metrics/exposition.ts";
import { hostFamilies } from "../metrics/families.ts";
import { COUNT_LIMIT, type Standing } from "../store/mod.ts";
import type { SupervisorStatus } from "../supervisor/status_file.ts";
import { requires } from "./guard.ts";
import type { HttpApp, HttpParts } from "./parts.ts";

/** Milliseconds for the record; then the numbers of the host go out alone, before a scrape runs out of time. */
const DEADLINE = 3000;
/** Milliseconds for which the record is not asked again: several may scrape. */
const KEPT = 1000;

/** Serves `/metrics` to whoever may view. */
export function mountMetrics(app: HttpApp, parts: HttpParts): void {
  const { clock, store, settings, metrics } = parts;
  const subscribed = settings.TQ_SUBSCRIBE.map(({ channel }) => channel);
  let kept: { readonly until: number; readonly standing: Promise<Standing | undefined> } | undefined;
  app.get("/metrics", requires("view"), async (c) => {
    const now = clock.monotonic();
    if (kept === undefined || kept.until <= now) {
      const standing = within(clock, DEADLINE, store.standing(subscribed)).catch(() => undefined);
      kept = { until: now + KEPT, standing };
    }
    const standing = await kept.standing;
    const text = writeFamilies([
      ...hostFamilies(metrics),
      ...statusFamilies(parts.status()),
      single("gauge", "process_start_time_seconds", "When the supervisor started.", metrics.started),
      single("gauge", "process_resident_memory_bytes", "Memory of the supervisor.", Deno.memoryUsage().rss),
      single(
        "gauge",
        "tq_record_up",
        "1 when Postgres answered this scrape.",
        standing === undefined ? 0 : 1,
      ),
      ...(standing === undefined ? [] : recordFamilies(standing, subscribed)),
    ]);
    return c.body(text, 200, { "content-type": CONTENT_TYPE });
  });
}

function* statusFamilies(status: SupervisorStatus): Iterable<Family> {
  const { version, commit, leader, engines, refresh } = status;
  const sum = (name: "running" | "waiting" | "rss") =>
    engines.reduce((sum, engine) => sum + (engine.status?.[name] ?? 0), 0);
  yield {
    type: "gauge",
    name: "tq_build_info",
    help: "1, for what runs: the version of tq, and the commit that is checked out.",
    samples: [[{ version, commit: commit ?? "" }, 1]],
  };
  yield {
    type: "gauge",
    name: "tq_engines",
    help: "Engines of this host.",
    samples: (["starting", "ready", "draining"] as const).map((state) =>
      [{ state }, engines.filter((engine) => engine.state === state).length] as const
    ),
  };
  yield single(
    "gauge",
    "tq_engine_running_tasks",
    "Tasks inside their handlers on this host.",
    sum("running"),
  );
  yield single("gauge", "tq_engine_waiting_tasks", "Claimed tasks that wait for a place.", sum("waiting"));
  yield single("gauge", "tq_engine_memory_bytes", "Memory of all engines of this host.", sum("rss"));
  yield single("gauge", "tq_leader", "1 on the host that does the upkeep.", leader ? 1 : 0);
  yield single(
    "gauge",
    "tq_code_refused",
    "1 while new code is refused and the old goes on.",
    refresh?.outcome === "refused" ? 1 : 0,
  );
}

/** Of the whole record: on several hosts these are the same, so take one of them, not their sum. */
function* recordFamilies(standing: Standing, subscribed: readonly string[]): Iterable<Family> {
  const { channels, counted, running, now, later } = standing;
  const names = [...new Set([...subscribed, ...channels.map(({ channel }) => channel)])];
  // Of a channel that was not counted nothing is said: 0 would be a lie.
  const known = names.filter((channel) => counted === null || counted.includes(channel));
  const ready = new Map(channels.map((one) => [one.channel, one]));
  const runningOn = new Map(running.map(({ channel, count }) => [channel, count]));
  yield {
    type: "gauge",
    name: "tq_ready_tasks",
    help: `Tasks that are ready to run, by channel; ${COUNT_LIMIT + 1} means that many or more.`,
    samples: known.map((channel) => [{ channel }, ready.get(channel)?.ready ?? 0] as const),
  };
  yield {
    type: "gauge",
    name: "tq_oldest_ready_seconds",
    help: "For how long the first in line of a channel, of any priority, has been ready.",
    samples: known.map((channel) => {
      const oldest = ready.get(channel)?.oldest;
      return [{ channel }, oldest === undefined ? 0 : Math.max(0, now - oldest)] as const;
    }),
  };
  yield {
    type: "gauge",
    name: "tq_running_tasks",
    help: "Tasks that run, on all hosts.",
    samples: [...new Set([...names, ...runningOn.keys()])].flatMap((channel) =>
      channel === null ? [] : [[{ channel }, runningOn.get(channel) ?? 0] as const]
    ),
  };
  yield single(
    "gauge",
    "tq_delayed_tasks",
    `Tasks that wait for their time or their next run; ${COUNT_LIMIT + 1} means that many or more.`,
    later,
  );
}
