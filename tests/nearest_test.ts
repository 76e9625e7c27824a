import assert from "node:assert/strict";
import fc from "npm:fast-check@4.10.2";
import { nearest } from "../src/nearest.ts";

Deno.test("nearest() finds what was probably meant", () => {
  const settings = ["TQ_WORKERS", "TQ_PROCESSES", "TQ_REDIS_URL", "TQ_REDIS_PREFIX"];
  assert.equal(nearest("TQ_WORKER", settings), "TQ_WORKERS");
  assert.equal(nearest("tq_wrokers", settings), "TQ_WORKERS");
  assert.equal(nearest("TQ_REDISURL", settings), "TQ_REDIS_URL");
  assert.equal(nearest("TQ_REDIS_PREFX", settings), "TQ_REDIS_PREFIX");
});

Deno.test("nearest() says nothing when nothing is near", () => {
  assert.equal(nearest("BANANA", ["TQ_WORKERS", "TQ_PROCESSES"]), undefined);
  assert.equal(nearest("run", []), undefined);
  assert.equal(nearest("", ["abc"]), undefined);
  // Two edits are near for a short name, a third of it for a longer one.
  assert.equal(nearest("ab", ["abcd"]), "abcd");
  assert.equal(nearest("ab", ["abcde"]), undefined);
  assert.equal(nearest("abcdefghijkl", ["abcdefgh"]), "abcdefgh");
  assert.equal(nearest("abcdefghijkl", ["abcdefg"]), undefined);
});

const word = fc.string({ unit: fc.constantFrom(..."abc"), maxLength: 6 });

Deno.test("nearest() never prefers a candidate that is farther away", () => {
  fc.assert(fc.property(word, fc.array(word, { maxLength: 5 }), (name, candidates) => {
    const found = nearest(name, candidates);
    const least = Math.min(...candidates.map((candidate) => distance(name, candidate)));
    if (found === undefined) assert.ok(least > 2);
    else {
      assert.ok(candidates.includes(found));
      assert.equal(distance(name, found), least);
    }
  }));
});

/** Levenshtein's distance as it is defined: slow, and plainly right. */
function distance(a: string, b: string): number {
  if (a === "" || b === "") return a.length + b.length;
  if (a[0] === b[0]) return distance(a.slice(1), b.slice(1));
  return 1 + Math.min(distance(a.slice(1), b), distance(a, b.slice(1)), distance(a.slice(1), b.slice(1)));
}
