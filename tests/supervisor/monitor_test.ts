import assert from "node:assert/strict";
import type { Beat } from "../../src/store/mod.ts";
import { UnreachableError } from "../../src/errors.ts";
import type { EngineReady } from "../../src/engine/engine.ts";
import { EngineCounts, type RunOutcome } from "../../src/metrics/engine_counts.ts";
import type { AlertMessage } from "../../src/supervisor/alerts.ts";
import { Monitor } from "../../src/supervisor/monitor.ts";
import { Janitor } from "../../src/upkeep/janitor.ts";
import { Recoverer } from "../../src/upkeep/recoverer.ts";
import { TestClock } from "../support/fixtures.ts";
import { needTest } from "../support/need.ts";
import { publish } from "../support/tasks.ts";
import { Keep } from "../upkeep/parts.ts";

/** A monitor with time in the test's hand, and what it would post. */
class Stage {
  readonly clock = new TestClock();
  readonly monitor: Monitor;
  readonly #posted: AlertMessage[] = [];

  constructor(store: ConstructorParameters<typeof Monitor>[0]["store"], failureRate = 0.2) {
    this.monitor = new Monitor({
      settings: {
        TQ_ALERT_URL: "http://127.0.0.1:1/",
        TQ_ALERT_FAILURE_RATE: failureRate,
        TQ_REPORT_BACKLOG: 5,
        TQ_LEASE: 30,
        TQ_REDIS_URL: "redis://127.0.0.1:1",
      },
      store,
      host: "web1",
      outbox: {
        add: (message) => void this.#posted.push(message as AlertMessage),
        close: () => Promise.resolve(),
      },
      clock: this.clock,
    });
  }

  /** Lets the loop look every second, for so many; what goes on meanwhile is `each`. */
  async pass(seconds: number, each = () => {}): Promise<void> {
    for (let i = 0; i < seconds; i++) {
      each();
      await this.monitor.runOnce();
      await this.clock.advance(1000);
    }
  }

  /** What was posted so far. */
  get texts(): string[] {
    return this.#posted.map(({ status, text }) => `${status}: ${text}`);
  }
}

const noStore = { standing: () => Promise.reject(new Error("not asked here")) };

/** An engine as a monitor sees it. */
function makeEngine(pid: number) {
  const exit = Promise.withResolvers<Deno.CommandStatus>();
  const engine: Parameters<Monitor["began"]>[0] = {
    pid,
    identity: { id: crypto.randomUUID(), commit: null, problems: [] } as EngineReady | undefined,
    isDraining: false,
    exited: exit.promise,
  };
  return { engine, end: () => exit.resolve({ success: false, code: 1, signal: null }) };
}

/** A report of an engine with so many runs that ended so. */
function report(runs: Partial<Record<RunOutcome, number>>, redisUp: boolean | null = true) {
  const counts = new EngineCounts();
  for (const [outcome, count] of Object.entries(runs)) {
    for (let i = 0; i < count; i++) {
      counts.ended({ channel: "c", model: "app", fname: outcome }, true, outcome as RunOutcome, 0, 0);
    }
  }
  return { counts: counts.report, redisUp };
}

Deno.test("Monitor: a backlog is told when it was seen twice, and its end", async () => {
  const stage = new Stage(noStore);
  const { monitor } = stage;
  const look = (ready: Record<string, number>) => monitor.backlog(new Map(Object.entries(ready)));
  look({ a: 6, b: 5 });
  await stage.pass(10);
  assert.deepEqual(stage.texts, []);
  look({ a: 7, b: 5 });
  await stage.pass(10);
  look({ a: 20_000, b: 6 });
  await stage.pass(10);
  look({ b: 6 });
  assert.deepEqual(stage.texts, [
    "raised: tq on web1: 7 tasks are ready on a, above the limit of 5",
    "raised: tq on web1: 6 tasks are ready on b, above the limit of 5",
  ]);
  for (let i = 0; i < 7; i++) {
    await stage.pass(10);
    look({ b: 6 });
  }
  assert.equal(stage.texts.at(-1), "recovered: tq on web1: a has no more than 5 ready tasks");
  // Another host leads now.
  await stage.pass(200);
  assert.equal(stage.texts.length, 3);
});

