/**
 * Traces, through the OpenTelemetry that Deno has built in: on when a process is started with `OTEL_DENO=true`. When
 * it is off nothing of it is loaded, and what remains is one comparison with `undefined`.
 *
 * @module
 */

import type { Attributes, Span as ApiSpan, SpanContext } from "npm:@opentelemetry/api@1.9.0";
import { messageOf } from "./errors.ts";

type Api = typeof import("npm:@opentelemetry/api@1.9.0");

/** How a span is started. */
export interface SpanOptions {
  /** Who it is in an exchange: who publishes, who runs, who asks over HTTP. */
  readonly kind: "producer" | "consumer" | "client";
  readonly attributes: Attributes;
  /**
   * What caused it, as W3C trace context: its parent, which it links to as well. Null: nothing known, it begins a
   * trace. @default the span that is active
   */
  readonly cause?: string | null;
}

/** One piece of work in a trace. */
export class Span {
  readonly #api: Api;
  readonly #span: ApiSpan;
  #isOver = false;

  /** Made by `Tracing`. */
  constructor(api: Api, span: ApiSpan) {
    this.#api = api;
    this.#span = span;
  }

  /** Its W3C trace context, for whatever it causes elsewhere. */
  get traceParent(): string {
    const { traceId, spanId, traceFlags } = this.#span.spanContext();
    return `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, "0")}`;
  }

  /** Runs `fn` as its work: spans and log lines that `fn` makes, now or later, are part of it. */
  run<T>(fn: () => T): T {
    const { ROOT_CONTEXT, context, trace } = this.#api;
    // Not on top of what is active: that may be whoever's work woke this one.
    return context.with(trace.setSpan(ROOT_CONTEXT, this.#span), fn);
  }

  /** Says more of it. */
  set(attributes: Attributes): void {
    this.#span.setAttributes(attributes);
  }

  /** Says that it failed, and why. */
  fail(why: unknown, type?: string): void {
    const message = messageOf(why);
    this.#span.setAttributes({ "error.type": type ?? (why instanceof Error ? why.name : "_OTHER") });
    this.#span.setStatus({ code: this.#api.SpanStatusCode.ERROR, message });
  }

  /** Ends it; again does nothing. */
  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#span.end();
  }
}

/** Makes spans. */
export class Tracing {
  readonly #api: Api;

  /** Made when this file is loaded. */
  constructor(api: Api) {
    this.#api = api;
  }

  /** Starts a span; whoever starts it ends it. */
  start(name: string, { kind, attributes, cause }: SpanOptions): Span {
    const { ROOT_CONTEXT, SpanKind, context, trace } = this.#api;
    const kinds = { producer: SpanKind.PRODUCER, consumer: SpanKind.CONSUMER, client: SpanKind.CLIENT };
    const remote = cause === undefined || cause === null ? undefined : spanContextOf(cause);
    const parent = remote === undefined
      ? cause === undefined ? context.active() : ROOT_CONTEXT
      : trace.setSpanContext(ROOT_CONTEXT, remote);
    const links = remote === undefined ? [] : [{ context: remote }];
    const options = { kind: kinds[kind], attributes, links };
    return new Span(this.#api, trace.getTracer("tq").startSpan(name, options, parent));
  }

  /** The ids of the work that goes on here, for a line of the log; nothing outside of any. */
  get ids(): { readonly trace_id?: string; readonly span_id?: string } {
    const { context, isSpanContextValid, trace } = this.#api;
    const active = trace.getSpanContext(context.active());
    if (active === undefined || !isSpanContextValid(active)) return {};
    return { trace_id: active.traceId, span_id: active.spanId };
  }
}

/** Where the OpenTelemetry API, of whatever version 1, is registered: Deno does so at its start, and only when it traces. */
const REGISTRY = Symbol.for("opentelemetry.js.api.1");

/** Undefined when this process does not trace. */
export const tracing: Tracing | undefined = REGISTRY in globalThis
  ? new Tracing(await import("npm:@opentelemetry/api@1.9.0"))
  : undefined;

/** What a traceparent says; undefined when it says nothing. */
function spanContextOf(traceParent: string): SpanContext | undefined {
  const [, traceId, spanId, flags] =
    /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/.exec(traceParent) ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return undefined;
  return { traceId, spanId, traceFlags: Number.parseInt(flags, 16) & 1, isRemote: true };
}
