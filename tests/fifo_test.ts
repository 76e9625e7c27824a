import assert from "node:assert/strict";
import fc from "npm:fast-check@4.10.2";
import { Fifo } from "../src/fifo.ts";

Deno.test("a line gives what an array would, whatever is done to it", () => {
  const act = fc.oneof(
    fc.record({ push: fc.integer({ min: 1, max: 1500 }) }),
    fc.record({ take: fc.integer({ min: 0, max: 1500 }) }),
    fc.record({ remove: fc.integer({ min: 0, max: 3000 }) }),
  );
  fc.assert(fc.property(fc.array(act, { maxLength: 30 }), (acts) => {
    const [line, model] = [new Fifo<number>(), [] as number[]];
    let next = 0;
    for (const one of acts) {
      if ("push" in one) {
        for (let i = 0; i < one.push; i++, next++) {
          line.push(next);
          model.push(next);
        }
      } else if ("take" in one) {
        assert.deepEqual(line.take(one.take), model.splice(0, one.take));
      } else {
        // What has left the line cannot be removed, though a copy of it may not have been made yet.
        const place = model.indexOf(one.remove);
        if (place >= 0) model.splice(place, 1);
        assert.equal(line.remove(one.remove), place >= 0);
      }
      assert.equal(line.length, model.length);
      for (const at of [0, 1, model.length - 1, model.length]) assert.equal(line.at(at), model[at]);
    }
  }));
});
