/**
 * Live pages: how often the record is looked at, and what viewers get.
 *
 * @module
 */

import assert from "node:assert/strict";
import { UnreachableError } from "../../src/errors.ts";
import { Events, type EventsOptions, type Topic } from "../../src/http/events.ts";
import { eventually, TestClock } from "../support/fixtures.ts";
import { needTest } from "../support/need.ts";
import { MANAGE, WebSite } from "./site.ts";

/** Something to watch, which counts how often somebody looks. */
class Sight implements Topic {
  readonly key: string;
  looks = 0;
  value: Record<string, unknown> = { n: 1 };
  error: Error | undefined;
  /** Milliseconds that a look takes. */
  takes = 0;
  readonly #clock: TestClock;

  constructor(clock: TestClock, key = "sight") {
    this.#clock = clock;
    this.key = key;
  }

  async read(): Promise<Record<string, unknown>> {
    this.looks++;
    if (this.takes > 0) await this.#clock.sleep(this.takes);
    if (this.error !== undefined) throw this.error;
    return this.value;
  }
}

/** Events on a clock of the test's. */
function stage(options: Partial<EventsOptions> = {}) {
  const clock = new TestClock();
  const stop = new AbortController();
  const events = new Events({ clock, stopping: stop.signal, ...options });
  return { clock, stop, events, sight: new Sight(clock) };
}

/** A viewer, who takes what comes as it comes. */
class Viewer {
  text = "";
  hasEnded = false;
  readonly #reader: ReadableStreamDefaultReader<string>;

  constructor(stream: ReadableStream<Uint8Array> | undefined) {
    assert.ok(stream !== undefined, "no stream");
    this.#reader = stream.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>)
      .getReader();
    void this.#read();
  }

  /** The data of the events so far. */
  get seen(): unknown[] {
    return [...this.text.matchAll(/^event: snapshot\ndata: (.*)\n$/gm)].map(([, data]) => JSON.parse(data!));
  }

  leave(): Promise<void> {
    return this.#reader.cancel();
  }

  async #read(): Promise<void> {
    for (;;) {
      const { done, value } = await this.#reader.read();
      if (done) break;
      this.text += value;
    }
    this.hasEnded = true;
  }
}

Deno.test("all who watch the same share one look a second", async () => {
  const { clock, events, sight } = stage();
  const viewers = Array.from({ length: 20 }, () => new Viewer(events.stream(sight)));
  await clock.advance(0);
  assert.equal(sight.looks, 1);
  for (const viewer of viewers) assert.deepEqual(viewer.seen, [{ n: 1 }]);
  sight.value = { n: 2 };
  await clock.advance(10_000);
  assert.equal(sight.looks, 11);
  for (const viewer of viewers) assert.deepEqual(viewer.seen, [{ n: 1 }, { n: 2 }]);
  await Promise.all(viewers.map((viewer) => viewer.leave()));
});

Deno.test("nothing is looked at while nobody watches, and no timer stays", async () => {
  const { clock, events, sight } = stage();
  await clock.advance(60_000);
  assert.equal(sight.looks, 0);
  const viewer = new Viewer(events.stream(sight));
  await clock.advance(5_000);
  const { looks } = sight;
  await viewer.leave();
  await clock.advance(60_000);
  assert.ok(sight.looks <= looks + 1);
  assert.deepEqual([events.viewers, clock.waiting], [0, 0]);
});

Deno.test("who comes later gets what there is at once, and causes no look", async () => {
  const { clock, events, sight } = stage();
  const first = new Viewer(events.stream(sight));
  await clock.advance(100);
  const late = Array.from({ length: 50 }, () => new Viewer(events.stream(sight)));
  await clock.advance(0);
  for (const viewer of late) assert.deepEqual(viewer.seen, [{ n: 1 }]);
  assert.equal(sight.looks, 1);
  assert.equal(await events.latest(sight), '{"n":1}');
  assert.equal(sight.looks, 1);
  await Promise.all([first, ...late].map((viewer) => viewer.leave()));
});

Deno.test("whoever only asks is answered from what was seen within the last second", async () => {
  const { clock, events, sight } = stage();
  await Promise.all(Array.from({ length: 10 }, () => events.latest(sight)));
  assert.equal(sight.looks, 1);
  await clock.advance(900);
  await events.latest(sight);
  assert.equal(sight.looks, 1);
  await clock.advance(200);
  await events.latest(sight);
  assert.equal(sight.looks, 2);
  await clock.advance(2_000);
  assert.equal(clock.waiting, 0);
});

Deno.test("the time alone is no news; a sign of life comes every 15 s", async () => {
  const { clock, events, sight } = stage();
  sight.value = { now: 1, n: 1 };
  const viewer = new Viewer(events.stream(sight));
  await clock.advance(0);
  sight.value = { now: 2, n: 1 };
  await clock.advance(31_000);
  assert.deepEqual(viewer.seen, [{ now: 1, n: 1 }]);
  assert.equal(viewer.text.match(/^:$/gm)?.length, 2);
  await viewer.leave();
});

Deno.test("who comes later is told the time of the last look, not of the last change", async () => {
  const { clock, events, sight } = stage();
  sight.value = { now: 1, n: 1 };
  const first = new Viewer(events.stream(sight));
  await clock.advance(0);
  sight.value = { now: 2, n: 1 };
  await clock.advance(1_000);
  const late = new Viewer(events.stream(sight));
  await clock.advance(0);
  assert.deepEqual([first.seen, late.seen], [[{ now: 1, n: 1 }], [{ now: 2, n: 1 }]]);
  await Promise.all([first.leave(), late.leave()]);
  await clock.advance(5_000);
});

