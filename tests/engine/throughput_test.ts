import assert from "node:assert/strict";
import { Throughput } from "../../src/engine/throughput.ts";
import { TestClock } from "../support/fixtures.ts";

function counted(): { clock: TestClock; throughput: Throughput; count(n: number): void } {
  const clock = new TestClock();
  const throughput = new Throughput(clock);
  return {
    clock,
    throughput,
    count(n) {
      for (let i = 0; i < n; i++) throughput.count();
    },
  };
}

Deno.test("nothing is to be had ahead before anything ended", () => {
  assert.equal(counted().throughput.ahead(), 0);
});

Deno.test("as many are to be had ahead as ended in the last 100 ms, or have in this one if those are more", async () => {
  const { clock, throughput, count } = counted();
  count(30);
  assert.equal(throughput.ahead(), 30);
  await clock.advance(100);
  assert.equal(throughput.ahead(), 30);
  count(10);
  await clock.advance(50);
  assert.equal(throughput.ahead(), 30);
  count(40);
  assert.equal(throughput.ahead(), 50);
  await clock.advance(50);
  assert.equal(throughput.ahead(), 50);
});

Deno.test("nothing is to be had ahead when nothing has ended for 200 ms", async () => {
  const { clock, throughput, count } = counted();
  count(500);
  await clock.advance(100);
  assert.equal(throughput.ahead(), 500);
  await clock.advance(100);
  assert.equal(throughput.ahead(), 0);
  count(500);
  await clock.advance(5_000);
  assert.equal(throughput.ahead(), 0, "what ended long ago tells nothing of now");
});

Deno.test("no more than 2,000 are to be had ahead", () => {
  const { throughput, count } = counted();
  count(5_000);
  assert.equal(throughput.ahead(), 2_000);
});
