/**
 * The documentation of REST: the OpenAPI document, and a page for people.
 *
 * @module
 */

import { type Html, html, page, PLAIN_CSS } from "./html.ts";
import { fieldsOf, openApi, parametersOf } from "./openapi.ts";
import type { HttpApp, HttpParts } from "./parts.ts";
import { restRoutes } from "./rest.ts";
import { BASE, type RouteInfo } from "./route.ts";

/** Serves them, to anybody: they say nothing of tasks. */
export function mountDocs(app: HttpApp, parts: HttpParts): void {
  const routes = restRoutes(parts);
  let document: unknown;
  let text: string | undefined;
  app.get(`${BASE}/openapi.json`, (c) => c.json(document ??= openApi(routes)));
  app.get(`${BASE}/docs`, (c) => c.html(text ??= docsPage(routes)));
  app.get("/plain.css", (c) => c.body(PLAIN_CSS, 200, { "content-type": "text/css; charset=utf-8" }));
}

function docsPage(routes: readonly RouteInfo[]): string {
  return page(
    "tq: REST",
    html`<h1>tq: REST</h1>
<p>The same as <a href="${BASE}/openapi.json">an OpenAPI 3.1 document</a>.</p>
<p>Each request carries <code>Authorization: Bearer &lt;token&gt;</code>: one of <code>TQ_API_TOKENS</code>, else the
text in <code>var/api_token</code>. A token for <code>view</code> reads, one for <code>manage</code> acts as well.</p>
<p>A list is <code>{"status": true, "size", "count", "start", "sort", "data": [...]}</code>, one thing is
<code>{"status": true, "data": {...}}</code>, and an error is
<code>{"status": false, "error", "error_code"}</code> with the same status of HTTP.</p>
${routes.map(section)}`,
  );
}

function section(one: RouteInfo): Html {
  const parameters = parametersOf(one).map(({ name, description, required, schema }) =>
    row(String(name), schema as Record<string, unknown>, String(description ?? ""), required === true)
  );
  const fields = fieldsOf(one).map(([name, schema, isRequired]) =>
    row(name, schema, String(schema.description ?? ""), isRequired)
  );
  const rows = [...parameters, ...fields];
  const table = rows.length === 0 ? html`` : html`
    <table>
      <thead>
        <tr>
          <th scope="col">name</th>
          <th scope="col">what it is</th>
        </tr>
      </thead>
      <tbody>
    ${rows}</tbody>
    </table>
  `;
  return html`
    <h2>${one.summary}</h2>
    <p><code>${one.method} ${BASE}${one.path}</code> (${one.right})</p>
    <p>${one.description ?? ""}</p>
    ${table}
    <pre>${curlOf(one)}</pre>
  `;
}

function row(name: string, schema: Record<string, unknown>, description: string, isRequired: boolean): Html {
  const first = schema.default;
  const range = schema.minimum === undefined ? "" : `${schema.minimum} to ${schema.maximum}.`;
  const notes = [
    description,
    range,
    first === undefined ? "" : `Default ${first}.`,
    isRequired ? "Needed." : "",
  ].filter((text) => text !== "");
  return html`
    <tr>
      <td><code>${name}</code></td>
      <td>${notes.join(" ")}</td>
    </tr>
  `;
}

/** How the route is asked with curl. */
export function curlOf(one: RouteInfo): string {
  const url = `http://127.0.0.1:7654${BASE}${one.path.replace("{id}", "22")}${
    one.path === "/task/log" ? "?task=22" : ""
  }`;
  const lines = [`curl -H "Authorization: Bearer $(cat var/api_token)"`];
  if (one.method === "POST") lines.push(`  --json '${JSON.stringify(one.example ?? {})}'`);
  lines.push(`  '${url}'`);
  return lines.join(" \\\n");
}
