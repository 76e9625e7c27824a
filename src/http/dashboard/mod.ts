/**
 * The dashboard: its pages, their files, and what they show, once and live.
 *
 * @module
 */

import { NotFoundError } from "../../errors.ts";
import type { Overview } from "./overview.ts";
import { HttpError, refuse } from "../envelope.ts";
import { Events, type Topic } from "../events.ts";
import { requires } from "../guard.ts";
import type { HttpApp, HttpContext, HttpParts } from "../parts.ts";
import { assetAnswer } from "./assets.ts";
import { logPage, topicsOf } from "./topics.ts";

const EVENT_HEADERS = {
  "content-type": "text/event-stream",
  "cache-control": "no-store",
  // nginx would hold events back.
  "x-accel-buffering": "no",
};

/** Serves the dashboard. */
export function mountDashboard(app: HttpApp, parts: HttpParts): void {
  const events = new Events(parts);
  const topics = topicsOf(parts);
  const view = requires("view");
  const json = async (topic: Topic) =>
    new Response(await events.latest(topic), { headers: { "content-type": "application/json" } });

  const page = async (c: HttpContext) => {
    if (c.get("right") !== undefined) return await assetAnswer(c, "index.html") ?? c.notFound();
    const { pathname, search } = new URL(c.req.url);
    return c.redirect(`/sign-in?next=${encodeURIComponent(pathname + search)}`);
  };
  for (const path of ["/", "/tasks", "/task/:id{[0-9]+}", "/handlers"]) app.get(path, page);

  // Whoever signs in needs some of them, and none is a secret.
  app.get(
    "/assets/*",
    async (c) =>
      await assetAnswer(c, c.req.path.slice("/assets/".length)) ?? refuse(c, 404, "there is no such file"),
  );

  // What browsers ask for on pages that name no icon.
  app.get("/favicon.ico", async (c) => await assetAnswer(c, "icon.svg") ?? c.notFound());

  app.get("/dashboard/session", view, (c) => c.json({ right: c.get("right") }));
  app.get("/dashboard/overview", view, () => json(topics.overview()));
  app.get("/dashboard/handlers", view, () => json(topics.handlers()));
  app.get("/dashboard/tasks", view, (c) => json(topics.tasks(c.req.query())));
  app.get("/dashboard/tasks/:id{[0-9]+}", view, async (c) => {
    const text = await events.latest(topics.task(c.req.param()));
    if (JSON.parse(text).task === null) throw new NotFoundError(`there is no task ${c.req.param("id")}`);
    return c.body(text, 200, { "content-type": "application/json" });
  });
  app.get(
    "/dashboard/tasks/:id{[0-9]+}/log",
    view,
    async (c) => c.json(await logPage(parts, c.req.param(), c.req.query("after"))),
  );
  app.get("/dashboard/names", view, async (c) => {
    const overview: Overview = JSON.parse(await events.latest(topics.overview()));
    return c.json({
      handlers: topics.handlerNames(),
      channels: overview.channels.map(({ channel }) => channel),
    });
  });

  app.get("/dashboard/events", view, (c) => {
    const { topic, ...query } = c.req.query();
    const watched = topicOf(topic);
    // Hono takes HEAD for GET and drops the body: nobody would end the stream.
    if (c.req.method === "HEAD") return c.body(null, 200, EVENT_HEADERS);
    const stream = events.stream(watched);
    if (stream === undefined) return refuse(c, 503, "too many watch already: try again later");
    return new Response(stream, { headers: EVENT_HEADERS });

    function topicOf(name = ""): Topic {
      if (name === "overview") return topics.overview();
      if (name === "handlers") return topics.handlers();
      if (name === "tasks") return topics.tasks(query);
      if (name === "task") return topics.task(query);
      throw new HttpError(400, `topic is ${JSON.stringify(name)}: give overview, handlers, tasks or task`);
    }
  });
}
