import assert from "node:assert/strict";
import { join } from "node:path";
import { HandlerError } from "../../src/errors.ts";
import { loadsTypeScript } from "../../src/handler/resolve.ts";
import { marking, refusal, Root, TASK } from "./root.ts";

Deno.test("resolve() refuses hostile names before they touch a path", async () => {
  await using root = new Root();
  root.write({
    "evil.js": marking(root, "marker", "export default { run() {} }; export function run() {}"),
    "handlers/myapp.js": "export class Report { static run() {} }",
  });
  const { registry } = await root.loaded();
  const models = [
    "../../etc/passwd",
    "../evil",
    "..",
    "a.b.c",
    "myapp.__proto__",
    "__proto__",
    "",
    ".",
    "a/b",
    "a\\b",
  ];
  models.push(
    "myapp.",
    ".Report",
    "myapp.Report\n",
    "myapp\0",
    "%2e%2e/evil",
    "file:///etc/passwd",
    "a".repeat(201),
  );
  models.push("myapp Report", "é", "1app", "_app", "myapp._Report", "npm:x", "data:text/javascript,1");
  for (const model of models) assert.match(await refusal(registry, model, "run"), /^the model is named /);
  for (const fname of ["__proto__", "", "a.b", "a b", "run\n", "../run", "_run", "run()", "a".repeat(201)]) {
    assert.match(await refusal(registry, "myapp.Report", fname), /^the function is named /);
  }
  for (const bad of [undefined, null, 5, {}, ["myapp"]]) {
    await assert.rejects(registry.resolve(bad as string, "run"), HandlerError);
    await assert.rejects(registry.resolve("myapp", bad as string), HandlerError);
  }
  for (const model of ["constructor", "toString", "myapp.constructor", "myapp.toString", "node_modules"]) {
    assert.match(await refusal(registry, model, "run"), /^no handler for|has no export named/);
  }
  assert.equal(root.has("marker"), false);
});

Deno.test("a symlinked file or folder that leads outside is refused and never imported", async () => {
  await using root = new Root();
  root.write({
    "outside/Report.js": marking(root, "marker", "export default class { static run() {} }"),
    "outside.js": marking(root, "marker", "export function run() {}"),
    "handlers2/Report.js": marking(root, "marker", "export default class { static run() {} }"),
    "handlers/_lib/shared.js": "export default class { static run() { return import.meta.url; } }",
  });
  root.link("handlers/linked", "outside").link("handlers/sibling", "handlers2").link("handlers/up", ".");
  root.link("handlers/myapp/Report.js", "outside/Report.js").link("handlers/flat.js", "outside.js");
  root.link("handlers/gone.js", "nowhere.js").link("handlers/inside/Report.js", "handlers/_lib/shared.js");
  root.link("handlers/loop.js", "handlers/loop.js");
  const before = root.registry();
  for (const registry of [before, (await root.loaded()).registry]) {
    for (
      const model of ["linked.Report", "sibling.Report", "myapp.Report", "flat", "flat.Report", "up.outside"]
    ) {
      assert.match(
        await refusal(registry, model, "run"),
        /is refused: it leads outside the handlers folder$/,
      );
    }
    assert.match(await refusal(registry, "gone", "run"), /^handlers\/gone.js is a link that leads nowhere$/);
    assert.match(await refusal(registry, "loop", "run"), /^handlers\/loop.js cannot be read/);
    const run = await registry.resolve("inside.Report", "run");
    assert.match(String(run(TASK)), /handlers\/_lib\/shared\.js$/);
  }
  const files = (await root.loaded()).problems.map((problem) => problem.file);
  assert.deepEqual(files, ["flat.js", "gone.js", "linked", "loop.js", "myapp/Report.js", "sibling", "up"]);
  assert.equal(root.has("marker"), false);
});

Deno.test("a handlers folder that is itself a link works, and imports relative to where it appears", async () => {
  await using root = new Root().write({
    "lib/name.js": `export const name = "beside the link";`,
    "elsewhere/real/myapp.js":
      `import { name } from "../lib/name.js"; export function run() { return name; }`,
  });
  root.link("handlers", "elsewhere/real");
  const { registry, problems } = await root.loaded();
  assert.deepEqual(problems, []);
  assert.equal(registry.lookup("myapp", "run")?.(TASK), "beside the link");
});

