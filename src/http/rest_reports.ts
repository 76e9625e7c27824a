/**
 * The routes of numbers, and of the engine as a whole.
 *
 * @module
 */

import type { Totals } from "../store/mod.ts";
import { HttpError, one } from "./envelope.ts";
import type { HttpParts } from "./parts.ts";
import { type Route, route } from "./route.ts";
import * as schemas from "./schemas.ts";
import { epochOrNull } from "./task_json.ts";

const DAY_SECONDS = 24 * 3600;

/** The routes of numbers, and of the engine as a whole. */
export function reportRoutes({ store, control }: HttpParts): Route[] {
  return [
    route({
      method: "GET",
      path: "/task/status",
      right: "view",
      summary: "Count tasks",
      description: "What waits, runs and is ready now, and what ended within the last minutes.",
      querySchema: schemas.statusQuery,
      answer: schemas.oneOf(schemas.statusAnswer),
    }, async ({ query: { minutes_back } }) => {
      const totals = await store.totals(minutes_back * 60);
      const { retry, running, backlog, completed, failed, canceled } = totals;
      return one({
        ...five(totals),
        total: retry + running + backlog + completed + failed + canceled,
        last_completed: epochOrNull(totals.lastCompleted),
        last_scheduled: epochOrNull(totals.lastScheduled),
        ...estimated(totals.isEstimate),
      });
    }),
    route({
      method: "GET",
      path: "/task/stats",
      right: "view",
      summary: "Count tasks by day",
      description: "What ended on each day, the oldest first; `status` counts all of these days.",
      querySchema: schemas.statsQuery,
      answer: schemas.oneOf(schemas.statsAnswer),
    }, async ({ query: { days } }) => {
      const [stats, totals] = await Promise.all([store.dayStats(days), store.totals(days * DAY_SECONDS)]);
      return one({
        stats: stats.days.map(({ day, completed, failed, longest }) => ({
          day: Date.parse(day) / 1000,
          completed,
          failed,
          longest: Math.floor(longest ?? 0),
        })),
        status: five(totals),
        ...estimated(stats.isEstimate || totals.isEstimate),
      });
    }),
    route({
      method: "POST",
      path: "/restart",
      right: "manage",
      summary: "Restart the engine",
      description:
        "Replaces the engine processes of this host one by one, new before old, with the code that is there now, " +
        "and, through Redis, those of the other hosts. Answers at once; `tq status` tells how it went.",
      answer: schemas.oneOf(schemas.restartAnswer),
    }, () => {
      if (!control.restart()) throw new HttpError(503, "the engine still starts: try again later");
      return Promise.resolve(one({ restarting: true }));
    }),
  ];
}

function five({ retry, completed, failed, running, backlog }: Totals) {
  return { retry, completed, failed, running, backlog };
}

function estimated(isEstimate: boolean): { estimated?: true } {
  return isEstimate ? { estimated: true } : {};
}
