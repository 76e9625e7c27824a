import assert from "node:assert/strict";
import { Outbox } from "../../src/supervisor/outbox.ts";
import { captureLog } from "../support/capture_log.ts";
import { eventually, TestClock } from "../support/fixtures.ts";

/** What receives; answers with the statuses that the test gives, then with 200. */
class Hook implements AsyncDisposable {
  readonly bodies: unknown[] = [];
  readonly types: (string | null)[] = [];
  readonly #server: Deno.HttpServer<Deno.NetAddr>;

  constructor(answers: (number | Promise<number>)[] = []) {
    this.#server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
      this.bodies.push(await request.json());
      this.types.push(request.headers.get("content-type"));
      return new Response("ok", { status: await (answers.shift() ?? 200) });
    });
  }

  get url(): string {
    return `http://127.0.0.1:${this.#server.addr.port}/services/secret`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

function make(url: string) {
  const clock = new TestClock();
  const ends: string[] = [];
  return { clock, ends, outbox: new Outbox({ url, ended: (how) => ends.push(how), clock }) };
}

Deno.test("Outbox: messages are posted as JSON, in order", async () => {
  await using hook = new Hook();
  const { outbox, ends } = make(hook.url);
  for (const n of [1, 2, 3]) outbox.add({ text: `message ${n}` });
  await eventually(() => ends.length === 3, { what: "three messages" });
  assert.deepEqual(hook.bodies, [{ text: "message 1" }, { text: "message 2" }, { text: "message 3" }]);
  assert.deepEqual(new Set(hook.types), new Set(["application/json"]));
  outbox.add({ text: "later" });
  await eventually(() => ends.length === 4, { what: "one more" });
  await outbox.close();
});

Deno.test("Outbox: what may pass is tried again with growing pauses; the next message waits for it", async () => {
  await using hook = new Hook([500, 429, 200]);
  const { clock, outbox, ends } = make(hook.url);
  outbox.add({ n: 1 });
  outbox.add({ n: 2 });
  for (const [tries, pause] of [[1, 1000], [2, 2000]] as const) {
    await eventually(() => hook.bodies.length === tries && clock.untilNext === pause, {
      what: `pause ${pause}`,
    });
    await clock.advance(pause);
  }
  await eventually(() => ends.length === 2, { what: "both" });
  assert.deepEqual([hook.bodies, ends], [[{ n: 1 }, { n: 1 }, { n: 1 }, { n: 2 }], ["sent", "sent"]]);
  await outbox.close();
});

Deno.test("Outbox: what will not pass is lost at once, and said so without the URL", async () => {
  await using log = await captureLog();
  await using hook = new Hook([404]);
  const { outbox, ends } = make(hook.url);
  outbox.add({ n: 1 });
  await eventually(() => ends.length === 1, { what: "its end" });
  assert.deepEqual([hook.bodies.length, ends], [1, ["lost"]]);
  assert.deepEqual(log.lines, ['WARNING alerts: An alert could not be posted why="status 404"']);
  await outbox.close();
});

Deno.test("Outbox: nobody there is tried for a minute, then lost; the URL is not told", async () => {
  await using log = await captureLog();
  const { clock, outbox, ends } = make("http://127.0.0.1:1/services/secret");
  outbox.add({ n: 1 });
  let waited = 0;
  // A pause, and not the deadline of the try that is under way.
  const pausing = () => clock.untilNext !== 10_000 && clock.untilNext;
  while (ends.length === 0) {
    const pause = await eventually(() => ends.length > 0 ? -1 : pausing(), { what: "a pause, or the end" });
    if (pause < 0) break;
    waited += pause;
    await clock.advance(pause);
  }
  assert.deepEqual([waited, ends], [63_000, ["lost"]]);
  assert.equal(log.lines.length, 1);
  assert.doesNotMatch(log.lines[0]!, /secret/);
  await outbox.close();
});

Deno.test("Outbox: a receiver that does not answer costs 10 s a try, and nothing at the end", async () => {
  const end = Promise.withResolvers<number>();
  await using hook = new Hook([end.promise, end.promise]);
  const { clock, outbox, ends } = make(hook.url);
  outbox.add({ n: 1 });
  outbox.add({ n: 2 });
  await eventually(() => hook.bodies.length === 1, { what: "the first try" });
  await clock.advance(10_000);
  await eventually(() => clock.untilNext === 1000, { what: "the pause" });
  await clock.advance(1000);
  await eventually(() => hook.bodies.length === 2, { what: "the second try" });
  const closed = outbox.close();
  await clock.advance(2000);
  await closed;
  assert.deepEqual(ends, ["lost", "lost"]);
  end.resolve(200);
});

Deno.test("Outbox: beyond a hundred that wait, the oldest is lost", async () => {
  const end = Promise.withResolvers<number>();
  await using hook = new Hook([end.promise]);
  const { outbox, ends } = make(hook.url);
  for (let n = 0; n < 102; n++) outbox.add({ n });
  assert.deepEqual(ends, ["lost"]);
  end.resolve(200);
  await eventually(() => ends.length === 102, { what: "the rest" });
  assert.deepEqual(hook.bodies.map((body) => (body as { n: number }).n).slice(0, 3), [0, 2, 3]);
  await outbox.close();
});
