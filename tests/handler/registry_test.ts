import assert from "node:assert/strict";
import { join } from "node:path";
import { HandlerError } from "../../src/errors.ts";
import { HandlerRegistry } from "../../src/handler/registry.ts";
import { marking, refusal, Root, TASK } from "./root.ts";

Deno.test("lookup() finds the static method of a default export, of a named export, and an exported function", async () => {
  await using root = new Root().write({
    "handlers/myapp/Report.ts": `export default class Anything {
      static label: string = "mine";
      static summary(task: { id: number }) { return [this.label, task.id]; }
    }`,
    "handlers/myapp/Bill.js": `export class Bill { static async pay() { return "paid"; } }`,
    "handlers/myapp/Plain.mjs": `export default { greeting: "hello", greet() { return this.greeting; } };`,
    "handlers/myapp.ts": `
      export class Inline { static run() { return "inline"; } }
      export const Bag = { run: () => "bag" };
      export function sweep(this: unknown) { return this; }
      export const arrow = () => "arrow";`,
  });
  const { registry, problems } = await root.loaded();
  assert.deepEqual(problems, []);
  const run = (model: string, fname: string) => registry.lookup(model, fname)?.(TASK);
  assert.deepEqual(run("myapp.Report", "summary"), ["mine", 1]);
  assert.equal(await run("myapp.Bill", "pay"), "paid");
  assert.equal(run("myapp.Plain", "greet"), "hello");
  assert.equal(run("myapp.Inline", "run"), "inline");
  assert.equal(run("myapp.Bag", "run"), "bag");
  assert.equal(run("myapp", "sweep"), undefined);
  assert.equal(run("myapp", "arrow"), "arrow");
  assert.equal(registry.lookup("myapp", "run"), undefined);
  assert.equal(await registry.resolve("myapp.Report", "summary"), registry.lookup("myapp.Report", "summary"));
  assert.deepEqual(registry.list().map(({ model, fname, file }) => `${model} ${fname} ${file}`), [
    "myapp arrow myapp.ts",
    "myapp sweep myapp.ts",
    "myapp.Bag run myapp.ts",
    "myapp.Bill pay myapp/Bill.js",
    "myapp.Inline run myapp.ts",
    "myapp.Plain greet myapp/Plain.mjs",
    "myapp.Report summary myapp/Report.ts",
  ]);
});

Deno.test("loadAll() finds nothing, without an error, where there is no handlers folder", async () => {
  await using root = new Root();
  assert.deepEqual((await root.loaded()).problems, []);
  const without = new HandlerRegistry(undefined, new Map());
  assert.deepEqual(await without.loadAll(), { problems: [] });
  assert.deepEqual(without.list(), []);
  assert.equal(await refusal(without, "myapp", "run"), "no handler for myapp: there is no handlers folder");
  assert.equal(
    await refusal(root.registry(), "myapp.Report", "run"),
    "no handler for myapp.Report: there is no handlers/myapp/Report.{ts,js,mjs} and no handlers/myapp.{ts,js,mjs}",
  );
});

Deno.test("built-in models take any function name and cannot be replaced by a file", async () => {
  await using root = new Root();
  root.write({ "handlers/tq_web_request.js": marking(root, "marker", "export function POST() {}") });
  const builtin = () => "web";
  const registry = root.registry({}, new Map([["tq_web_request", builtin]]));
  const { problems } = await registry.loadAll();
  assert.deepEqual(problems.map((problem) => problem.message), [
    "handlers/tq_web_request.js is not imported: tq_web_request is built in: rename the file",
  ]);
  assert.equal(root.has("marker"), false);
  assert.equal(registry.lookup("tq_web_request", "POST"), builtin);
  assert.equal(await registry.resolve("tq_web_request", "GET"), builtin);
  await assert.rejects(registry.resolve("tq_web_request", "../x"), HandlerError);
  assert.deepEqual(registry.list(), []);
});

Deno.test("the file of a model goes before the export of its app, even when it fails", async () => {
  await using root = new Root().write({
    "handlers/myapp/Report.js": "export default class { static a() { return 'file'; } }",
    "handlers/myapp/Broken.js": "throw new Error('broken');",
    "handlers/myapp.js": `export class Report { static a() { return 'app'; } static b() {} }
      export class Broken { static a() {} }`,
  });
  const { registry } = await root.loaded();
  assert.equal(registry.lookup("myapp.Report", "a")?.(TASK), "file");
  assert.match(
    await refusal(registry, "myapp.Report", "b"),
    /^handlers\/myapp\/Report.js: Report has no static function b/,
  );
  assert.match(
    await refusal(registry, "myapp.Broken", "a"),
    /^handlers\/myapp\/Broken.js does not import: broken/,
  );
  assert.deepEqual(registry.list().map((entry) => entry.file), ["myapp/Report.js"]);
});

Deno.test("resolve() imports a file that arrived after loadAll(), once", async () => {
  await using root = new Root();
  const { registry } = await root.loaded();
  assert.match(await refusal(registry, "myapp.Report", "run"), /^no handler/);
  root.write({
    "handlers/myapp/Report.js": `globalThis.tqTestImports = (globalThis.tqTestImports ?? 0) + 1;
      export default class { static run() { return globalThis.tqTestImports; } }`,
  });
  const found = await Promise.all(Array.from({ length: 20 }, () => registry.resolve("myapp.Report", "run")));
  assert.equal(new Set(found).size, 1);
  assert.equal(registry.lookup("myapp.Report", "run")?.(TASK), 1);
  assert.deepEqual(registry.list().map((entry) => entry.file), ["myapp/Report.js"]);
});

Deno.test("a module that was imported outlives its file and does not change hands", async () => {
  await using root = new Root().write({
    "handlers/myapp.js": "export class Report { static run() { return 'old'; } }",
  });
  const { registry } = await root.loaded();
  root.write({
    "handlers/myapp/Report.js": "export default class { static run() { return 'new'; } static other() {} }",
  });
  await Deno.remove(join(root.handlers, "myapp.js"));
  root.write({ "handlers/myapp.ts": "export class Report { static other() {} }" });
  assert.match(
    await refusal(registry, "myapp.Report", "other"),
    /^handlers\/myapp.js: Report has no static function other/,
  );
  assert.equal((await registry.loadAll()).problems.length, 0);
  assert.equal((await registry.resolve("myapp.Report", "run"))(TASK), "old");
  assert.equal(registry.lookup("myapp.Report", "other"), undefined);
  await Deno.remove(root.handlers, { recursive: true });
  assert.equal((await registry.resolve("myapp.Report", "run"))(TASK), "old");
});
