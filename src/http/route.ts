/**
 * Routes of REST: each says what it takes and gives, and that is what is checked, and documented.
 *
 * @module
 */

import type { z } from "npm:zod@4.6.7";
import { nearest } from "../nearest.ts";
import type { Right } from "./access.ts";
import { readFields } from "./body.ts";
import { HttpError, refuse } from "./envelope.ts";
import { requires } from "./guard.ts";
import type { HttpApp, HttpParts } from "./parts.ts";

/** Where REST is. */
export const BASE = "/rpc/taskqueue";

/** What a handler gets, checked. */
export interface RouteInput<Path, Query, Body> {
  readonly path: Path;
  readonly query: Query;
  readonly body: Body;
}

/** What every route says of itself. */
export interface RouteInfo {
  readonly method: "GET" | "POST";
  /** Under `BASE`; `{id}` is a parameter. */
  readonly path: string;
  readonly right: Right;
  /** A few words. */
  readonly summary: string;
  /** Sentences. */
  readonly description?: string;
  readonly pathSchema?: z.ZodObject;
  readonly querySchema?: z.ZodObject;
  readonly bodySchema?: z.ZodObject;
  readonly answer: z.ZodType;
  /** A body, for the documentation. */
  readonly example?: unknown;
}

/** A route, with what answers it. */
export interface Route extends RouteInfo {
  handle(input: RouteInput<unknown, unknown, unknown>): Promise<unknown>;
}

type Output<Schema> = Schema extends z.ZodType ? z.output<Schema> : undefined;

/** Makes a route whose handler knows the types of what its schemas let through. */
export function route<
  const Info extends RouteInfo,
>(
  info: Info,
  handle: (
    input: RouteInput<Output<Info["pathSchema"]>, Output<Info["querySchema"]>, Output<Info["bodySchema"]>>,
  ) => Promise<unknown>,
): Route {
  return { ...info, handle: handle as Route["handle"] };
}

/** Serves the routes; other methods on their paths are refused with 405. */
export function mountRoutes(app: HttpApp, parts: HttpParts, routes: readonly Route[]): void {
  // The first that matches is taken: `/task/log` before `/task/{id}`.
  for (const one of routes.toSorted((a, b) => Number(a.path.includes("{")) - Number(b.path.includes("{")))) {
    app.on(one.method, honoPath(one), requires(one.right), async (c) => {
      const input = {
        path: check(one.pathSchema, c.req.param()),
        query: check(one.querySchema, given(c.req.query())),
        body: one.bodySchema === undefined ? undefined : check(one.bodySchema, await readFields(c, parts)),
      };
      return c.json(await one.handle(input) as object);
    });
  }
  const paths = Map.groupBy(routes, honoPath);
  for (const [path, served] of paths) {
    const methods = served.map(({ method }) => method).join(", ");
    app.all(path, (c) => {
      c.header("allow", methods);
      return refuse(c, 405, `${c.req.method} is not served here: use ${methods}`);
    });
  }
}

function honoPath({ path }: RouteInfo): string {
  return BASE + path.replaceAll(/\{(\w+)\}/g, ":$1");
}

/** In a query, nothing is how "not given" is written. */
function given(query: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(query).filter(([, value]) => value !== ""));
}

function check(schema: z.ZodObject | undefined, value: Record<string, unknown>): unknown {
  if (schema === undefined) return undefined;
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  if (issue?.code === "unrecognized_keys") {
    const [unknown = ""] = issue.keys;
    const near = nearest(unknown, Object.keys(schema.shape));
    const remedy = near === undefined ? "see the documentation" : `did you mean ${near}?`;
    throw new HttpError(400, `there is no field ${shorten(unknown)}: ${remedy}`);
  }
  const name = String(issue?.path[0] ?? "the request");
  const given = value[name];
  const is = given === undefined ? "is missing" : `is ${shorten(given)}`;
  throw new HttpError(400, `${name} ${is}: ${issue?.message ?? "see the documentation"}`);
}

/** A value in a message: one line that is not too long. */
function shorten(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length <= 100 ? text : `${text.slice(0, 99)}…`;
}
