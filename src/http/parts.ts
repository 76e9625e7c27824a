/**
 * What the HTTP server is made of, handed to every route.
 *
 * @module
 */

import type { Context, Hono, MiddlewareHandler } from "npm:hono@4.13.19";
import type { Clock } from "../clock.ts";
import type { Settings } from "../config.ts";
import type { TaskQueue } from "../publish/queue.ts";
import type { Store } from "../store/mod.ts";
import type { Served } from "../supervisor/serving.ts";
import type { Access, Right } from "./access.ts";

/** What routes work with. */
export interface HttpParts extends Served {
  readonly settings: Settings;
  /** For reading the record. Its connections are the server's own: a slow list delays no beat. */
  readonly store: Store;
  /** For publishing, canceling and retrying. */
  readonly queue: TaskQueue;
  /** Tokens, sessions and sign-in codes. */
  readonly access: Access;
  readonly clock: Clock;
  /** Aborted when the server stops: whoever streams an answer ends it then. */
  readonly stopping: AbortSignal;
}

/** What a request carries from one handler to the next. */
export interface HttpEnv {
  Variables: {
    /** What the request's token or session may do; undefined without one. */
    right: Right | undefined;
    /** How it was shown: a session is a browser's. */
    by: "token" | "session" | undefined;
  };
}

/** The application. */
export type HttpApp = Hono<HttpEnv>;
/** One request, as a handler sees it. */
export type HttpContext = Context<HttpEnv>;
/** A step before a handler. */
export type HttpStep = MiddlewareHandler<HttpEnv>;
