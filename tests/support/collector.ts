/**
 * A stand-in for an OpenTelemetry collector: takes OTLP over HTTP as JSON, and keeps the spans.
 *
 * @module
 */

import { eventually } from "./fixtures.ts";

/** A span, as far as tests look at it. */
export interface CollectedSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly name: string;
  /** 2 server, 3 client, 4 producer, 5 consumer. */
  readonly kind: number;
  readonly attributes: Readonly<Record<string, unknown>>;
  /** Ids of the spans that it links to. */
  readonly links: readonly string[];
  /** 2 is an error. */
  readonly status: { readonly code?: number; readonly message?: string };
  /** What made it, as its process tells: `service.name` and others. */
  readonly resource: Readonly<Record<string, unknown>>;
}

type Attribute = { key: string; value: Record<string, unknown> };

/** Receives what processes send that are started with its `environment`. */
export class Collector implements AsyncDisposable {
  readonly spans: CollectedSpan[] = [];
  readonly #server: Deno.HttpServer<Deno.NetAddr>;

  constructor() {
    this.#server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
      const body = await request.json();
      if (new URL(request.url).pathname === "/v1/traces") this.#take(body);
      return Response.json({});
    });
  }

  /** Makes a process trace, and send to here at once. */
  get environment(): Record<string, string> {
    return {
      OTEL_DENO: "true",
      OTEL_DENO_CONSOLE: "ignore",
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${this.#server.addr.port}`,
      OTEL_BSP_SCHEDULE_DELAY: "100",
      OTEL_SERVICE_NAME: "tq",
    };
  }

  /** The first span that `is` says so of, once it has arrived. */
  async span(what: string, is: (span: CollectedSpan) => boolean): Promise<CollectedSpan> {
    try {
      return await eventually(() => this.spans.find(is), { what, within: 15_000 });
    } catch (error) {
      throw new Error(`the spans are ${JSON.stringify(this.spans, null, 1)}`, { cause: error });
    }
  }

  // deno-lint-ignore no-explicit-any
  #take(body: any): void {
    for (const { resource, scopeSpans } of body.resourceSpans) {
      for (const { spans } of scopeSpans) {
        for (const span of spans) {
          this.spans.push({
            traceId: span.traceId,
            spanId: span.spanId,
            parentSpanId: span.parentSpanId ?? "",
            name: span.name,
            kind: span.kind,
            attributes: attributesOf(span.attributes),
            links: (span.links ?? []).map((link: { spanId: string }) => link.spanId),
            status: span.status ?? {},
            resource: attributesOf(resource.attributes),
          });
        }
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

function attributesOf(list: readonly Attribute[] = []): Record<string, unknown> {
  return Object.fromEntries(list.map(({ key, value }) => [key, Object.values(value)[0]]));
}
