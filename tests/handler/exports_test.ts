import assert from "node:assert/strict";
import { marking, refusal, Root, TASK } from "./root.ts";

Deno.test("resolve() refuses names that come from JavaScript, getters, classes, generators and values", async () => {
  await using root = new Root();
  const getter = marking(root, "marker", "return () => {};");
  root.write({
    "handlers/myapp/Report.js": `export default class Report {
      static get lazy() { ${getter} }
      static toString() { return "stated, and refused all the same"; }
      static Inner = class { static run() {} };
      static *steps() {}
      static async *more() {}
      static text = "text";
      static #hidden() {}
      on_instance() {}
      static on_tq_run() {}
    }`,
    "handlers/myapp/Bag.js":
      `export default { get lazy() { ${getter} }, __proto__: null, valueOf() {}, run() {} };`,
    "handlers/myapp.js": `export { apply } ; function apply() { return "applied"; }
      export default function unnamed() {}
      export class Other { static run() {} }
      export const value = 5;`,
  });
  const { registry } = await root.loaded();
  const inherited = [
    "toString",
    "constructor",
    "prototype",
    "length",
    "name",
    "call",
    "apply",
    "bind",
    "caller",
  ];
  inherited.push("arguments", "valueOf", "hasOwnProperty", "isPrototypeOf", "toLocaleString");
  for (const model of ["myapp.Report", "myapp.Bag", "myapp.Other"]) {
    for (const fname of inherited) {
      assert.match(await refusal(registry, model, fname), /has no .*that name from JavaScript/);
    }
  }
  for (const fname of inherited.filter((name) => name !== "apply")) {
    assert.equal(
      await refusal(registry, "myapp", fname),
      `handlers/myapp.js exports no function named ${fname}`,
    );
  }
  // A module's namespace inherits nothing: what it exports is its own, whatever the name.
  assert.equal(registry.lookup("myapp", "apply")?.(TASK), "applied");
  assert.match(await refusal(registry, "myapp", "default"), /exports no function named default/);
  assert.match(await refusal(registry, "myapp", "unnamed"), /exports no function named unnamed/);
  assert.match(await refusal(registry, "myapp", "Other"), /named Other: it is a class/);
  assert.match(await refusal(registry, "myapp", "value"), /named value: it is not a function/);
  assert.match(
    await refusal(registry, "myapp.value", "run"),
    /myapp.js has no export named value that is a class or/,
  );
  assert.equal(
    await refusal(registry, "myapp.Report", "lazy"),
    "handlers/myapp/Report.js: Report has no static function lazy of its own: it is a getter",
  );
  assert.match(
    await refusal(registry, "myapp.Bag", "lazy"),
    /Bag has no function lazy of its own: it is a getter/,
  );
  assert.match(await refusal(registry, "myapp.Report", "Inner"), /it is a class/);
  assert.match(await refusal(registry, "myapp.Report", "steps"), /it is a generator/);
  assert.match(await refusal(registry, "myapp.Report", "more"), /it is a generator/);
  assert.match(await refusal(registry, "myapp.Report", "text"), /it is not a function/);
  assert.match(
    await refusal(registry, "myapp.Report", "hidden"),
    /has no static function hidden of its own$/,
  );
  assert.match(await refusal(registry, "myapp.Report", "on_instance"), /no static function on_instance/);
  assert.match(await refusal(registry, "myapp.Report", "on_tq_runn"), /did you mean on_tq_run\?$/);
  assert.equal(root.has("marker"), false);
});

Deno.test("lookup() goes up to the user's base classes and stops at those of the platform", async () => {
  await using root = new Root().write({
    "lib/base.js": `export class Base { static shared() { return this.label; } static hidden() {} }`,
    "handlers/myapp/Report.js": `import { Base } from "../../lib/base.js";
      export default class Report extends Base { static label = "report"; static get hidden() { return () => {}; } }`,
    "handlers/myapp.js": `
      export class Native extends Map { static run() {} }
      export class Web extends URL { static run() {} }
      export class Thing extends Object { static run() {} }
      export class Bare extends null { static run() {} }
      export const Exported = Map;
      export class Instance {}
      Instance.prototype.run = () => {};
      export const made = new Instance();`,
  });
  const { registry, problems } = await root.loaded();
  assert.deepEqual(problems, []);
  assert.equal(registry.lookup("myapp.Report", "shared")?.(TASK), "report");
  assert.match(await refusal(registry, "myapp.Report", "hidden"), /it is a getter/);
  assert.match(await refusal(registry, "myapp.Native", "groupBy"), /no static function groupBy/);
  assert.match(await refusal(registry, "myapp.Web", "canParse"), /no static function canParse/);
  assert.match(await refusal(registry, "myapp.Thing", "assign"), /no static function assign/);
  assert.match(await refusal(registry, "myapp.Exported", "groupBy"), /no export named Exported/);
  assert.match(await refusal(registry, "myapp.made", "run"), /no export named made/);
  assert.deepEqual(
    registry.list().filter((entry) => entry.model !== "myapp.Report").map((entry) => entry.model),
    [
      "myapp.Bare",
      "myapp.Native",
      "myapp.Thing",
      "myapp.Web",
    ],
  );
});

