/**
 * REST: the routes, in the shape that clients of the original use.
 *
 * @module
 */

import type { HttpApp, HttpParts } from "./parts.ts";
import { reportRoutes } from "./rest_reports.ts";
import { taskRoutes } from "./rest_tasks.ts";
import { mountRoutes, type Route } from "./route.ts";

/** Every route, in the order of the documentation. */
export function restRoutes(parts: HttpParts): Route[] {
  return [...taskRoutes(parts), ...reportRoutes(parts)];
}

/** Serves REST. */
export function mountRest(app: HttpApp, parts: HttpParts): void {
  mountRoutes(app, parts, restRoutes(parts));
}
