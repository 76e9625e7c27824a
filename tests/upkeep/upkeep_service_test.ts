import assert from "node:assert/strict";
import { UpkeepService } from "../../src/upkeep/upkeep_service.ts";
import { captureLog } from "../support/capture_log.ts";
import { TestClock } from "../support/fixtures.ts";
import { needTest } from "../support/need.ts";
import { Keep } from "./parts.ts";

/** A loop that fails when it is told to. */
class Loop extends UpkeepService {
  protected readonly loop = "test";
  fails = true;
  count = 0;

  upkeep(): Promise<number> {
    this.count++;
    return this.fails ? Promise.reject(new Error("no record")) : Promise.resolve(1000);
  }
}

needTest(
  ["postgres"],
  "a loop that failed works again when it has led again, not when it follows",
  async () => {
    await using keep = await Keep.make();
    await using log = await captureLog();
    const clock = new TestClock();
    await using loop = new Loop(Object.assign(Object.create(keep), { clock }));
    loop.start();
    await clock.advance(0);
    assert.equal(loop.count, 1);
    keep.leader.isLeader = false;
    await clock.advance(10_000);
    assert.equal(loop.count, 1);
    const said = ['WARNING upkeep: cannot work for now loop=Loop error="no record"'];
    assert.deepEqual(log.lines, said, "nobody has asked the record");
    keep.leader.isLeader = true;
    loop.fails = false;
    await clock.advance(1000);
    assert.ok(loop.count > 1);
    assert.deepEqual(log.lines, [...said, "INFO    upkeep: works again loop=Loop"]);
  },
);