Deno.test("loadAll() ignores tests, hidden files, other extensions and deeper folders", async () => {
  await using root = new Root();
  const marker = marking(root, "marker", "export function run() {}");
  const names = [
    ".hidden.js",
    "_lib.js",
    "myapp_test.js",
    "myapp.test.js",
    "types.d.ts",
    "page.tsx",
    "data.json",
  ];
  names.push(
    "node_modules/Report.js",
    ".git/Report.js",
    "_lib/Report.js",
    "myapp/Report_test.ts",
    "my-app.js",
    "1.js",
  );
  names.push(
    "myapp/deep/Report.js",
    "myapp/Report.spec.ts",
    "some.folder/Report.js",
    "é.js",
    "handlers_test/Report.js",
  );
  root.write(Object.fromEntries(names.map((name) => [`handlers/${name}`, marker])));
  root.write({ "handlers/Folder.js/inner.txt": "", "handlers/real.js": "export function run() {}" });
  const { registry, problems } = await root.loaded();
  assert.deepEqual(problems, []);
  assert.deepEqual(registry.list().map((entry) => entry.model), ["real"]);
  for (
    const model of [
      "myapp_test",
      "myapp.Report_test",
      "node_modules.Report",
      "Folder",
      "handlers_test.Report",
    ]
  ) {
    assert.match(await refusal(registry, model, "run"), /^no handler for/);
  }
  assert.equal(root.has("marker"), false);
});

Deno.test("names match in their exact case", async () => {
  await using root = new Root().write({
    "handlers/myapp/Report.js": "export default class { static run() {} }",
    "handlers/Tools.js": "export function run() {}",
  });
  const registry = root.registry();
  for (const model of ["MyApp.Report", "myapp.report", "myapp.REPORT", "tools", "TOOLS"]) {
    assert.match(await refusal(registry, model, "run"), /^no handler for/);
  }
  assert.match(await refusal(registry, "myapp.Report", "Run"), /did you mean run\?/);
});

Deno.test("a named pipe is not read", { ignore: Deno.build.os === "windows" }, async () => {
  await using root = new Root().write({ "handlers/other.js": "export function run() {}" });
  const made = await new Deno.Command("mkfifo", { args: [join(root.handlers, "pipe.js")] }).output();
  assert.ok(made.success);
  const { registry, problems } = await root.loaded();
  assert.deepEqual(problems, []);
  assert.match(await refusal(registry, "pipe", "run"), /^no handler for pipe/);
});

Deno.test(".ts goes before .js and .js before .mjs", async () => {
  const code = (name: string) => `export const run = () => ${JSON.stringify(name)};`;
  await using root = new Root().write({
    "handlers/one.mjs": code("mjs"),
    "handlers/one.js": code("js"),
    "handlers/one.ts": code("ts"),
    "handlers/two.mjs": code("mjs"),
    "handlers/two.js": code("js"),
  });
  const { registry } = await root.loaded();
  assert.deepEqual(["one", "two"].map((model) => registry.lookup(model, "run")?.(TASK)), ["ts", "js"]);
});

Deno.test("a runtime without TypeScript takes .js and says in one line what it leaves out", async () => {
  await using root = new Root().write({
    "handlers/both.ts": "export const run = () => 'ts';",
    "handlers/both.js": "export const run = () => 'js';",
    "handlers/only.ts": "export const run = () => 'ts';",
    "handlers/myapp/Report.ts": "export default class { static run() {} }",
  });
  const { registry, problems } = await root.loaded({ typescript: false });
  const line =
    "cannot be loaded: this executable loads .js and .mjs handlers only, TypeScript needs one compiled " +
    "with Deno 2.8.2 or later";
  assert.deepEqual(problems, [
    { file: "myapp/Report.ts", message: `handlers/myapp/Report.ts ${line} (and 1 more .ts files)` },
  ]);
  assert.equal(registry.lookup("both", "run")?.(TASK), "js");
  assert.equal(await refusal(registry, "only", "run"), `handlers/only.ts ${line}`);
});

Deno.test("loadsTypeScript() knows which executables do", () => {
  assert.equal(loadsTypeScript(false, "2.4.2"), true);
  const versions = ["2.4.2", "2.8.1", "2.8.2", "2.9.0-rc.1", "2.10.0", "3.0.0", "1.46.3"];
  assert.deepEqual(versions.map((version) => loadsTypeScript(true, version)), [
    false,
    false,
    true,
    true,
    true,
    true,
    false,
  ]);
});
