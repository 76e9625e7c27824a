import assert from "node:assert/strict";
import { HandlerError, HandlerModuleError, InputError } from "../../src/errors.ts";
import type { AbortKind } from "../../src/engine/held.ts";
import { again, COMPLETED, failed, type HandlerEnd, outcomeOf } from "../../src/engine/outcome.ts";
import type { Verdict } from "../../src/handler/context.ts";
import type { ClaimedRow } from "../../src/store/mod.ts";
import { rowOf } from "./parts.ts";

const POLICY = { delay: 60, factor: 2 };
const RETURNED: HandlerEnd = { threw: false };
const THREW: HandlerEnd = { threw: true, error: new Error("boom") };

function outcome(
  { verdict, end = RETURNED, aborted, row = {} }: {
    verdict?: Verdict | undefined;
    end?: HandlerEnd;
    aborted?: AbortKind | undefined;
    row?: Partial<ClaimedRow>;
  },
) {
  return outcomeOf(rowOf(1, row), verdict, end, aborted, POLICY);
}

Deno.test("a handler that just returns has completed, whatever it was asked to do meanwhile", () => {
  assert.equal(outcome({}), COMPLETED);
  for (const aborted of ["timed out", "canceled", "restarting"] as const) {
    assert.equal(outcome({ aborted }), COMPLETED);
  }
});

Deno.test("a verdict goes before a throw, and before an abort", () => {
  const aborts: (AbortKind | undefined)[] = [undefined, "timed out", "canceled", "restarting"];
  for (const aborted of aborts) {
    const given: { end: HandlerEnd; aborted: AbortKind | undefined } = { end: THREW, aborted };
    assert.equal(outcome({ ...given, verdict: { kind: "completed", result: undefined } }), COMPLETED);
    assert.deepEqual(outcome({ ...given, verdict: { kind: "completed", result: "[1]" } }), {
      ...COMPLETED,
      result: "[1]",
    });
    assert.deepEqual(outcome({ ...given, verdict: { kind: "failed", reason: "no" } }), failed("no"));
    assert.equal(
      outcome({ ...given, verdict: { kind: "retry", reason: "later", delaySeconds: 9 } }).delay,
      9,
    );
  }
});

Deno.test("a throw is tried again with back-off while attempts are left, then fails with its message", () => {
  const delays = [0, 1, 2, 3].map((attempts) => outcome({ end: THREW, row: { attempts } }));
  for (const [i, base] of [1, 60, 120, 240].entries()) {
    const { state, reason, delay } = delays[i]!;
    assert.deepEqual([state, reason], [2, "boom"]);
    assert.ok(delay! >= base * 0.9 && delay! <= base * 1.1, `${delay} is not about ${base}`);
  }
  assert.deepEqual(outcome({ end: THREW, row: { attempts: 4 } }), failed("boom"));
  assert.deepEqual(outcome({ end: THREW, row: { max_attempts: 1 } }), failed("boom"));
});

Deno.test("retryLater() takes its own delay, and fails when no attempt is left", () => {
  const verdict = (delaySeconds?: number, reason?: string): Verdict => ({
    kind: "retry",
    reason,
    delaySeconds,
  });
  assert.deepEqual(outcome({ verdict: verdict(0, "now") }), {
    state: 2,
    reason: "now",
    result: null,
    delay: 0,
  });
  const usual = outcome({ verdict: verdict() });
  assert.equal(usual.reason, "retry later");
  assert.ok(usual.delay! > 0.8 && usual.delay! < 1.2);
  assert.deepEqual(outcome({ verdict: verdict(5, "later"), row: { attempts: 4 } }), failed("later"));
});

Deno.test("a throw after a time limit has timed out for good; after a cancel it is what the record makes of it", () => {
  assert.deepEqual(outcome({ end: THREW, aborted: "timed out" }), failed("timed out"));
  assert.deepEqual(outcome({ end: THREW, aborted: "canceled", row: { attempts: 4 } }), {
    state: 2,
    reason: "canceled by request",
    result: null,
    delay: 0,
  });
});

Deno.test("a result that was refused fails at once; other refusals are tried again", () => {
  const threw = (error: unknown) => outcome({ end: { threw: true, error } });
  assert.deepEqual(threw(new InputError("result.x is a function")), failed("result.x is a function"));
  assert.equal(threw(new InputError("data is an array")).state, 2);
  assert.equal(threw(new HandlerError("no handler for x")).state, 2);
});

Deno.test("anything can be thrown, and gives a reason of at most 1,000 sound characters", () => {
  const reason = (error: unknown) => outcome({ end: { threw: true, error } }).reason;
  assert.equal(reason("text"), "text");
  assert.equal(reason(undefined), "undefined");
  assert.equal(reason(null), "null");
  assert.equal(reason({ a: 1 }), "[object Object]");
  assert.equal(reason(new Error("")), "the handler threw");
  assert.equal(reason(new Error("x".repeat(5_000)))!.length, 1_000);
  assert.equal(reason(new Error("a\0b\ud800")), "a\ufffdb\ufffd");
  assert.equal(failed("x".repeat(5_000)).reason!.length, 1_000);
  assert.equal(again(rowOf(1), "y\0", POLICY).reason, "y\ufffd");
});

Deno.test("what throws when it is made into text gives a reason as well", () => {
  const hostile = [
    Object.create(null),
    { toString: () => ({}) },
    {
      toString() {
        throw new Error("no text");
      },
    },
    Symbol("s"),
    Object.defineProperty(new Error(), "message", {
      get() {
        throw new Error("no message");
      },
    }),
    Object.assign(new Error(), { message: 5 }),
  ];
  for (const error of hostile) {
    const { state, reason } = outcome({ end: { threw: true, error } });
    assert.equal(state, 2);
    assert.equal(typeof reason, "string");
    assert.notEqual(reason, "");
  }
});

Deno.test("a task whose module does not import is put off for ten minutes, then it counts", () => {
  const broken = new HandlerModuleError("handlers/a.js does not import: no");
  const run = (row: Partial<ClaimedRow>) => outcome({ end: { threw: true, error: broken }, row });
  const waits = { state: 2, reason: broken.message, result: null, delay: 30, uncharged: true };
  assert.deepEqual(run({ claims: 1, max_attempts: 1 }), waits);
  assert.deepEqual(run({ claims: 22, attempts: 2 }), waits);
  assert.deepEqual(run({ claims: 21, max_attempts: 1 }), failed(broken.message));
  const charged = run({ claims: 23, attempts: 2 });
  assert.deepEqual([charged.state, charged.uncharged], [2, undefined]);
});
