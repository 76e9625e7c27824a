import assert from "node:assert/strict";
import { describe, InputError } from "../../src/errors.ts";
import { checkDelay, checkKind, type PublishOptions } from "../../src/publish/options.ts";

/** What it is refused with, as a person reads it; fails when it is not. */
function refusal(model: unknown, fname: unknown = "run", options: Record<string, unknown> = {}): string {
  try {
    checkKind(model as string, fname as string, options as PublishOptions);
  } catch (error) {
    assert.ok(error instanceof InputError, `not an InputError: ${error}`);
    assert.equal(error.exitCode, 2);
    assert.doesNotMatch(describe(error), /\p{Cc}/u, "one line");
    return describe(error);
  }
  return assert.fail(`accepted: ${Deno.inspect([model, fname, options])}`);
}

/** The same for one option. */
function refused(name: string, value: unknown): string {
  return refusal("app.Model", "run", { [name]: value });
}

Deno.test("without options a task waits for its class's channel and for whoever knows better", () => {
  assert.deepEqual(checkKind("app.Model", "run"), {
    channel: null,
    fallbackChannel: "tq_model_handler",
    model: "app.Model",
    fname: "run",
    priority: 0,
    maxAttempts: null,
    timeoutSeconds: null,
    delay: null,
    at: null,
    staleIn: null,
    staleAt: null,
    publishKey: null,
    uniqueKey: null,
    traceParent: null,
  });
  assert.equal(checkKind("app", "run").fallbackChannel, "tq_app_handler");
});

Deno.test("every option arrives", () => {
  const at = new Date("2030-01-01T00:00:00Z");
  const traceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  const kind = checkKind("app.Model", "run", {
    channel: "my-channel.x_1",
    at,
    priority: -100,
    maxAttempts: 1000,
    timeout: 2_592_000,
    staleAfter: at,
    key: "k".repeat(500),
    unique: "ü",
    traceParent,
  });
  assert.deepEqual(kind, {
    channel: "my-channel.x_1",
    fallbackChannel: "tq_model_handler",
    model: "app.Model",
    fname: "run",
    priority: -100,
    maxAttempts: 1000,
    timeoutSeconds: 2_592_000,
    delay: null,
    at: at.getTime(),
    staleIn: null,
    staleAt: at.getTime(),
    publishKey: "k".repeat(500),
    uniqueKey: "ü",
    traceParent,
  });
  const relative = checkKind("app", "run", {
    delay: 0.5,
    staleAfter: 0,
    priority: 100,
    maxAttempts: 1,
    timeout: 1,
  });
  assert.deepEqual([relative.delay, relative.staleIn, relative.priority], [0.5, 0, 100]);
  assert.equal(checkKind("app", "run", { delay: 0 }).delay, null);
  const left = { channel: undefined, delay: undefined, at: undefined, key: undefined, priority: undefined };
  assert.deepEqual(checkKind("app", "run", left), checkKind("app", "run"));
});

Deno.test("a name that could lead anywhere but to a handler is refused", () => {
  const models = [
    "../../etc/passwd",
    "a.b.c",
    "",
    ".",
    "a.",
    ".a",
    "a..b",
    "a/b",
    "1a",
    "_a",
    "a b",
    "a-b",
    "ä",
    "a\0",
    "a\n",
    "myapp.__proto__",
    "A".repeat(201),
    5,
    null,
    undefined,
    ["app"],
    { toString: () => "app" },
  ];
  for (const model of models) {
    assert.match(refusal(model), /^model is .*: use "app.Model" or "app": letters, digits and _$/);
  }
  for (const fname of ["", "a.b", "a b", "__proto__", "_x", "1x", "x()", "x\n", "x".repeat(201), 5, null]) {
    assert.match(refusal("app.Model", fname), /^function is .*: use letters, digits and _$/);
  }
});

Deno.test("a name that every object has from JavaScript itself is refused", () => {
  const remedy = "choose a name that objects do not have from JavaScript itself";
  for (const model of ["constructor", "toString", "app.constructor", "valueOf.Model", "app.hasOwnProperty"]) {
    assert.equal(refusal(model), `model is ${model}: ${remedy}`);
  }
  for (const fname of ["toString", "constructor", "isPrototypeOf"]) {
    assert.equal(refusal("app.Model", fname), `function is ${fname}: ${remedy}`);
    assert.equal(refusal("app", fname), `function is ${fname}: ${remedy}`);
  }
  for (const fname of ["apply", "call", "bind", "name", "length", "prototype"]) {
    assert.equal(refusal("app.Model", fname), `function is ${fname}: ${remedy}`);
    // A module may well export a function of that name.
    assert.equal(checkKind("app", fname).fname, fname);
  }
});

