import assert from "node:assert/strict";
import { type FromEngine, LINE_LIMIT, linesOf, parseFromEngine } from "../../src/engine/protocol.ts";

const TOKEN = "tq:0f7d ";
const encoder = new TextEncoder();

/** The lines of a stream that comes in these pieces. */
async function lines(pieces: readonly (string | Uint8Array)[], whole = TOKEN): Promise<string[]> {
  const bytes = pieces.map((piece) => typeof piece === "string" ? encoder.encode(piece) : piece);
  return await Array.fromAsync(linesOf(ReadableStream.from(bytes), whole));
}

Deno.test("lines are put together from whatever pieces they come in, empty ones left out", async () => {
  assert.deepEqual(await lines(["one\ntw", "o\n\n", "\nthr", "e", "e\n"]), ["one", "two", "three"]);
  assert.deepEqual(await lines(["no end"]), ["no end"]);
  assert.deepEqual(await lines([]), []);
  assert.deepEqual(await lines(["\n\n\n"]), []);
});

Deno.test("a character that comes in two pieces is one character", async () => {
  const bytes = encoder.encode("größer €\n");
  const pieces = Array.from(bytes, (byte) => Uint8Array.of(byte));
  assert.deepEqual(await lines(pieces), ["größer €"]);
});

Deno.test("a line of 10 MB is cut at 64 KiB, once, and the next one is whole", async () => {
  const piece = "x".repeat(60_000);
  const pieces = Array.from({ length: 170 }, () => piece);
  const found = await lines(["before\n", ...pieces, "end\nafter\n", "y".repeat(LINE_LIMIT + 1), "\nlast"]);
  assert.deepEqual(found.map((line) => line.length), [6, LINE_LIMIT, 5, LINE_LIMIT, 4]);
  assert.deepEqual([found[2], found[4]], ["after", "last"]);
});

Deno.test("a long line that comes in one piece is cut as well, also without an end", async () => {
  const long = "x".repeat(3 * LINE_LIMIT);
  assert.deepEqual((await lines([`${long}\nafter`])).map((line) => line.length), [LINE_LIMIT, 5]);
  assert.deepEqual((await lines([long])).map((line) => line.length), [LINE_LIMIT]);
});

Deno.test("a message is kept whole, however long and in however many pieces", async () => {
  const message = TOKEN + "m".repeat(2_000_000);
  const pieces = Array.from({ length: 20 }, (_, i) => message.slice(i * 100_001, (i + 1) * 100_001));
  assert.deepEqual(await lines(["text\n", ...pieces, "\nafter\n"]), ["text", message, "after"]);
});

Deno.test("what looks like a message inside a line that is cut is not one", async () => {
  const found = await lines(["x".repeat(LINE_LIMIT + 1), TOKEN, "y".repeat(LINE_LIMIT + 1), "\nafter\n"]);
  assert.deepEqual(found.map((line) => line.slice(0, 5)), ["xxxxx", "after"]);
});

Deno.test("only a line that starts with the token is a message", () => {
  const message: FromEngine = { type: "log", line: "a\nb \u2028 \ud83d\ude00" };
  const line = TOKEN + JSON.stringify(message);
  assert.deepEqual(parseFromEngine(line, TOKEN), message);
  assert.equal(parseFromEngine(JSON.stringify(message), TOKEN), undefined);
  assert.equal(parseFromEngine(` ${line}`, TOKEN), undefined);
  assert.equal(parseFromEngine(line, "tq:other "), undefined);
});

Deno.test("a message that somebody wrote into is text, and ends nothing", () => {
  assert.equal(parseFromEngine(`${TOKEN}{"type":"lohello world`, TOKEN), undefined);
});

Deno.test("an engine reads every message whole: thousands of rows are one line", async () => {
  const rows = Array.from(
    { length: 5_000 },
    (_, id) => ({ id, claims: 1, cancel_requested: false, is_old: true }),
  );
  const text = JSON.stringify({ type: "held", rows });
  assert.ok(text.length > LINE_LIMIT);
  const [line] = await lines([text.slice(0, 100_000), text.slice(100_000), "\n"], "");
  assert.deepEqual(JSON.parse(line!), { type: "held", rows });
});
