import assert from "node:assert/strict";
import { tracing } from "../../src/trace.ts";
import { type CollectedSpan, Collector } from "../support/collector.ts";
import { eventually } from "../support/fixtures.ts";
import { needTest } from "../support/need.ts";
import { Project } from "../support/tq.ts";

const HANDLERS = {
  "shop/Invoice.js": `
    import { Task } from "@tq/tq";
    export default class Invoice {
      static async on_tq_send(task) {
        if (task.attempts === 1 && task.data.again) return task.retryLater({ reason: "once more", delay: 0 });
        console.log("sends", task.data.url);
        await Task.webRequest(task.data.url, { invoice: 22 });
      }
      static on_tq_fail(task) { task.failed("as it should"); }
      static on_tq_throw() { throw new TypeError("broken"); }
    }`,
};

const [PRODUCER, CONSUMER, CLIENT] = [4, 5, 3];

const is = (kind: number, handler: string) => (span: CollectedSpan) =>
  span.kind === kind && span.attributes["tq.handler"] === handler;

/** Servers and a receiver of web requests. */
class Stage implements AsyncDisposable {
  readonly project: Project;
  readonly collector: Collector;
  readonly received: { traceparent: string | null; idempotency: string | null }[] = [];
  readonly #server: Deno.HttpServer<Deno.NetAddr>;

  private constructor(project: Project, collector: Collector) {
    this.project = project;
    this.collector = collector;
    this.#server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, ({ headers }) => {
      this.received.push({
        traceparent: headers.get("traceparent"),
        idempotency: headers.get("idempotency-key"),
      });
      return new Response("fine");
    });
  }

  static async make(traces = true): Promise<Stage> {
    const collector = new Collector();
    const project = await Project.make({
      servers: "postgres",
      handlers: HANDLERS,
      ...(traces ? { environment: collector.environment } : {}),
    });
    return new Stage(project, collector);
  }

  get url(): string {
    return `http://127.0.0.1:${this.#server.addr.port}/hook?key=secret`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.project[Symbol.asyncDispose]();
    await this.#server.shutdown();
    await this.collector[Symbol.asyncDispose]();
  }
}