Deno.test("a bad option is refused by name, value and what is allowed", () => {
  const cases: [string, unknown, RegExp][] = [
    ["channel", "", /^channel is "": use letters, digits, _ \. and -, at most 100$/],
    ["channel", "a b", /^channel is "a b": /],
    ["channel", "a:5", /^channel is "a:5": /],
    ["channel", "x".repeat(101), /^channel is "x+": /],
    ["channel", 5, /^channel is 5: /],
    ["channel", null, /^channel is null: /],
    ["priority", 101, /^priority is 101: give a whole number from -100 to 100$/],
    ["priority", -101, /^priority is -101: /],
    ["priority", 0.5, /^priority is 0\.5: /],
    ["priority", NaN, /^priority is NaN: /],
    ["priority", "5", /^priority is 5: /],
    ["maxAttempts", 0, /^maxAttempts is 0: give a whole number from 1 to 1000$/],
    ["maxAttempts", 1001, /^maxAttempts is 1001: /],
    ["maxAttempts", 1.5, /^maxAttempts is 1\.5: /],
    ["timeout", 0, /^timeout is 0: give a whole number from 1 to 2592000$/],
    ["timeout", 2_592_001, /^timeout is 2592001: /],
    ["timeout", Infinity, /^timeout is Infinity: /],
    ["delay", -1, /^delay is -1: give seconds from 0 to ten years$/],
    ["delay", NaN, /^delay is NaN: /],
    ["delay", Infinity, /^delay is Infinity: /],
    ["delay", 10 * 366 * 86_400, /^delay is 316224000: /],
    ["delay", "5", /^delay is 5: /],
    ["at", new Date(NaN), /^at is Invalid Date: give a valid Date$/],
    ["at", "2030-01-01", /^at is 2030-01-01: /],
    ["at", 1_700_000_000_000, /^at is 1700000000000: /],
    ["at", new Date("+010000-01-01"), /^at is .*: give a valid Date$/],
    ["at", new Date("1969-12-31"), /^at is .*: give a valid Date$/],
    ["staleAfter", new Date(NaN), /^staleAfter is Invalid Date: /],
    ["staleAfter", -1, /^staleAfter is -1: give seconds from 0 to ten years$/],
    ["staleAfter", "1h", /^staleAfter is 1h: /],
    ["key", "", /^key is "": give a string of 1 to 500 characters$/],
    ["key", "x".repeat(501), /^key is "x/],
    ["key", "a\0", /^key is "a\\u0000": /],
    ["key", "\ud800", /^key is "\\ud800": /],
    ["key", 5, /^key is 5: /],
    ["unique", "", /^unique is "": /],
    ["unique", "\0", /^unique is "\\u0000": /],
    ["unique", null, /^unique is null: /],
    ["traceParent", "00-abc-def-01", /^traceParent is "00-abc-def-01": give a W3C traceparent$/],
    ["traceParent", 1, /^traceParent is 1: /],
    ["prioritty", 5, /^there is no option prioritty: did you mean priority\?$/],
    ["max_attempts", 5, /^there is no option max_attempts: did you mean maxAttempts\?$/],
    ["whatever", 5, /^there is no option whatever: known: channel, delay, at, priority, maxAttempts/],
    ["a\nb", 5, /^there is no option a\uFFFDb: /],
    ["tx", {}, /^there is no option tx: /],
  ];
  for (const [name, value, message] of cases) assert.match(refused(name, value), message);
  assert.match(
    refusal("app", "run", { at: new Date(), delay: 5 }),
    /^both delay and at are given: give one of them$/,
  );
});

Deno.test("no message is longer than a few lines, whatever it was given", () => {
  const long = "x".repeat(1_000_000);
  const of = [
    refusal(long),
    refusal("app", long),
    refused("channel", long),
    refused("key", long),
    refused(long, 1),
  ];
  for (const message of of) assert.ok(message.length < 1000, `${message.length} characters`);
});

Deno.test("checkDelay() takes 0 to ten years", () => {
  for (const seconds of [0, 0.001, 315_360_000]) checkDelay(seconds);
  assert.throws(() => checkDelay(315_360_001, "delay"), InputError);
});
