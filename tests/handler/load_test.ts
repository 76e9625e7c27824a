import assert from "node:assert/strict";
import { systemClock } from "../../src/clock.ts";
import { refusal, Root, TASK } from "./root.ts";

/** Deno 2.4 itself panics when a module throws an error whose message cannot be read (2.9.6 does not). */
const EVIL = Deno.version.deno.startsWith("2.4.")
  ? "throw Object.create(null);"
  : "throw new (class extends Error { get message() { throw 1; } })();";

Deno.test("a module that does not import is a problem of one line with a position, and resolve() repeats it", async () => {
  await using root = new Root().write({
    "handlers/syntax.ts": "export const a: number = 1;\nexport function run() { let x = = 3; }\n",
    "handlers/thrown.js": "function deep() { throw new TypeError('boom\\nsecond line'); }\n\ndeep();\n",
    "handlers/missing.js": `\nimport { x } from "./nope.js";\nexport function run() { x(); }\n`,
    "handlers/noexport.js": `import { nope } from "./fine.js";\nexport function run() { nope(); }\n`,
    "handlers/bare.js": `import x from "not-a-known-alias";\nexport function run() { x(); }\n`,
    "handlers/text.js": "throw 'just text';",
    "handlers/nothing.js": "throw Object.create(null);",
    "handlers/evil.js": EVIL,
    "handlers/lost.js": `const error = new Error("lost");
      error.stack = "Error: lost\\n    at async ${import.meta.resolve("../../src/clock.ts")}:49:12";
      throw error;`,
    "handlers/long.js": "throw new Error('x'.repeat(5000) + '\\u0007');",
    "handlers/thenable.js": "export function then(resolve) { resolve(5); }",
    "handlers/indirect.js": `import "../lib/bad.js";`,
    "lib/bad.js": "null.x;",
    "handlers/fine.js": "export function run() { return 'fine'; }",
    "handlers/myapp/Empty.js": "export class Other { static run() {} }\nexport default 5;",
  });
  const { registry, problems } = await root.loaded();
  const by = Object.fromEntries(problems.map((problem) => [problem.file, problem.message]));
  assert.match(by["syntax.ts"]!, /^handlers\/syntax\.ts does not import: .*handlers\/syntax\.ts:2:\d+\)?$/);
  assert.equal(by["thrown.js"], "handlers/thrown.js does not import: boom (handlers/thrown.js:1:25)");
  assert.match(
    by["missing.js"]!,
    /^handlers\/missing\.js does not import: Module not found.*handlers\/nope\.js/,
  );
  assert.match(by["missing.js"]!, /\(handlers\/missing\.js:2:\d+\)$/);
  assert.match(by["noexport.js"]!, /does not provide an export named 'nope' at handlers\/noexport\.js:1:10$/);
  assert.match(by["bare.js"]!, /not-a-known-alias.*\(handlers\/bare\.js:1:\d+\)$/);
  assert.equal(by["text.js"], "handlers/text.js does not import: just text was thrown");
  assert.equal(by["nothing.js"], "handlers/nothing.js does not import: something without a text was thrown");
  assert.equal(by["evil.js"], "handlers/evil.js does not import: something without a text was thrown");
  assert.equal(by["lost.js"], "handlers/lost.js does not import: lost");
  assert.ok(by["long.js"]!.length < 700);
  assert.match(by["thenable.js"]!, /exports a function named then, which every import calls: rename it$/);
  assert.match(
    by["indirect.js"]!,
    /does not import: Cannot read properties of null .*\(file:.*\/lib\/bad\.js:1:6\)$/,
  );
  assert.match(
    by["myapp/Empty.js"]!,
    /^handlers\/myapp\/Empty\.js has neither a default export nor an export named Empty/,
  );
  assert.equal(problems.length, 13);
  for (const { message } of problems) assert.doesNotMatch(message, /[\p{Cc}]/u);
  for (const model of ["syntax", "thrown", "missing", "thenable"]) {
    assert.equal(
      await refusal(registry, model, "run"),
      problems.find(({ file }) => file.startsWith(model))!.message,
    );
  }
  assert.match(await refusal(registry, "myapp.Empty", "run"), /neither a default export/);
  assert.match(await refusal(registry, "thrown.Report", "run"), /^handlers\/thrown.js does not import: boom/);
  assert.equal(registry.lookup("fine", "run")?.(TASK), "fine");
  root.write({ "handlers/thrown.js": "export function run() {}" });
  assert.match(await refusal(registry, "thrown", "run"), /boom/);
  assert.equal((await registry.loadAll()).problems.length, 13);
});

/** Lets `hang.js` go on, once it has come to its wait: an import may be given up before that. */
async function release(): Promise<void> {
  const scope = globalThis as unknown as { tqTestRelease?: () => void };
  while (scope.tqTestRelease === undefined) await systemClock.sleep(1);
  scope.tqTestRelease();
  delete scope.tqTestRelease;
}

Deno.test("an import that does not finish is given up, holds up nothing, and is taken when it comes late", async () => {
  await using root = new Root().write({
    "handlers/hang.js": `await new Promise((resolve) => globalThis.tqTestRelease = resolve);
      export const tq = { timeout: 7 };
      export function run() { return "late"; }`,
    "handlers/hang2.js": `import "./hang.js"; export function run() {}`,
    "handlers/fine.js": "export function run() { return 'fine'; }",
  });
  const deadlines: number[] = [];
  const late: (() => void)[] = [];
  const clock = {
    ...systemClock,
    after(ms: number, fn: () => void) {
      deadlines.push(ms);
      late.push(fn);
      return () => void late.splice(late.indexOf(fn), 1);
    },
  };
  const registry = root.registry({ clock });
  const loading = registry.loadAll();
  while (registry.lookup("fine", "run") === undefined || late.length !== 2) await systemClock.sleep(1);
  const resolving = refusal(registry, "hang", "run");
  for (const fn of [...late]) fn();
  const { problems } = await loading;
  assert.deepEqual(problems, [
    { file: "hang.js", message: "handlers/hang.js did not finish importing in 20 s" },
    { file: "hang2.js", message: "handlers/hang2.js did not finish importing in 20 s" },
  ]);
  assert.deepEqual(deadlines, [20_000, 20_000, 20_000]);
  assert.match(await resolving, /did not finish/);
  assert.match(await refusal(registry, "hang", "run"), /did not finish/);
  await release();
  while (registry.problems().length > 0) await systemClock.sleep(1);
  assert.equal(registry.lookup("hang", "run")?.(TASK), "late");
  assert.deepEqual(registry.defaults(), { hang: { timeout: 7 } });
});

Deno.test("the deadline of an import can be set", async () => {
  await using root = new Root().write({
    "handlers/hang.js": "await new Promise((resolve) => globalThis.tqTestRelease = resolve);",
  });
  const { messages } = await root.loaded({ importDeadline: 50 });
  assert.deepEqual(messages, ["handlers/hang.js did not finish importing in 0.05 s"]);
  await release();
});
