/**
 * The application: every request goes through the same checks, then to its route.
 *
 *     headers ─► access log ─► host and origin ─► who it is ─► route ─► right ─► input ─► handler
 *
 * @module
 */

import { Hono } from "npm:hono@4.13.19";
import { mountDashboard } from "./dashboard/mod.ts";
import { mountDocs } from "./docs_page.ts";
import { errorAnswer, notFound } from "./envelope.ts";
import { accessLog, checkHost, identify, secureHeaders } from "./guard.ts";
import { mountHealth } from "./health.ts";
import { mountMetrics } from "./metrics.ts";
import type { HttpApp, HttpEnv, HttpParts } from "./parts.ts";
import { mountRest } from "./rest.ts";
import { mountSignIn } from "./sign_in.ts";

/** Makes the application. Paths may end with a slash, as some clients of the original write them. */
export function createApp(parts: HttpParts): HttpApp {
  const app = new Hono<HttpEnv>({ strict: false });
  app.use(secureHeaders(), accessLog(parts), checkHost(parts), identify(parts));
  mountHealth(app, parts);
  mountMetrics(app, parts);
  mountSignIn(app, parts);
  mountRest(app, parts);
  mountDocs(app, parts);
  mountDashboard(app, parts);
  app.notFound(notFound);
  app.onError(errorAnswer);
  return app;
}