Deno.test("Monitor: many failures are told with the worst handler; few are not, whatever their share", async () => {
  const stage = new Stage(noStore);
  const { engine } = makeEngine(1);
  stage.monitor.began(engine);
  stage.monitor.counted(engine, report({ failed: 5000, completed: 1 }));
  await stage.pass(11);
  assert.deepEqual(stage.texts, [], "what was before it looked is not lately");
  stage.monitor.counted(engine, report({ failed: 5009, completed: 1 }));
  await stage.pass(11);
  stage.monitor.counted(engine, report({ failed: 5020, completed: 81, retry: 500 }));
  await stage.pass(11);
  assert.deepEqual(stage.texts, [], "20 of 100 is not above 0.2");
  stage.monitor.counted(engine, report({ failed: 5021, completed: 81, retry: 500 }));
  await stage.pass(11);
  assert.deepEqual(stage.texts, [
    "raised: tq on web1: 21 of the 101 tasks that ended here within 5 minutes failed, 21 of them of app.failed",
  ]);
  await stage.pass(300);
  assert.equal(stage.texts.length, 1, "they have just left the window");
  await stage.pass(80);
  assert.equal(
    stage.texts.at(-1),
    "recovered: tq on web1: no more than 20 % of the tasks that end here fail",
  );
});

Deno.test("Monitor: a limit is told as it was set, not as binary fractions have it", async () => {
  const stage = new Stage(noStore, 0.29);
  const { engine } = makeEngine(1);
  stage.monitor.began(engine);
  stage.monitor.counted(engine, report({ failed: 0, completed: 1 }));
  await stage.pass(11);
  stage.monitor.counted(engine, report({ failed: 20, completed: 1 }));
  await stage.pass(400);
  assert.match(stage.texts.at(-1) ?? "", /^recovered: .* no more than 29 % of the tasks/);
});

Deno.test("Monitor: a dead engine is told although another takes its place at once; a second one is not", async () => {
  const stage = new Stage(noStore);
  const [first, second, third] = [makeEngine(1), makeEngine(2), makeEngine(3)];
  stage.monitor.began(first.engine);
  stage.monitor.began(second.engine);
  await stage.pass(10);
  stage.monitor.died(first.engine, "SIGKILL");
  first.end();
  stage.monitor.began(third.engine);
  await stage.pass(30);
  stage.monitor.died(second.engine, "exit code 1");
  second.end();
  await stage.pass(50);
  assert.deepEqual(stage.texts, [
    "raised: tq on web1: engine 1 died (SIGKILL); another takes its place",
  ]);
  await stage.pass(12);
  assert.deepEqual(stage.texts.slice(1), [
    "recovered: tq on web1: no engine has died for a minute",
  ]);
  const { engines } = stage.monitor.metrics;
  assert.deepEqual([engines.get("started"), engines.get("died")], [3, 2]);
});

Deno.test("Monitor: a death is not over while no engine is ready", async () => {
  const stage = new Stage(noStore);
  const { engine } = makeEngine(1);
  stage.monitor.died({ pid: 7 }, "exit code 1");
  stage.monitor.began({ ...engine, identity: undefined });
  await stage.pass(200);
  assert.equal(stage.texts.length, 1);
});

