import assert from "node:assert/strict";
import { Due } from "../../src/upkeep/due.ts";
import { Janitor } from "../../src/upkeep/janitor.ts";
import { Recoverer } from "../../src/upkeep/recoverer.ts";
import { Redispatcher } from "../../src/upkeep/redispatcher.ts";
import { needTest } from "../support/need.ts";
import { publish } from "../support/tasks.ts";
import { CHANNEL, NEEDS, Stage } from "./stage.ts";

const COUNT = 1500;

/** The whole upkeep of two supervisors, each on a store of its own, both of which believe that they lead. */
function twoLeaders(stage: Stage) {
  return [1, 2].map(() => {
    const upkeep = stage.upkeep({ store: stage.record.store() });
    return {
      due: new Due(upkeep),
      recoverer: new Recoverer(upkeep),
      redispatcher: new Redispatcher(upkeep),
      janitor: new Janitor(upkeep),
    };
  });
}

needTest(NEEDS, "two leaders at once: each task is due once, rescued once and pushed once", async () => {
  await using stage = await Stage.make();
  const leaders = twoLeaders(stage);
  const due = await publish(stage.store, COUNT, { channel: CHANNEL, delay: 3600 });
  const dead = crypto.randomUUID();
  await stage.store.registerEngine({ id: dead, host: "h", pid: 1, codeVersion: null, channels: [CHANNEL] });
  const held = await publish(stage.store, COUNT, { channel: CHANNEL, max_attempts: 2 });
  for (let at = 0; at < COUNT; at += 500) await stage.store.claim(held.slice(at, at + 500), dead);
  await stage.ageBeat(dead, 31);
  const stale = await publish(stage.store, COUNT, { channel: "others", stale_in: 0.001 });
  await stage.record.run("update :schema.tasks set scheduled_for = now() where state = 2");
  await Promise.all(leaders.flatMap(({ due, recoverer, redispatcher, janitor }) => [
    (async () => {
      while (await due.runOnce() === 0);
    })(),
    recoverer.runOnce(),
    redispatcher.runOnce(),
    janitor.runOnce(),
  ]));
  const [ready] = await stage.record.run(`
    select count(*)::integer as count, max(attempts) as attempts, max(deaths) as deaths, max(claims) as claims
    from :schema.tasks where state = 0 and channel = '${CHANNEL}'`);
  assert.deepEqual({ ...ready }, { count: 2 * COUNT, attempts: 0, deaths: 0, claims: 1 });
  const [failed] = await stage.record.run(
    "select count(*)::integer as count from :schema.tasks where state = -1 and reason like 'stale%'",
  );
  assert.equal(failed!.count, stale.length);
  assert.deepEqual((await stage.record.hints(CHANNEL)).sort((a, b) => a - b), [...due, ...held]);
});

needTest(NEEDS, "two supervisors that rescue one engine charge a suspect once", async () => {
  await using stage = await Stage.make();
  const [id] = await publish(stage.store, 1, { channel: CHANNEL });
  const dead = crypto.randomUUID();
  await stage.store.claim([id!], dead);
  const [one, two] = [stage.record.store(), stage.record.store()];
  const death = { reason: "it died", suspects: [id!] };
  const hold = await stage.holdTask(id!);
  const rescues = [one, two].map((store) => store.rescue(dead, death));
  await hold.waiters(1);
  await hold.release();
  const moved = (await Promise.all(rescues)).map((rescue) => rescue.moved);
  assert.deepEqual(moved.sort(), [0, 1]);
  const [task] = await stage.store.get([id!]);
  assert.deepEqual([task!.state, task!.attempts, task!.deaths], [2, 1, 1]);
});
