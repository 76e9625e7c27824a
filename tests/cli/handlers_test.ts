import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { tempFolder } from "../support/fixtures.ts";
import { cleanEnvironment } from "../support/tq.ts";
import { printed, tq } from "./run_tq.ts";

async function projectWith(files: Record<string, string>) {
  const folder = await tempFolder();
  for (const [name, text] of Object.entries(files)) {
    const path = join(folder.path, "handlers", name);
    await Deno.mkdir(dirname(path), { recursive: true });
    await Deno.writeTextFile(path, text);
  }
  return { ...folder, path: folder.path, environment: cleanEnvironment() };
}

const GOOD = {
  "shop/Invoice.js": `export default class Invoice {
    static tq = { timeout: 60, maxAttempts: 3 };
    static on_tq_total() {}
    static on_tq_send() {}
  }`,
  "mail.js": "console.log('imported'); console.info('really'); export function send() {}",
};

Deno.test("tq handlers lists what can be run, with file and defaults, and needs no database", async () => {
  await using project = await projectWith(GOOD);
  const { code, stdout, stderr } = await tq(project, ["handlers"]);
  assert.equal(code, 0, stderr);
  assert.deepEqual(stdout.split("\n"), [
    "HANDLER                   FILE             DEFAULTS",
    "mail send                 mail.js",
    "shop.Invoice on_tq_send   shop/Invoice.js  timeout: 60, maxAttempts: 3",
    "shop.Invoice on_tq_total  shop/Invoice.js  timeout: 60, maxAttempts: 3",
    "",
  ]);
  assert.equal(stderr, "imported\nreally\n", "what handlers print at import is not the list's");
  assert.equal((await tq(project, ["handlers", "--fetch"])).stdout, stdout);
  const json = await tq(project, ["handlers", "--json"]);
  const { handlers, problems } = JSON.parse(json.stdout);
  assert.deepEqual(problems, []);
  assert.deepEqual(handlers[1], {
    model: "shop.Invoice",
    fname: "on_tq_send",
    file: "shop/Invoice.js",
    defaults: { timeout: 60, maxAttempts: 3 },
  });
  await using empty = await projectWith({});
  await Deno.writeTextFile(join(empty.path, "tq.json"), "{}");
  assert.equal(await printed(empty, ["handlers"]), "no handlers\n");
});

Deno.test("tq handlers tells what does not import, whatever it does, and exits with 1", async () => {
  await using project = await projectWith({
    ...GOOD,
    "throws.js": "throw new Error('bad \\x1b[2J news\\nsecond line');",
    "exits.js": "Deno.exit(0);",
    "exits_too.js": "import process from 'node:process'; process.exit(0);",
    "constructor.js": "export function run() {}",
  });
  const { code, stdout } = await tq(project, ["handlers"]);
  assert.equal(code, 1);
  const lines = stdout.trimEnd().split("\n");
  assert.equal(lines.length, 7, stdout);
  assert.match(
    lines[4]!,
    /^problem: handlers\/exits\.js does not import: it ends its process \(handlers\/exits\.js:1/,
  );
  assert.match(lines[5]!, /^problem: handlers\/exits_too\.js does not import: it ends its process /);
  assert.match(
    lines[6]!,
    /^problem: handlers\/throws\.js does not import: bad .*news \(handlers\/throws\.js:1:7\)$/,
  );
  // deno-lint-ignore no-control-regex
  assert.doesNotMatch(stdout, /\x1b/);
  const json = await tq(project, ["handlers", "--json"]);
  assert.equal(json.code, 1);
  assert.deepEqual(JSON.parse(json.stdout).problems.map((problem: { file: string }) => problem.file), [
    "exits.js",
    "exits_too.js",
    "throws.js",
  ]);
});
