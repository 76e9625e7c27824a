import assert from "node:assert/strict";
import { Store } from "../../src/store/mod.ts";
import { Leader } from "../../src/upkeep/leader.ts";
import { eventually, TestClock } from "../support/fixtures.ts";
import { needTest } from "../support/need.ts";
import { TestRecord } from "../support/test_record.ts";

needTest(
  ["postgres"],
  "of two supervisors one leads; the other takes over at once when it stops",
  async () => {
    await using record = await TestRecord.make();
    const [first, second] = [new Leader(record.store()), new Leader(record.store())];
    assert.deepEqual([first.isLeader, second.isLeader], [false, false]);
    await first.runOnce();
    await second.runOnce();
    assert.deepEqual([first.isLeader, second.isLeader], [true, false]);
    await first.runOnce();
    await second.runOnce();
    assert.deepEqual([first.isLeader, second.isLeader], [true, false], "who leads renews");
    await first.stop();
    await second.runOnce();
    assert.deepEqual([first.isLeader, second.isLeader], [false, true]);
  },
);

needTest(["postgres"], "many that seek it at once find one leader", async () => {
  await using record = await TestRecord.make();
  const leaders = Array.from({ length: 8 }, () => new Leader(record.store()));
  await Promise.all(leaders.map((leader) => leader.runOnce()));
  assert.equal(leaders.filter((leader) => leader.isLeader).length, 1);
});

needTest(
  ["postgres"],
  "a leader that died is replaced when its term is over, by the database's clock",
  async () => {
    await using record = await TestRecord.make();
    const [dead, next] = [new Leader(record.store()), new Leader(record.store())];
    await dead.runOnce();
    const leader = record.sql(`${record.schema}.leader`);
    const [row] = await record
      .sql`select extract(epoch from until - now())::float8 as seconds from ${leader}`;
    assert.ok(row!.seconds > 5 && row!.seconds <= 10);
    await record.sql`update ${leader} set until = now() + interval '100 milliseconds'`;
    await next.runOnce();
    assert.equal(next.isLeader, false);
    await record.sql`update ${leader} set until = now() - interval '1 millisecond'`;
    await next.runOnce();
    assert.equal(next.isLeader, true);
    await dead.runOnce();
    assert.equal(dead.isLeader, false, "it learns that it was replaced");
    await dead.stop();
    await dead.runOnce();
    assert.equal(dead.isLeader, false, "its end takes nothing from its successor");
  },
);

needTest(["postgres"], "a leader that does not get through for its term leads no more", async () => {
  let away = false;
  class Away extends Store {
    override lead(...args: Parameters<Store["lead"]>): ReturnType<Store["lead"]> {
      return away ? Promise.reject(new Error("away")) : super.lead(...args);
    }
  }
  await using record = await TestRecord.make();
  const clock = new TestClock();
  const leader = new Leader(record.storeOf(Away), clock);
  await leader.runOnce();
  await clock.advance(9_000);
  assert.equal(leader.isLeader, true);
  away = true;
  await assert.rejects(leader.runOnce(), /away/);
  assert.equal(leader.isLeader, true, "one lost renewal is no end");
  await clock.advance(1_000);
  assert.equal(leader.isLeader, false);
});

needTest(["postgres"], "who resigned does not lead until it seeks that again", async () => {
  await using record = await TestRecord.make();
  const clock = new TestClock();
  const answer = Promise.withResolvers<void>();
  class Slow extends Store {
    override async lead(...args: Parameters<Store["lead"]>): Promise<boolean> {
      await answer.promise;
      return await super.lead(...args);
    }
  }
  const [first, second] = [new Leader(record.storeOf(Slow), clock), new Leader(record.store())];
  first.start();
  // It has asked, and the answer comes after it has resigned.
  await clock.advance(0);
  const resigned = first.resign();
  answer.resolve();
  await resigned;
  await second.runOnce();
  assert.deepEqual([first.isLeader, second.isLeader], [false, true]);
  await second.resign();
  await first.runOnce();
  assert.equal(first.isLeader, false, "the loop goes round, but seeks nothing");
  await eventually(() => clock.waiting === 1, { what: "the loop to sleep" });
  first.seek();
  await eventually(() => first.isLeader, { what: "the leadership" });
  await first.stop();
  await second.runOnce();
  assert.equal(second.isLeader, false, "it has resigned as well");
  second.seek();
  await second.runOnce();
  assert.equal(second.isLeader, true);
});
