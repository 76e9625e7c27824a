/**
 * The built-in handler of web requests: sends what a task carries, and ends the task as the answer says.
 *
 * @module
 */

import { type Clock, systemClock } from "../../clock.ts";
import { describe, InputError, messageOf } from "../../errors.ts";
import { cutReason } from "../../task.ts";
import type { Task } from "../context.ts";
import { RefusedAddressError } from "./address_guard.ts";
import { firstRequest, redirected, redirectTarget, shownUrl } from "./redirect.ts";
import { retryAfterSeconds } from "./retry_after.ts";
import { signed } from "./signature.ts";
import { tracedSend } from "./traced_send.ts";
import { type Answer, BODY_LIMIT, type Lookup, WebClient, type WebClientRequest } from "./web_client.ts";
import { checkWebRequest, type WebRequestData } from "../../publish/web_request_data.ts";

/** Options of the handler of web requests. */
export interface WebRequesterOptions {
  /** Seconds that an exchange may take when its task names none (`TQ_WEB_TIMEOUT`, 15). */
  readonly timeoutSeconds: number;
  /** Whether link-local addresses and metadata services may be reached (`TQ_WEB_ALLOW_LINK_LOCAL`). */
  readonly allowLinkLocal: boolean;
  /** What idempotency keys start with, before the task's id: the record's id, so that two records differ. @default "tq" */
  readonly keyPrefix?: string;
  /** Keys that requests are signed with (`TQ_WEB_SECRET`). @default none: they are not signed */
  readonly keys?: readonly Uint8Array[] | undefined;
  /** @default the real clock */
  readonly clock?: Clock;
  /** Finds the addresses of a host name. @default the system's resolver */
  readonly lookup?: Lookup;
}

/** What of a task the handler uses. */
export type WebRequestTask = Pick<
  Task,
  "id" | "data" | "signal" | "log" | "completed" | "failed" | "retryLater"
>;

/** How an exchange ended. */
type Outcome =
  | { readonly kind: "answered"; readonly request: WebClientRequest; readonly answer: Answer }
  | { readonly kind: "refused"; readonly reason: string }
  | { readonly kind: "unreachable"; readonly reason: string };

/** As many redirects are followed. */
const REDIRECT_LIMIT = 5;
/** Characters of the body that a failed task's reason quotes. */
const QUOTE_LIMIT = 200;
/** Answers, besides 5xx, that may be different next time. */
const PASSING = new Set([408, 425, 429]);
/** The kind of the lines in a task's log. */
const LOG_KIND = "web";

/**
 * Runs the tasks of `tq_web_request`. Connections are kept alive and shared by its runs, and closed when it is
 * disposed of; a run that is still under way then is tried again later.
 *
 * @example
 * ```ts
 * await using requester = new WebRequester({ timeoutSeconds: 15, allowLinkLocal: false });
 * await requester.run(task);
 * ```
 */
export class WebRequester implements AsyncDisposable {
  readonly #options: WebRequesterOptions;
  readonly #clock: Clock;
  readonly #client: WebClient;

  constructor(options: WebRequesterOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    const { allowLinkLocal, lookup } = options;
    this.#client = new WebClient({ clock: this.#clock, allowLinkLocal, lookup });
  }

  /**
   * Sends the task's request and ends the task: completed with `{ status, ms }` for a 2xx; retried later after a
   * network error, a timeout, 408, 425, 429 and 5xx (as late as `Retry-After` asks, at most a day); else failed.
   *
   * @throws the reason of the task's signal, once that aborts
   */
  async run(task: WebRequestTask): Promise<void> {
    let data: WebRequestData;
    try {
      data = checkWebRequest(task.data);
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      return task.failed(describe(error));
    }
    const started = this.#clock.monotonic();
    const outcome = await this.#exchange(task, data);
    const ms = Math.round(this.#clock.monotonic() - started);
    writeLog(task, outcome, ms);
    this.#conclude(task, outcome, ms);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.close();
  }

  async #exchange(task: WebRequestTask, data: WebRequestData): Promise<Outcome> {
    const first = firstRequest(data, this.#keyOf(task));
    const seconds = data.timeout ?? this.#options.timeoutSeconds;
    const { signal } = task;
    const timeout = new AbortController();
    const cancel = this.#clock.after(seconds * 1000, () => timeout.abort());
    try {
      return await this.#follow(task, first, AbortSignal.any([signal, timeout.signal]));
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof RefusedAddressError) return { kind: "refused", reason: error.message };
      const reason = timeout.signal.aborted ? `no full answer within ${seconds} s` : networkReason(error);
      return { kind: "unreachable", reason: `${shown(first)}: ${reason}` };
    } finally {
      cancel();
    }
  }

