import assert from "node:assert/strict";
import { needTest } from "../support/need.ts";
import { WebSite } from "./site.ts";

const NEEDS = ["postgres"] as const;

// deno-lint-ignore no-explicit-any
type Json = any;

/** What `$ref` leads to. */
function follow(document: Json, value: Json): Json {
  if (value?.$ref === undefined) return value;
  const path: string[] = value.$ref.slice(2).split("/");
  const found = path.reduce((at: Json, name) => at?.[name], document);
  assert.ok(found !== undefined, value.$ref);
  return found;
}

function* parts(value: Json): Iterable<Json> {
  if (typeof value !== "object" || value === null) return;
  yield value;
  for (const inner of Object.values(value)) yield* parts(inner);
}

needTest(NEEDS, "openapi: it has every route of section 12, with what each takes and gives", async () => {
  await using site = await WebSite.make();
  const { status, headers, body: document } = await site.ask("/openapi.json", { token: null });
  assert.deepEqual([status, document.openapi], [200, "3.1.0"]);
  assert.match(headers.get("content-type") ?? "", /^application\/json/);
  const routes = Object.entries<Json>(document.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path.replace("/rpc/taskqueue/", "")}`)
  );
  assert.deepEqual(routes.sort(), [
    "GET task",
    "GET task/log",
    "GET task/stats",
    "GET task/status",
    "GET task/{id}",
    "POST restart",
    "POST task/publish",
    "POST task/{id}",
    "POST test",
  ]);
  const list = document.paths["/rpc/taskqueue/task"].get;
  assert.deepEqual(
    list.parameters.map(({ name }: Json) => name),
    ["size", "start", "sort", "search", "state", "channel", "model", "fname", "dr_start", "dr_end"],
  );
  assert.deepEqual(list.parameters[0], {
    name: "size",
    in: "query",
    required: false,
    description: "Rows at most.",
    schema: { type: "integer", minimum: 1, maximum: 1000, default: 25 },
  });
  const log = document.paths["/rpc/taskqueue/task/log"].get.parameters[0];
  assert.deepEqual([log.name, log.required], ["task", true]);
  const publish = document.paths["/rpc/taskqueue/task/publish"].post.requestBody.content["application/json"];
  for (const name of ["model", "fname", "data", "app", "module", "task_data", "channel", "delay", "key"]) {
    assert.ok(name in publish.schema.properties, name);
  }
  assert.equal(publish.schema.properties.data.type, "object");
});

needTest(
  NEEDS,
  "openapi: it is sound: references lead somewhere, ids are unique, parameters are in their paths",
  async () => {
    await using site = await WebSite.make();
    const { body: document } = await site.ask("/openapi.json");
    for (const part of parts(document)) follow(document, part);
    const operations = Object.entries<Json>(document.paths).flatMap(([path, methods]) =>
      Object.values<Json>(methods).map((operation) => ({ path, operation }))
    );
    const ids = operations.map(({ operation }) => operation.operationId);
    assert.equal(new Set(ids).size, ids.length);
    for (const { path, operation } of operations) {
      assert.match(operation.operationId, /^[A-Z][A-Za-z]+$/);
      const inPath = operation.parameters.filter((one: Json) => one.in === "path").map((one: Json) =>
        one.name
      );
      assert.deepEqual(inPath, [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name));
      for (const status of ["200", "400", "401", "403", "404", "503"]) {
        const { content } = follow(document, operation.responses[status]);
        const schema = follow(document, content["application/json"].schema);
        assert.deepEqual(schema.properties.status.const, status === "200", `${path} ${status}`);
      }
    }
  },
);

needTest(NEEDS, "the page of documentation names every route and asks nobody else for anything", async () => {
  await using site = await WebSite.make();
  const page = await (await fetch(`${site.url}/rpc/taskqueue/docs`)).text();
  const { body: document } = await site.ask("/openapi.json");
  for (const [path, methods] of Object.entries<Json>(document.paths)) {
    for (const method of Object.keys(methods)) {
      assert.ok(page.includes(`${method.toUpperCase()} ${path}`), path);
    }
  }
  assert.doesNotMatch(page, /<script|<style|style=|onload|(src|href)="(https?:)?\/\//);
  const links = [...page.matchAll(/(?:href|src)="([^"]+)"/g)].map(([, link]) => link);
  for (const link of links) {
    const response = await fetch(site.url + link);
    assert.equal(response.status, 200, link);
    await response.body?.cancel();
  }
});
