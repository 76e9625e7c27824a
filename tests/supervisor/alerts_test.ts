import assert from "node:assert/strict";
import { type AlertMessage, Alerts, type Problem } from "../../src/supervisor/alerts.ts";
import { TestClock } from "../support/fixtures.ts";

/** Alerts with time in the test's hand, and what they posted. */
function make() {
  const clock = new TestClock();
  const posted: AlertMessage[] = [];
  const alerts = new Alerts("web1", (message) => posted.push(message), clock);
  /** Says the same every second, and looks, for so many seconds. */
  const say = async (seconds: number, ...set: Parameters<Alerts["set"]>) => {
    for (let i = 0; i < seconds; i++) {
      alerts.set(...set);
      alerts.look();
      await clock.advance(1000);
    }
    alerts.look();
  };
  return { clock, alerts, posted, say, statuses: () => posted.map(({ status }) => status) };
}

const problem = (changes: Partial<Problem> = {}): Problem => ({
  event: "backlog",
  text: "too many",
  recovery: "no more than usual",
  facts: { channel: "c", ready: 300 },
  ...changes,
});

Deno.test("Alerts: one message when it begins, one when it has been over for a minute", async () => {
  const { clock, posted, say, statuses } = make();
  await say(30, "k", undefined);
  assert.equal(posted.length, 0);
  await say(300, "k", problem());
  assert.deepEqual(posted, [{
    text: "tq on web1: too many",
    event: "backlog",
    status: "raised",
    key: "k",
    host: "web1",
    at: new Date(clock.now() - 300_000).toISOString(),
    facts: { channel: "c", ready: 300 },
  }]);
  await say(59, "k", undefined);
  assert.deepEqual(statuses(), ["raised"]);
  await say(2, "k", undefined);
  assert.deepEqual(statuses(), ["raised", "recovered"]);
  assert.equal(posted.at(-1)?.text, "tq on web1: no more than usual");
  await say(300, "k", undefined);
  await say(1, "k", problem());
  assert.deepEqual(statuses(), ["raised", "recovered", "raised"]);
});

Deno.test("Alerts: what comes and goes within a minute is one problem", async () => {
  const { say, statuses } = make();
  for (let i = 0; i < 10; i++) {
    await say(5, "k", problem());
    await say(40, "k", undefined);
  }
  assert.deepEqual(statuses(), ["raised"]);
  await say(30, "k", undefined);
  assert.deepEqual(statuses(), ["raised", "recovered"]);
});

Deno.test("Alerts: what is over before anybody looked was told all the same", () => {
  const { alerts, statuses } = make();
  alerts.set("k", problem());
  alerts.set("k", undefined);
  alerts.look();
  assert.deepEqual(statuses(), ["raised"]);
});

Deno.test("Alerts: one that must last is raised at the second look, and not when it did not last", async () => {
  const { clock, alerts, statuses } = make();
  const certainty = { after: 5000, forgottenAfter: 60_000 };
  alerts.set("k", problem(), certainty);
  alerts.look();
  await clock.advance(10_000);
  alerts.look();
  assert.deepEqual(statuses(), [], "nobody has seen it a second time");
  alerts.set("k", undefined);
  alerts.look();
  await clock.advance(10_000);
  alerts.set("k", problem(), certainty);
  await clock.advance(10_000);
  alerts.set("k", problem(), certainty);
  assert.deepEqual(statuses(), ["raised"]);
});

Deno.test("Alerts: of what nobody speaks any more, no end is told", async () => {
  const { clock, alerts, statuses } = make();
  const certainty = { forgottenAfter: 60_000 };
  alerts.set("k", problem(), certainty);
  await clock.advance(59_000);
  alerts.look();
  assert.deepEqual(alerts.keys, ["k"]);
  await clock.advance(1000);
  alerts.look();
  assert.deepEqual([alerts.keys, statuses()], [[], ["raised"]]);
});

Deno.test("Alerts: another identity is another problem; keys do not touch each other", async () => {
  const { posted, say } = make();
  await say(2, "deploy", problem({ text: "a", identity: "a" }), { calm: 0 });
  await say(2, "other", problem({ text: "other" }));
  await say(2, "deploy", problem({ text: "b", recovery: "b is over", identity: "b" }), { calm: 0 });
  await say(1, "deploy", undefined, { calm: 0 });
  assert.deepEqual(posted.map(({ text }) => text.slice("tq on web1: ".length)), [
    "a",
    "other",
    "b",
    "b is over",
  ]);
});

Deno.test("Alerts: a text is cut, and cannot speak Slack's markup", () => {
  const { alerts, posted } = make();
  alerts.set("k", problem({ text: `<!channel> & "${"x".repeat(2000)}` }));
  const [{ text } = { text: "" }] = posted;
  assert.match(text, /^tq on web1: &lt;!channel&gt; &amp; "x/);
  assert.ok(text.length < 600);
});
