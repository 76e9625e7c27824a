import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { systemClock } from "../../src/clock.ts";
import { loadSettings } from "../../src/config.ts";
import { examineHandlers, judgeHandlers } from "../../src/doctor/handlers.ts";
import type { HandlerEntry } from "../../src/handler/registry.ts";
import { eventually, tempFolder } from "../support/fixtures.ts";
import { processTable } from "../support/processes.ts";

async function examined(handlers: Record<string, string>, clock = systemClock) {
  await using root = await tempFolder();
  for (const [name, text] of Object.entries(handlers)) {
    const path = join(root.path, "handlers", name);
    await Deno.mkdir(dirname(path), { recursive: true });
    await Deno.writeTextFile(path, text);
  }
  const settings = loadSettings({ flags: { TQ_ROOT: root.path }, environment: {}, folder: "/" });
  return await examineHandlers(settings, clock);
}

Deno.test("handlers: counts those that import, whatever they print", async () => {
  const findings = await examined({
    "mail.js": "console.log('{}'); export function send() {} export function sort() {}",
    "shop/Invoice.js": "export default class Invoice { static on_tq_total() {} }",
  });
  assert.deepEqual(findings, [
    { check: "handlers", level: "ok", found: "3 functions in 2 files", remedy: null },
  ]);
});

Deno.test("handlers: each that does not import is bad, in one line", async () => {
  const findings = await examined({
    "mail.js": "export function send() {}",
    "broken.js": "export function (",
    "throws.js": "throw new Error('no such thing');",
    "exits.js": "Deno.exit(0);",
  });
  assert.deepEqual(findings.map(({ level }) => level), ["bad", "bad", "bad"]);
  assert.match(findings[0]!.found, /^handlers\/broken\.js does not import: /);
  assert.match(findings[1]!.found, /^handlers\/exits\.js does not import: it ends its process/);
  assert.match(findings[2]!.found, /^handlers\/throws\.js does not import: no such thing/);
});

Deno.test("handlers: one that kills its process when it is imported is bad", async () => {
  const [only] = await examined({
    "dies.js": "import process from 'node:process'; process.kill(process.pid, 'SIGKILL');",
  });
  assert.equal(only?.level, "bad");
  assert.match(only.found, /^their import ended with exit code 137/);
});

Deno.test("handlers: an import that never gives back is bad, and ended", async () => {
  // Time is over as soon as the child has been started; its end is waited for as ever.
  const after = (ms: number, fn: () => void) => systemClock.after(ms === 6000 ? 1000 : ms, fn);
  const clock = { ...systemClock, after };
  const mark = `hangs_${crypto.randomUUID().slice(0, 8)}`;
  const [only] = await examined({ [`${mark}.js`]: "while (true);" }, clock);
  assert.equal(only?.level, "bad");
  assert.match(only.found, /not imported within 6 s$/);
  const children = async () =>
    [...(await processTable()).values()].filter(({ parent, zombie }) => parent === Deno.pid && !zombie);
  await eventually(async () => (await children()).length === 0, { what: "the end of the import" });
});

Deno.test("handlers: tells of ten problems, and how many more there are", () => {
  const problems = Array.from(
    { length: 12 },
    (_, i) => ({ file: `h${i}.js`, message: `h${i}.js is no good` }),
  );
  const findings = judgeHandlers({ handlers: [], problems });
  assert.equal(findings.length, 11);
  assert.equal(findings[9]?.found, "h9.js is no good");
  assert.equal(findings[10]?.found, "2 more do not import");
  assert.equal(judgeHandlers({ handlers: [], problems: problems.slice(0, 10) }).length, 10);
});

Deno.test("handlers: none are worth a note", () => {
  assert.deepEqual(judgeHandlers({ handlers: [], problems: [] }).map(({ level }) => level), ["note"]);
  const entry: HandlerEntry = { model: "mail", fname: "send", file: "mail.js", defaults: {} };
  assert.equal(judgeHandlers({ handlers: [entry], problems: [] })[0]?.found, "1 function in 1 file");
});