  /** Sends a request and those that redirects ask for. */
  async #follow(task: WebRequestTask, first: WebClientRequest, signal: AbortSignal): Promise<Outcome> {
    let request = first;
    for (let redirects = 0;; redirects++) {
      // A receiver elsewhere has no business with it, and may share the secret: it could take the message for its own.
      const isOurs = request.url.origin === first.url.origin;
      const sent = isOurs ? await this.#signed(request, task) : request;
      const answer = await tracedSend(this.#client, sent, signal);
      const { status } = answer;
      const target = redirectTarget(status, header(answer, "location"), request.url);
      if (target === undefined) return { kind: "answered", request, answer };
      if (target === null) return refused(request, answer, "a redirect to what is no http or https URL");
      if (redirects === REDIRECT_LIMIT) {
        return refused(request, answer, `more than ${REDIRECT_LIMIT} redirects`);
      }
      task.log(`${shown(request)}: ${statusLine(answer)}, to ${shownUrl(target)}`, LOG_KIND);
      request = redirected(request, status, target);
    }
  }

  /** The same at every attempt. */
  #keyOf(task: WebRequestTask): string {
    return `${this.#options.keyPrefix ?? "tq"}-${task.id}`;
  }

  async #signed(request: WebClientRequest, task: WebRequestTask): Promise<WebClientRequest> {
    const { keys } = this.#options;
    if (keys === undefined) return request;
    return await signed(request, { keys, id: this.#keyOf(task), now: this.#clock.now() });
  }

  #conclude(task: WebRequestTask, outcome: Outcome, ms: number): void {
    if (outcome.kind === "refused") return task.failed(outcome.reason);
    if (outcome.kind === "unreachable") return task.retryLater({ reason: outcome.reason });
    const { answer } = outcome;
    const { status } = answer;
    if (status >= 200 && status < 300) return task.completed({ status, ms });
    const reason = quotedAnswer(answer);
    if (status < 500 && !PASSING.has(status)) return task.failed(reason);
    const delay = retryAfterSeconds(header(answer, "retry-after"), header(answer, "date"), this.#clock.now());
    task.retryLater(delay === undefined ? { reason } : { reason, delay });
  }
}

function writeLog(task: WebRequestTask, outcome: Outcome, ms: number): void {
  if (outcome.kind !== "answered") return task.log(`${outcome.reason}, after ${ms} ms`, LOG_KIND);
  const { request, answer } = outcome;
  const cut = answer.cut ? `, the body's first ${BODY_LIMIT / 1024} KiB follow` : "";
  task.log(`${shown(request)}: ${statusLine(answer)} in ${ms} ms${cut}`, LOG_KIND);
  const body = text(answer);
  if (body !== "") task.log(body, LOG_KIND);
}

function refused(request: WebClientRequest, answer: Answer, why: string): Outcome {
  return { kind: "refused", reason: `${shown(request)}: ${statusLine(answer)}: ${why}` };
}

function quotedAnswer(answer: Answer): string {
  const quote = text(answer).slice(0, QUOTE_LIMIT).trim();
  return cutReason(quote === "" ? statusLine(answer) : `${statusLine(answer)}: ${quote}`);
}

function statusLine({ status, statusText }: Answer): string {
  return `${status} ${statusText}`.trim();
}

function shown({ method, url }: WebClientRequest): string {
  return `${method} ${shownUrl(url)}`;
}

/** The body as text that Postgres can hold. */
function text({ body }: Answer): string {
  return new TextDecoder().decode(body).replaceAll("\0", "\uFFFD");
}

function header({ headers }: Answer, name: string): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value[0] : value;
}

/** What went wrong on the network, in words: several addresses make an AggregateError without a message. */
function networkReason(error: unknown): string {
  if (error instanceof AggregateError && error.message === "") {
    return [...new Set(error.errors.map(messageOf))].join("; ");
  }
  return messageOf(error);
}