needTest(
  ["postgres"],
  "one trace leads from a publish through handlers to a web request, across processes",
  async () => {
    await using stage = await Stage.make();
    const { project, collector } = stage;
    await using tq = await project.start();
    const { code, stdout, stderr } = await project.program(
      `import { TaskQueue } from "@tq/tq";
    await using queue = new TaskQueue();
    console.log(await queue.publish("shop.Invoice", "on_tq_send", { url: Deno.args[0] }));`,
      stage.url,
    );
    assert.equal(code, 0, stderr);
    const id = Number(stdout);
    await eventually(() => stage.received.length === 1, { within: 15_000, what: "the web request" });

    const published = await collector.span("the publish", is(PRODUCER, "shop.Invoice.on_tq_send"));
    const processed = await collector.span("the run", is(CONSUMER, "shop.Invoice.on_tq_send"));
    const asked = await collector.span("the request's publish", is(PRODUCER, "tq_web_request.POST"));
    const ran = await collector.span("the request's run", is(CONSUMER, "tq_web_request.POST"));
    const sent = await collector.span("the request", ({ kind, name }) => kind === CLIENT && name === "POST");
    const chain = [published, processed, asked, ran, sent];
    assert.deepEqual(chain.map(({ traceId }) => traceId), chain.map(() => published.traceId));
    assert.deepEqual(
      chain.slice(1).map(({ parentSpanId }) => parentSpanId),
      chain.slice(0, -1).map((span) => span.spanId),
    );
    assert.deepEqual([processed.links, ran.links], [[published.spanId], [asked.spanId]]);
    assert.equal(stage.received[0]?.traceparent, `00-${sent.traceId}-${sent.spanId}-01`);

    assert.equal(published.name, "publish tq_model_handler");
    assert.deepEqual(published.attributes, {
      "messaging.system": "tq",
      "messaging.operation.name": "publish",
      "messaging.operation.type": "send",
      "messaging.destination.name": "tq_model_handler",
      "messaging.message.id": String(id),
      "tq.handler": "shop.Invoice.on_tq_send",
    });
    assert.equal(processed.name, "process tq_model_handler");
    assert.deepEqual({ ...processed.attributes, "tq.attempt": Number(processed.attributes["tq.attempt"]) }, {
      "messaging.system": "tq",
      "messaging.operation.name": "process",
      "messaging.operation.type": "process",
      "messaging.destination.name": "tq_model_handler",
      "messaging.message.id": String(id),
      "tq.handler": "shop.Invoice.on_tq_send",
      "tq.attempt": 1,
      "tq.outcome": "completed",
    });
    assert.equal(sent.attributes["url.full"], stage.url.split("?")[0], "without what may be secret");
    assert.equal(Number(sent.attributes["http.response.status_code"]), 200);
    assert.ok(chain.every(({ status }) => status.code !== 2));
    assert.ok(chain.every(({ resource }) => resource["service.name"] === "tq"));

    const task = await project.queue.get(id);
    assert.equal(task?.traceParent, `00-${published.traceId}-${published.spanId}-01`);
    const line = await tq.logged(/ handler: Handler printed task=\d+ text="sends /);
    assert.ok(line.includes(` trace_id=${processed.traceId} span_id=${processed.spanId}`), line);
    assert.equal((await tq.stop()).code, 0);
  },
);

needTest(
  ["postgres"],
  "each attempt has a span, and one that fails says why; `tq publish` is traced too",
  async () => {
    await using stage = await Stage.make();
    const { project, collector } = stage;
    await using tq = await project.start();
    const data = JSON.stringify({ url: stage.url, again: true });
    const command = await project.command("publish", "shop.Invoice", "on_tq_send", data);
    assert.equal(command.code, 0, command.stderr);
    const published = await collector.span("the publish", is(PRODUCER, "shop.Invoice.on_tq_send"));
    const attempt = (n: number) => (span: CollectedSpan) =>
      is(CONSUMER, "shop.Invoice.on_tq_send")(span) && Number(span.attributes["tq.attempt"]) === n;
    const first = await collector.span("the first attempt", attempt(1));
    const second = await collector.span("the second attempt", attempt(2));
    for (const { parentSpanId, links } of [first, second]) {
      assert.deepEqual([parentSpanId, links], [published.spanId, [published.spanId]]);
    }
    assert.deepEqual([first.attributes["tq.outcome"], first.status.message], ["retry", "once more"]);
    assert.deepEqual([second.attributes["tq.outcome"], second.status.code ?? 0], ["completed", 0]);

    // In a batch there is one span for all, whose context they share.
    const specs = ["on_tq_fail", "on_tq_throw"].map((fname) => ({
      model: "shop.Invoice",
      fname,
      options: { maxAttempts: 1 },
    }));
    const { code, stderr } = await project.program(
      `import { TaskQueue } from "@tq/tq";
    await using queue = new TaskQueue();
    await queue.publishMany(${JSON.stringify(specs)});`,
    );
    assert.equal(code, 0, stderr);
    const batch = await collector.span(
      "the batch",
      (span) => "messaging.batch.message_count" in span.attributes,
    );
    assert.equal(Number(batch.attributes["messaging.batch.message_count"]), 2);
    const failed = await collector.span("the failure", is(CONSUMER, "shop.Invoice.on_tq_fail"));
    const threw = await collector.span("the error", is(CONSUMER, "shop.Invoice.on_tq_throw"));
    assert.deepEqual([failed.parentSpanId, threw.parentSpanId], [batch.spanId, batch.spanId]);
    assert.deepEqual(failed.status, { code: 2, message: "as it should" });
    assert.deepEqual(threw.status, { code: 2, message: "broken" });
    assert.equal(threw.attributes["tq.outcome"], "failed");

    // A context that the publisher gives travels as it is.
    const traceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    await project.queue.publish("shop.Invoice", "on_tq_fail", {}, { traceParent });
    const foreign = await collector.span(
      "the foreign trace",
      ({ traceId }) => traceId === traceParent.slice(3, 35),
    );
    assert.deepEqual([foreign.kind, foreign.parentSpanId], [CONSUMER, traceParent.slice(36, 52)]);
    assert.equal((await tq.stop()).code, 0);
  },
);

needTest(
  ["postgres"],
  "without OTEL_DENO nothing is traced, and nothing is added to a web request",
  async () => {
    assert.equal(tracing, undefined);
    await using stage = await Stage.make(false);
    const { project } = stage;
    await using tq = await project.start();
    const id = await project.queue.publish("shop.Invoice", "on_tq_send", { url: stage.url });
    await eventually(() => stage.received.length === 1, { within: 15_000, what: "the web request" });
    assert.equal(stage.received[0]?.traceparent, null);
    assert.notEqual(stage.received[0]?.idempotency, null);
    assert.equal((await project.ended(id)).traceParent, null);
    assert.equal(tq.count(/trace_id=/), 0);
    assert.deepEqual(stage.collector.spans, []);
    assert.equal((await tq.stop()).code, 0);
  },
);
