import assert from "node:assert/strict";
import fc from "npm:fast-check@4.10.2";
import { Held } from "../../src/engine/held.ts";
import { HeldTable } from "../../src/engine/held_table.ts";
import type { ClaimedRow } from "../../src/store/mod.ts";

Deno.test("a table of held tasks gives what a map would, also for ids that share a bucket", () => {
  const id = fc.oneof(fc.integer({ min: 1, max: 20 }), fc.constantFrom(-5, 1025, 2049, 2 ** 53 - 1));
  const act = fc.oneof(fc.record({ add: id }), fc.record({ delete: id }));
  fc.assert(fc.property(fc.array(act, { maxLength: 60 }), (acts) => {
    const [table, model] = [new HeldTable(), new Map<number, Held>()];
    for (const one of acts) {
      if ("delete" in one) assert.equal(table.delete(one.delete), model.delete(one.delete));
      else if (!model.has(one.add)) {
        const held = new Held({ id: one.add, claims: 1 } as ClaimedRow, 0);
        table.add(held);
        model.set(one.add, held);
      }
      assert.deepEqual(new Set(table.values()), new Set(model.values()));
      assert.equal(table.values().length, model.size);
      for (const id of [-5, 1, 20, 1025, 2 ** 53 - 1]) assert.equal(table.get(id), model.get(id));
    }
  }));
});
