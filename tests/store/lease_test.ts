import assert from "node:assert/strict";
import type { Store } from "../../src/store/mod.ts";
import { type Bench, storeSuite } from "../support/store_suite.ts";
import { CHANNEL, claimOne, idsOf, publish } from "../support/tasks.ts";

const HOST = "host-1";

/** Registers an engine; returns its id. */
async function register(store: Store): Promise<string> {
  const id = crypto.randomUUID();
  await store.registerEngine({ id, host: HOST, pid: 42, codeVersion: "abc", channels: ["a", `b "c", \\`] });
  return id;
}

/** Moves an engine's last beat into the past. */
async function silence(sql: Bench["sql"], engine: string, seconds: number): Promise<void> {
  await sql(
    "update :schema.engines set beat_at = now() - $1::text::float8 * interval '1 second' where id = $2::text::uuid",
    [seconds, engine],
  );
}

storeSuite((test) => {
  test("registerEngine() writes the engine's row, once", async ({ store, sql }) => {
    const id = crypto.randomUUID();
    const engine = { id, host: HOST, pid: 42, codeVersion: null, channels: ["a", `b "c", \\`] };
    await store.registerEngine(engine);
    await store.registerEngine({ ...engine, host: "another" });
    const rows = await sql<Record<string, unknown>>(
      "select id, host, pid, code_version, array_to_json(channels) as channels, beat_at >= started_at as beats from :schema.engines",
    );
    assert.deepEqual(rows.map((row) => ({ ...row })), [
      { id, host: HOST, pid: 42, code_version: null, channels: ["a", `b "c", \\`], beats: true },
    ]);
  });

  test("beat() renews the leases of the engines that are named", async ({ store, sql }) => {
    const [one, two, silent] = [await register(store), await register(store), await register(store)];
    for (const engine of [one, two, silent]) await silence(sql, engine, 100);
    const { held } = await store.beat([one, two]);
    assert.deepEqual([...held.keys()].sort(), [one, two].sort());
    assert.deepEqual([held.get(one), held.get(two)], [[], []]);
    assert.deepEqual((await store.deadEngines(30)).map((dead) => dead.id), [silent]);
    assert.equal((await store.beat([])).held.size, 0);
  });

  test("beat() tells which rows say an engine holds them, once they are older than a claim is valid", async ({ store, sql }) => {
    const [engine, other] = [await register(store), await register(store)];
    const old = await claimOne(store, engine);
    const ended = await claimOne(store, engine);
    await store.complete([ended], engine, null);
    const others = await claimOne(store, other);
    await sql("update :schema.tasks set started_at = now() - interval '3 seconds'");
    const young = await claimOne(store, engine);
    assert.deepEqual((await store.beat([engine])).held.get(engine), [
      { id: old.id, claims: 1, cancel_requested: false, is_old: true },
    ]);
    const { held: both } = await store.beat([engine, other]);
    assert.deepEqual(idsOf(both.get(other)!), [others.id]);
    // A cancel is told at once.
    await store.cancel([young.id], null);
    const held = (await store.beat([engine])).held.get(engine)!;
    assert.deepEqual(idsOf(held), [old.id, young.id]);
    const canceled = held.find((row) => row.id === young.id)!;
    assert.deepEqual([canceled.cancel_requested, canceled.is_old], [true, false]);
  });

  test("beat() names the channels asked for that have tasks to claim, and says whether suspects are ready", async ({ store, sql }) => {
    const engine = await register(store);
    for (const channel of ["ready", "stale", "suspect", "not asked"]) await publish(store, 1, { channel });
    await publish(store, 1, { channel: "waits", delay: 60 });
    await sql("update :schema.tasks set stale_after = now() where channel = 'stale'");
    const asked = ["ready", "stale", "suspect", "waits"];
    const heard = async (channels: string[]) => {
      const { ready, hasSuspects } = await store.beat([engine], channels);
      return [ready, hasSuspects];
    };
    assert.deepEqual(await heard(asked), [["ready", "suspect"], false]);
    await sql("update :schema.tasks set deaths = 1 where channel = 'suspect'");
    assert.deepEqual(await heard(asked), [["ready"], true]);
    assert.deepEqual(await heard(["ready"]), [["ready"], false]);
    assert.deepEqual(await heard([]), [[], false]);
    const { ready, hasSuspects } = await store.beat([], asked);
    assert.deepEqual([ready, hasSuspects], [["ready"], true], "also while no engine lives");
  });

  test("readySuspects() and beat() leave stale suspects to the janitor: no claim takes them", async ({ store, sql }) => {
    const [ready, stale] = await publish(store, 2);
    await sql("update :schema.tasks set deaths = 1");
    await sql("update :schema.tasks set stale_after = now() where id = $1::text::bigint", [stale!]);
    const seen = async () => [
      await store.readySuspects([CHANNEL], 10),
      (await store.beat([await register(store)], [CHANNEL])).hasSuspects,
    ];
    assert.deepEqual(await seen(), [[ready], true]);
    await sql("update :schema.tasks set stale_after = now()");
    assert.deepEqual(await seen(), [[], false]);
  });

  test("beat() has no entry for an engine that was declared dead", async ({ store }) => {
    const engine = await register(store);
    await store.rescue(engine, { reason: "engine lost" });
    assert.equal((await store.beat([engine])).held.has(engine), false);
  });

  test("forgetEngine() removes an engine's row, unless tasks say that it holds them", async ({ store, sql }) => {
    const [idle, busy] = [await register(store), await register(store)];
    const held = await claimOne(store, busy);
    await store.forgetEngine(idle);
    await store.forgetEngine(busy);
    const ids = async () =>
      (await sql<{ id: string }>("select id from :schema.engines")).map((row) => row.id);
    assert.deepEqual(await ids(), [busy]);
    await store.complete([held], busy, null);
    await store.forgetEngine(busy);
    assert.deepEqual(await ids(), []);
  });

  test("stillHeld() names the leases that the engine still has", async ({ store }) => {
    const engine = crypto.randomUUID();
    const ids = await publish(store, 4);
    const leases = ids.map((id) => ({ id, claims: 1 }));
    await store.claim(ids, engine);
    await store.complete([leases[0]!], engine, null);
    await store.release([leases[1]!], engine, null);
    await store.claim([ids[1]!], engine);
    await store.cancel([ids[2]!], null); // Asked for, not yet done.
    assert.deepEqual((await store.stillHeld(leases, engine)).sort(), ids.slice(2));
    assert.deepEqual(await store.stillHeld(leases, crypto.randomUUID()), []);
  });

  test("deadEngines() names engines without a beat for a whole lease, and holders that have no row", async ({ store, sql }) => {
    const [dead, alive] = [await register(store), await register(store)];
    await silence(sql, dead, 31);
    await silence(sql, alive, 25);
    await claimOne(store, alive);
    const unknown = crypto.randomUUID();
    await claimOne(store, unknown);
    await claimOne(store, unknown);
    const found = [...await store.deadEngines(30)].sort((a, b) => b.pid - a.pid);
    assert.deepEqual(found.map((row) => ({ ...row })), [
      { id: dead, host: HOST, pid: 42 },
      { id: unknown, host: "", pid: 0 },
    ]);
  });

  test("heldBy() tells running tasks past their time limit and the grace from the others", async ({ store, sql }) => {
    const engine = crypto.randomUUID();
    const [over, inGrace, within] = await Promise.all(
      [1, 1, 100].map((timeout_seconds) => claimOne(store, engine, { timeout_seconds })),
    );
    const age =
      "update :schema.tasks set started_at = now() - $1::text::float8 * interval '1 second' where id = $2::text::bigint";
    await sql(age, [20, over!.id]);
    await sql(age, [8, inGrace!.id]);
    await sql(age, [20, within!.id]);
    const told = async (grace: number) => {
      const { overdue, others } = await store.heldBy(engine, grace);
      return [overdue.toSorted(), others.toSorted()];
    };
    assert.deepEqual(await told(10), [[over!.id], [inGrace!.id, within!.id].sort()]);
    assert.deepEqual(await told(0), [[over!.id, inGrace!.id].sort(), [within!.id]]);
    assert.deepEqual(await store.heldBy(crypto.randomUUID(), 0), { overdue: [], others: [] });
  });

  test("lead() gives the leadership to one holder until it ends", async ({ store, another, sql }) => {
    const [one, two] = [crypto.randomUUID(), crypto.randomUUID()];
    const second = another();
    const leads = await Promise.all([store.lead(one, 10), second.lead(two, 10)]);
    assert.deepEqual([...leads].sort(), [false, true]);
    const [leader, follower] = leads[0] ? [one, two] : [two, one];
    assert.equal(await store.lead(leader, 10), true);
    assert.equal(await second.lead(follower, 10), false);
    await store.resign(follower);
    assert.equal(await second.lead(follower, 10), false);
    await sql("update :schema.leader set until = now() - interval '1 second'");
    assert.equal(await second.lead(follower, 10), true);
    assert.equal(await store.lead(leader, 10), false);
    await second.resign(follower);
    assert.equal(await store.lead(leader, 10), true);
  });

  test("lead() of a leader whose time is over goes on when nobody took it", async ({ store, sql }) => {
    const holder = crypto.randomUUID();
    await store.lead(holder, 10);
    await sql("update :schema.leader set until = now() - interval '1 second'");
    assert.equal(await store.lead(holder, 10), true);
    const [row] = await sql<{ seconds: number }>(
      "select extract(epoch from until - now())::float8 as seconds from :schema.leader",
    );
    assert.ok(row!.seconds > 5 && row!.seconds <= 10);
  });
});
