import assert from "node:assert/strict";
import fc from "npm:fast-check@4.10.2";
import { keysOf, priorityOf, scoreOf } from "../../src/dispatch/keys.ts";
import { ID_LIMIT, PRIORITY_LIMIT } from "../../src/task.ts";

const anyId = fc.oneof(
  fc.constantFrom(1, 2, ID_LIMIT - 1, ID_LIMIT),
  fc.integer({ min: 1, max: ID_LIMIT }),
);
const anyPriority = fc.oneof(
  fc.constantFrom(-PRIORITY_LIMIT, -1, 0, 1, PRIORITY_LIMIT),
  fc.integer({ min: -PRIORITY_LIMIT, max: PRIORITY_LIMIT }),
);

Deno.test("all keys of a record share one hash tag, which names its prefix and install", () => {
  const keys = keysOf("tq", "0a1b2c");
  assert.equal(keys.queue("tq_hook"), "{tq:0a1b2c}:queue:tq_hook");
  assert.equal(keys.epoch, "{tq:0a1b2c}:epoch");
  assert.equal(keys.control, "{tq:0a1b2c}:control");
});

Deno.test("two records never share a key", () => {
  const records = [["tq", "a"], ["tq", "b"], ["other", "a"]] as const;
  const all = records.map(([prefix, install]) => keysOf(prefix, install))
    .flatMap((keys) => [keys.queue("c"), keys.epoch, keys.control]);
  assert.equal(new Set(all).size, 9);
});

Deno.test("a score is exact, and gives its priority back, up to the largest id and priority", () => {
  fc.assert(
    fc.property(anyPriority, anyId, (priority, id) => {
      const score = scoreOf(priority, id);
      assert.ok(Number.isSafeInteger(score));
      assert.equal(BigInt(score), BigInt(id) - BigInt(priority) * 2n ** 44n);
      assert.equal(priorityOf(score, id), priority);
      // As Redis writes it and ioredis reads it.
      assert.equal(priorityOf(Number(score.toPrecision(17)), id), priority);
    }),
    { numRuns: 1000 },
  );
});

Deno.test("the least score is the highest priority, then the lowest id", () => {
  fc.assert(
    fc.property(anyPriority, anyId, anyPriority, anyId, (p1, id1, p2, id2) => {
      const expected = Math.sign(p2 - p1 || id1 - id2);
      assert.equal(Math.sign(scoreOf(p1, id1) - scoreOf(p2, id2)), expected);
    }),
    { numRuns: 1000, examples: [[0, ID_LIMIT, -1, 1], [100, ID_LIMIT, 99, 1], [-99, ID_LIMIT, -100, 1]] },
  );
});
