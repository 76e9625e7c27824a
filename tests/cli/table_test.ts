import assert from "node:assert/strict";
import fc from "npm:fast-check@4.10.2";
import columnsOf from "npm:string-width@9.0.0";
import { type Column, table } from "../../src/cli/table.ts";

const COLUMNS: readonly Column[] = [
  { head: "ID" },
  { head: "HANDLER", least: 12 },
  { head: "AGE", goes: 1 },
  { head: "REASON", least: 10, goes: 2 },
];
const ROWS = [
  ["7", "demo.Report on_tq_run", "5 s", "could not find transactions"],
  ["12345", "a.B c", "", ""],
];

async function shown(room: number, rows: Parameters<typeof table>[1] = ROWS): Promise<string[]> {
  return (await table(COLUMNS, rows, room)).split("\n");
}

Deno.test("a table with room for all shows all, in aligned columns", async () => {
  const whole = [
    "ID     HANDLER                AGE  REASON",
    "7      demo.Report on_tq_run  5 s  could not find transactions",
    "12345  a.B c",
  ];
  assert.deepEqual(await shown(Infinity), whole);
  assert.deepEqual(await shown(columnsOf(whole[1]!)), whole);
});

Deno.test("where space is short columns are cut, then go, in their order", async () => {
  assert.deepEqual(await shown(50), [
    "ID     HANDLER                AGE  REASON",
    "7      demo.Report on_tq_run  5 s  could not find…",
    "12345  a.B c",
  ]);
  assert.deepEqual(await shown(36), [
    "ID     HANDLER       AGE  REASON",
    "7      demo.Report…  5 s  could not…",
    "12345  a.B c",
  ]);
  assert.deepEqual(await shown(33), [
    "ID     HANDLER         REASON",
    "7      demo.Report o…  could not…",
    "12345  a.B c",
  ]);
  assert.deepEqual(await shown(25), [
    "ID     HANDLER",
    "7      demo.Report on_tq…",
    "12345  a.B c",
  ]);
  assert.deepEqual(await shown(15), ["ID     HANDLER", "7      demo.Re…", "12345  a.B c"]);
});

Deno.test("wide characters count as two columns and are not halved", async () => {
  const rows = [["1", "日本語日本語日本語", "", "👩‍👩‍👧👩‍👩‍👧👩‍👩‍👧👩‍👩‍👧👩‍👩‍👧👩‍👩‍👧"], ["2", "ab", "", "x"]];
  assert.deepEqual(await shown(28, rows), [
    "ID  HANDLER       REASON",
    "1   日本語日本…   👩‍👩‍👧👩‍👩‍👧👩‍👩‍👧👩‍👩‍👧…",
    "2   ab            x",
  ]);
});

Deno.test("what cells hold reaches the terminal as one plain line, and colour is put on last", async () => {
  const rows = [["1", { text: "a\x1b[31m\x1b[2Jb\nc", paint: (text: string) => `<${text}>` }, "", ""]];
  assert.deepEqual(await shown(Infinity, rows), [
    "ID  HANDLER        AGE  REASON",
    "1   <a\\u001b[2Jb c>",
  ]);
  const cut = [["1", { text: "x".repeat(50), paint: (text: string) => `<${text}>` }, "", ""]];
  assert.deepEqual((await shown(20, cut))[1], `1   <${"x".repeat(15)}…>`);
});

Deno.test("no line of a table is wider than the terminal, whatever is in it", async () => {
  const unit = fc.constantFrom("a", " ", "日", "é", "👩‍👩‍👧", "\x1b[31m", "\x1b", "\u202e", "\n", "\u0301");
  const cell = fc.string({ unit, maxLength: 40 });
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.constantFrom("1", "12345"), cell, cell, cell), { minLength: 1, maxLength: 5 }),
      fc.integer({ min: 20, max: 120 }),
      async (rows, room) => {
        for (const line of await shown(room, rows)) {
          assert.ok(columnsOf(line) <= room, `${columnsOf(line)} > ${room}: ${JSON.stringify(line)}`);
          assert.doesNotMatch(line, /\p{Cc}/u);
        }
      },
    ),
    { numRuns: 300 },
  );
});
