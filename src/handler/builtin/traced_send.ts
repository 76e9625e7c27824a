/**
 * The span of an HTTP request, which tells the receiver that it is part of a trace.
 *
 * @module
 */

import { tracing } from "../../trace.ts";
import { shownUrl } from "./redirect.ts";
import type { Answer, WebClient, WebClientRequest } from "./web_client.ts";

/** Sends a request, with its trace context in `traceparent` unless it has one of its own. */
export async function tracedSend(
  client: Pick<WebClient, "send">,
  request: WebClientRequest,
  signal: AbortSignal,
): Promise<Answer> {
  if (tracing === undefined) return await client.send(request, signal);
  const { method, url } = request;
  const span = tracing.start(method, {
    kind: "client",
    attributes: {
      "http.request.method": method,
      // Without what may be secret.
      "url.full": shownUrl(url),
      "server.address": url.hostname,
      "server.port": Number(url.port) || (url.protocol === "https:" ? 443 : 80),
    },
  });
  const headers = new Headers(request.headers);
  if (!headers.has("traceparent")) headers.set("traceparent", span.traceParent);
  try {
    const answer = await client.send({ ...request, headers }, signal);
    span.set({ "http.response.status_code": answer.status });
    if (answer.status >= 400) {
      span.fail(`${answer.status} ${answer.statusText}`.trim(), String(answer.status));
    }
    return answer;
  } catch (error) {
    span.fail(error);
    throw error;
  } finally {
    span.end();
  }
}