Deno.test("defaults() tells what classes, objects and modules state, base classes included", async () => {
  await using root = new Root().write({
    "handlers/myapp/Report.js": `class Base { static tq = { timeout: 60, channel: "slow" }; }
      export default class extends Base { static run() {} }`,
    "handlers/myapp/Bill.js": `export const tq = { timeout: 5, maxAttempts: 2 };
      export class Bill { static tq = { timeout: 9 }; static run() {} }`,
    "handlers/myapp.js": `export const tq = { channel: "tools" };
      export function run() {}
      export const Bag = { tq: { maxAttempts: 1, timeout: undefined }, run() {} };
      export class Silent { static run() {} static tq() { return "a handler"; } }
      export const settings = { tq: "data that happens to be exported" };`,
  });
  const { registry, problems } = await root.loaded();
  assert.deepEqual(problems, []);
  assert.deepEqual(registry.defaults(), {
    "myapp": { channel: "tools" },
    "myapp.Bag": { maxAttempts: 1 },
    "myapp.Bill": { timeout: 9, maxAttempts: 2 },
    "myapp.Report": { timeout: 60, channel: "slow" },
  });
  assert.deepEqual(registry.models.sort(), [
    "myapp",
    "myapp.Bag",
    "myapp.Bill",
    "myapp.Report",
    "myapp.Silent",
  ]);
  assert.equal(registry.lookup("myapp.Silent", "tq")?.(TASK), "a handler");
  assert.deepEqual(registry.list().find((entry) => entry.model === "myapp.Bag")?.defaults, {
    maxAttempts: 1,
  });
});

Deno.test("a bad default is a problem of its module and names the value and what is allowed", async () => {
  const stated: Record<string, [string, string]> = {
    a: ["{ timeout: 0 }", "Report.tq.timeout is 0: allowed: whole seconds from 1 to 2592000"],
    b: ["{ timeout: '60' }", 'Report.tq.timeout is "60": allowed: whole seconds from 1 to 2592000'],
    c: ["{ maxAttempts: 1001 }", "Report.tq.maxAttempts is 1001: allowed: a whole number from 1 to 1000"],
    d: [
      "{ channel: 'a b' }",
      'Report.tq.channel is "a b": allowed: letters, digits, _ . and -, at most 100, a letter first',
    ],
    e: ["{ time: 5 }", "Report.tq has the unknown key time: known: timeout, maxAttempts, channel"],
    f: ["5", 'Report.tq is not an object: write tq = { timeout: 60, maxAttempts: 3, channel: "reports" }'],
    g: ["{ toString: 5 }", "Report.tq has the unknown key toString: known: timeout, maxAttempts, channel"],
    h: [
      "{ channel: Object.create(null) }",
      "Report.tq.channel is an object: allowed: letters, digits, _ . and -, at most 100, a letter first",
    ],
  };
  await using root = new Root();
  for (const [app, [tq]] of Object.entries(stated)) {
    root.write({
      [`handlers/${app}/Report.js`]: `export default class { static tq = ${tq}; static run() {} }`,
    });
  }
  root.write({
    "handlers/z/Report.js":
      "export default class { static get tq() { throw new Error('called'); } static run() {} }",
  });
  const { registry, messages } = await root.loaded();
  assert.deepEqual(messages, [
    ...Object.entries(stated).map(([app, [, message]]) => `handlers/${app}/Report.js: ${message}`),
    'handlers/z/Report.js: Report.tq is a getter: write tq = { timeout: 60, maxAttempts: 3, channel: "reports" }',
  ]);
  assert.match(await refusal(registry, "a.Report", "run"), /timeout is 0/);
  assert.deepEqual(registry.list(), []);
});