Deno.test("Monitor: refused code is told once a commit, and that other code was taken", async () => {
  const stage = new Stage(noStore);
  const { monitor } = stage;
  const refused = (commit: string, reason: string) =>
    monitor.refreshed({ at: "", commit, outcome: "refused", reason });
  monitor.refreshed({ at: "", commit: "0".repeat(40), outcome: "taken", reason: null });
  refused("a".repeat(40), "it does not import <here>");
  await stage.pass(5, () => refused("a".repeat(40), "it does not import <here>"));
  refused("b".repeat(40), "nor does it");
  await stage.pass(5);
  monitor.refreshed({ at: "", commit: "c".repeat(40), outcome: "taken", reason: null });
  await stage.pass(2);
  assert.deepEqual(stage.texts, [
    "raised: tq on web1: commit aaaaaaaaaaaa was refused, the old code goes on: it does not import &lt;here&gt;",
    "raised: tq on web1: commit bbbbbbbbbbbb was refused, the old code goes on: nor does it",
    "recovered: tq on web1: new code was taken",
  ]);
  assert.deepEqual([...monitor.metrics.refreshes], [["taken", 2], ["refused", 7]]);
});

Deno.test("Monitor: Redis is away while any engine says so, Postgres while beats do not arrive", async () => {
  const stage = new Stage(noStore);
  const { monitor, clock } = stage;
  const { metrics } = monitor;
  const [first, second] = [makeEngine(1), makeEngine(2)];
  for (const { engine } of [first, second]) {
    monitor.began(engine);
    monitor.counted(engine, report({}));
  }
  monitor.counted(first.engine, report({}, false));
  monitor.counted(second.engine, report({}, false));
  await clock.advance(3000);
  monitor.counted(first.engine, report({}, true));
  assert.equal(metrics.redisAway.isRunning, true);
  await clock.advance(1000);
  second.end();
  await clock.advance(5000);
  assert.deepEqual([metrics.redisAway.isRunning, metrics.redisAway.seconds], [false, 4]);

  const heard: Beat = { at: 0, held: new Map(), ready: [], hasSuspects: false };
  let answer = () => Promise.resolve(heard);
  const { beat } = monitor.watched({ beat: () => answer() });
  await beat([]);
  await clock.advance(1000);
  answer = () => Promise.reject(new UnreachableError("no answer"));
  await assert.rejects(beat([]), UnreachableError);
  await clock.advance(2000);
  await assert.rejects(beat([]), UnreachableError);
  assert.equal(metrics.postgresAway.isRunning, true);
  await clock.advance(2000);
  answer = () => Promise.resolve(heard);
  await beat([]);
  await clock.advance(1000);
  assert.deepEqual([metrics.postgresAway.isRunning, metrics.postgresAway.seconds], [false, 4]);
});

needTest(["postgres"], "Monitor: a lost host is told, and that it is back", async () => {
  await using keep = await Keep.make();
  const stage = new Stage(keep.store);
  await keep.engine(60);
  await new Recoverer(Object.assign(keep, { observer: stage.monitor })).runOnce();
  await stage.pass(30);
  assert.deepEqual(stage.texts, [
    "raised: tq on web1: engine 7 of host was lost: it has not been heard of for 30 s",
  ]);
  await keep.engine();
  await stage.pass(11);
  assert.deepEqual(stage.texts.slice(1), [
    "recovered: tq on web1: engines of host are heard of again",
  ]);
});

needTest(["postgres"], "Monitor: upkeep tells what it did and found", async () => {
  await using keep = await Keep.make();
  const stage = new Stage(keep.store);
  const observed = Object.assign(keep, { observer: stage.monitor });
  const stale = await publish(keep.store, 3, { stale_in: 60 });
  await keep.set(stale, "stale_after = now() - interval '1 second'");
  await publish(keep.store, 9);
  const janitor = new Janitor(observed);
  await janitor.runOnce();
  await stage.pass(10);
  await janitor.runOnce();
  const [text = ""] = stage.texts;
  assert.match(text, /^raised: tq on web1: 9 tasks are ready on \S+, above the limit of 5$/);
  const { upkeep, rounds, roundSeconds } = stage.monitor.metrics;
  assert.equal(upkeep.get("stale"), 3);
  assert.equal(rounds.get("janitor"), 2);
  assert.ok(roundSeconds.get("janitor") >= 0);
});