Deno.test("a slow look is followed by a longer rest, unless it catches up", async () => {
  const { clock, events, sight } = stage();
  sight.takes = 500;
  const viewer = new Viewer(events.stream(sight));
  await clock.advance(500 + 4_900);
  assert.equal(sight.looks, 1);
  await clock.advance(200);
  assert.equal(sight.looks, 2);
  Object.assign(sight, { isBehind: () => true });
  await clock.advance(500 + 1_100 + 500 + 1_100);
  assert.equal(sight.looks, 4);
  await viewer.leave();
  await clock.advance(10_000);
});

Deno.test("trouble is told once, and so is its end", async () => {
  const { clock, events, sight } = stage();
  sight.error = new UnreachableError("Postgres is away", { remedy: "try again later" });
  const viewer = new Viewer(events.stream(sight));
  await clock.advance(5_000);
  assert.equal(
    viewer.text,
    'retry: 1000\n\nevent: trouble\ndata: {"error":"Postgres is away: try again later"}\n\n',
  );
  sight.error = new UnreachableError("Postgres refuses (no such host db.internal as tq)");
  await clock.advance(1_000);
  assert.match(viewer.text, /"Postgres refuses: try again later"/);
  assert.doesNotMatch(viewer.text, /internal/);
  sight.error = undefined;
  await clock.advance(1_000);
  assert.deepEqual(viewer.seen, [{ n: 1 }]);
  sight.error = new Error("of our own: secret");
  await clock.advance(1_000);
  assert.doesNotMatch(viewer.text, /secret/);
  await assert.rejects(events.latest(new Sight2(sight)), /secret/);
  await viewer.leave();
  await clock.advance(5_000);
});

/** The same under another key. */
class Sight2 implements Topic {
  readonly key = "another";
  constructor(readonly of: Topic) {}
  read() {
    return this.of.read();
  }
}

Deno.test("a viewer who takes nothing costs nothing, and is shown the newest when it does", async () => {
  const { clock, events, sight } = stage();
  const stream = events.stream(sight)!;
  for (let n = 1; n <= 500; n++) {
    sight.value = { n };
    await clock.advance(1_000);
  }
  const viewer = new Viewer(stream);
  await eventually(() => viewer.seen.length >= 2, { what: "events" });
  await clock.advance(0);
  const seen = viewer.seen as { n: number }[];
  assert.ok(seen.length <= 3, `${seen.length} events were kept`);
  assert.equal(seen.at(-1)!.n, 500);
  await viewer.leave();
  await clock.advance(5_000);
});

Deno.test("no more than so many watch; a stream ends after ten minutes, and all when the server stops", async () => {
  const { clock, events, sight, stop } = stage({ mostViewers: 2 });
  const viewers = [new Viewer(events.stream(sight)), new Viewer(events.stream(sight))];
  assert.equal(events.stream(new Sight2(sight)), undefined);
  await clock.advance(599_000);
  assert.ok(viewers.every(({ hasEnded }) => !hasEnded));
  await clock.advance(2_000);
  await eventually(() => viewers.every(({ hasEnded }) => hasEnded), { what: "the end of old streams" });
  assert.equal(events.viewers, 0);
  const last = new Viewer(events.stream(sight));
  await clock.advance(0);
  stop.abort();
  await eventually(() => last.hasEnded, { what: "the end of the last stream" });
  assert.equal(events.stream(sight), undefined);
  await clock.advance(60_000);
  assert.equal(clock.waiting, 0);
});

needTest(
  ["postgres"],
  "over HTTP: rights, topics, and a stream that ends when its viewer leaves",
  async () => {
    await using site = await WebSite.make();
    const get = (path: string, token?: string) =>
      fetch(site.url + path, token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } });
    const refusals: readonly (readonly [string, string | undefined, number, RegExp])[] = [
      ["/dashboard/events?topic=overview", undefined, 401, /a token is missing/],
      ["/dashboard/overview", undefined, 401, /a token is missing/],
      ["/dashboard/tasks/1/log", undefined, 401, /a token is missing/],
      ["/dashboard/events", MANAGE, 400, /topic is \\"\\"/],
      ["/dashboard/events?topic=tasks&state=odd", MANAGE, 400, /state: give scheduled/],
      ["/dashboard/events?topic=task&id=x", MANAGE, 400, /id: give a whole number/],
      ["/dashboard/tasks?sort=data", MANAGE, 400, /sort: give one of/],
      ["/dashboard/tasks/7", MANAGE, 404, /there is no task 7/],
      ["/dashboard/tasks/7/log?after=-1", MANAGE, 400, /give the id of a line/],
      ["/assets/..%2fmod.ts", undefined, 404, /no such file/],
      ["/assets/pages/../../mod.ts", undefined, 404, /./],
      ["/assets/dashboard.ts", undefined, 404, /no such file/],
    ];
    for (const [path, token, status, message] of refusals) {
      const answer = await get(path, token);
      assert.equal(answer.status, status, path);
      assert.match(await answer.text(), message, path);
    }
    const answer = await get("/dashboard/events?topic=overview", MANAGE);
    assert.equal(answer.headers.get("content-type"), "text/event-stream");
    const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    while (!text.includes("event: snapshot")) text += (await reader.read()).value;
    await reader.cancel();
  },
);

needTest(["postgres"], "whoever asks for the head of a stream does not watch", async () => {
  await using site = await WebSite.make();
  const headers = { authorization: `Bearer ${MANAGE}` };
  const ask = (method: string) => fetch(`${site.url}/dashboard/events?topic=overview`, { method, headers });
  for (let i = 0; i < 100; i++) {
    assert.equal((await ask("HEAD")).headers.get("content-type"), "text/event-stream");
  }
  const answer = await ask("GET");
  await answer.body?.cancel();
  assert.equal(answer.status, 200);
});
