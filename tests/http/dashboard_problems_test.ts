/**
 * What the overview calls wrong, and in which words.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { ChannelView, EngineView } from "../../src/http/dashboard/views.ts";
import { problemsOf, type Sight } from "../../src/http/dashboard/problems.ts";
import { needTest } from "../support/need.ts";
import { publish } from "../support/tasks.ts";
import { MANAGE, STATUS, WebSite } from "./site.ts";

const NOW = 1_800_000_000;

function engine(changes: Partial<EngineView> = {}): EngineView {
  return {
    id: "e",
    host: "h",
    pid: 7,
    commit: null,
    state: "ready",
    running: 0,
    memory: null,
    started: NOW - 60,
    beat: NOW - 1,
    channels: ["a"],
    ...changes,
  };
}

function channel(changes: Partial<ChannelView> = {}): ChannelView {
  return { channel: "a", ready: 3, oldest: NOW - 2, running: 0, engines: 1, ...changes };
}

function failing(failed: number, completed: number, fname = "run") {
  const tally = { model: "shop.A", fname, completed, failed, canceled: 0, seconds: 1, longest: 1 };
  return [`shop.A ${fname}`, { ...tally, failure: { id: 1, at: NOW, reason: "it broke" } }] as const;
}

/** What is said where everything is well but for `changes`. */
function told(changes: Partial<Sight> = {}): string[] {
  const problems = problemsOf({
    now: NOW,
    isLed: true,
    channels: [channel()],
    engines: [engine()],
    lately: new Map(),
    status: STATUS,
    limits: { backlog: 200, lease: 30 },
    ...changes,
  });
  return problems.map(({ level, text, detail, link }) =>
    [level, text, ...(detail === null ? [] : [`(${detail})`]), ...(link === null ? [] : [link])].join(" ")
  );
}

Deno.test("nothing is wrong where all is well", () => {
  assert.deepEqual(told(), []);
  assert.deepEqual(told({ channels: [channel({ ready: 0, engines: 0 }), channel({ ready: 200 })] }), []);
  assert.deepEqual(told({ lately: new Map([failing(2, 0), failing(20, 200, "b")]) }), []);
});

Deno.test("each thing that is wrong has its words", () => {
  const cases: readonly (readonly [Partial<Sight>, string])[] = [
    [{ engines: [] }, "bad No engine is running: no task is run"],
    [
      { engines: [engine({ state: "starting" })] },
      "warn The first engine is still starting: no task is run yet",
    ],
    [
      { engines: [engine(), engine({ state: "lost", beat: NOW - 75 })] },
      "warn Engine h:7 has not been heard of for 75 s",
    ],
    [
      { status: { ...STATUS, trouble: "engines die young" } },
      "bad Engines end soon after they start (engines die young)",
    ],
    [
      {
        status: {
          ...STATUS,
          refresh: { at: STATUS.started, commit: "0123456789", outcome: "refused", reason: "no import" },
        },
      },
      "bad Commit 01234567 was refused; the engines go on with the code they have (no import)",
    ],
    [
      { channels: [channel({ engines: 0 })] },
      "bad No engine takes tasks from a: 3 wait, the first waits for 2 s /tasks?state=scheduled&channel=a&sort=id",
    ],
    [
      { channels: [channel({ channel: "a b", ready: 12_345, oldest: NOW - 600 })] },
      "warn a b has over 10,000 ready tasks; the first waits for 10 min " +
      "/tasks?state=scheduled&channel=a%20b&sort=id",
    ],
    [
      { channels: [channel({ ready: 1, oldest: NOW - 90_000 })] },
      "warn a has a ready task that waits for 25 h /tasks?state=scheduled&channel=a&sort=id",
    ],
    [
      { lately: new Map([failing(3, 12)]) },
      "bad shop.A run failed 3 of 15 times in the last 15 minutes (it broke) " +
      "/tasks?state=failed&model=shop.A&fname=run",
    ],
    [
      { status: { ...STATUS, dispatch: "postgres, redis is away" } },
      "warn Redis is away: engines claim from Postgres, which is slower",
    ],
    [{ isLed: false }, "bad Nobody does the upkeep: retries and delayed tasks do not become ready"],
  ];
  for (const [changes, text] of cases) assert.deepEqual(told(changes), [text]);
});

Deno.test("the worst comes first, and many failing handlers are summed up", () => {
  const lately = new Map(["a", "b", "c", "d", "e"].map((fname) => failing(9, 0, fname)));
  const all = told({ lately, status: { ...STATUS, dispatch: "postgres, redis is away" } });
  assert.deepEqual(all.map((text) => text.split(" ")[0]), ["bad", "bad", "bad", "bad", "warn"]);
  assert.equal(all[3], "bad 2 more handlers fail /tasks?state=failed");
});

needTest(["postgres"], "the overview of a record says what is wrong with it", async () => {
  const engines = [{ pid: 9, id: null, commit: null, state: "starting" as const, status: null }];
  await using site = await WebSite.make({ status: () => ({ ...STATUS, engines }) });
  const store = site.record.store();
  const id = crypto.randomUUID();
  await store.registerEngine({ id, host: "far", pid: 3, codeVersion: "abcdef", channels: ["served"] });
  await publish(store, 2, { channel: "forgotten" });
  await publish(store, 1, { channel: "served" });
  const answer = await fetch(`${site.url}/dashboard/overview`, {
    headers: { authorization: `Bearer ${MANAGE}` },
  });
  const overview = await answer.json();
  assert.deepEqual(overview.channels.map((row: ChannelView) => [row.channel, row.ready, row.engines]), [
    ["forgotten", 2, 0],
    ["served", 1, 1],
  ]);
  assert.deepEqual(overview.engines.map((row: EngineView) => [row.host, row.pid, row.state, row.commit]), [
    ["far", 3, "ready", "abcdef"],
    [null, 9, "starting", null],
  ]);
  const texts = overview.problems.map(({ text }: { text: string }) => text.replace(/\d+ s$/, "… s"));
  assert.deepEqual(texts, [
    "No engine takes tasks from forgotten: 2 wait, the first waits for … s",
    "Nobody does the upkeep: retries and delayed tasks do not become ready",
  ]);
});

needTest(
  ["postgres"],
  "of a channel that was not counted neither the overview nor the metrics say 0",
  async () => {
    await using site = await WebSite.make({ settings: { TQ_SUBSCRIBE: "zz.mine" } });
    const store = site.record.store();
    await store.registerEngine({
      id: crypto.randomUUID(),
      host: "far",
      pid: 3,
      codeVersion: null,
      channels: Array.from({ length: 60 }, (_, i) => `many.${i + 10}`),
    });
    for (let i = 10; i < 70; i++) await publish(store, 1, { channel: `many.${i}` });
    await publish(store, 2, { channel: "zz.mine" });
    const get = (path: string) => fetch(site.url + path, { headers: { authorization: `Bearer ${MANAGE}` } });
    const { channels } = await (await get("/dashboard/overview")).json();
    const ready = new Map(channels.map((row: ChannelView) => [row.channel, row.ready]));
    assert.deepEqual([ready.get("many.10"), ready.get("many.69"), ready.has("zz.mine")], [1, null, false]);
    const text = await (await get("/metrics")).text();
    assert.match(text, /^tq_ready_tasks\{channel="many\.10"\} 1$/m);
    assert.doesNotMatch(text, /^tq_(ready_tasks|oldest_ready_seconds)\{channel="(many\.69|zz\.mine)"/m);
  },
);
