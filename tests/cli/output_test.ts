import assert from "node:assert/strict";
import { durationText, oneLine, plain, relativeText, runtimeSeconds } from "../../src/cli/output.ts";
import { State, type TaskRecord } from "../../src/task.ts";

Deno.test("plain() leaves nothing that would do more to a terminal than print", () => {
  assert.equal(plain("a\x1b[31mred\x1b[0m b\x1b[1;32mgreen\x1b[m"), "ared bgreen");
  assert.equal(plain("\x1b]0;title\x07\x1b[2J\x1bc"), "\\u001b]0;title\\u0007\\u001b[2J\\u001bc");
  assert.equal(plain("\u009b2J\u0085\x7f\b\0"), "\\u009b2J\\u0085\\u007f\\u0008\\u0000");
  assert.equal(plain("abc\u202edef\u2066\u200f"), "abc\\u202edef\\u2066\\u200f");
  assert.equal(plain("one\r\ntwo\tthree\rfour\n"), "one\ntwo\tthree\\u000dfour\n");
  // A colour inside another sequence must not be what makes one.
  assert.equal(plain("\x1b\x1b[31m[2J"), "\\u001b[2J");
  assert.equal(plain("日本語 é 👩‍👩‍👧 “x”"), "日本語 é 👩‍👩‍👧 “x”");
  assert.equal(oneLine("  a\n\tb \x1b[1mc\r\nd "), "a b c d");
});

Deno.test("durations are told in the two units that matter", () => {
  const told: readonly (readonly [number | undefined, string])[] = [
    [undefined, ""],
    [0, "0 ms"],
    [0.0456, "46 ms"],
    [0.9996, "1 s"],
    [2.54, "2.5 s"],
    [59.94, "59.9 s"],
    [59.96, "1 m 0 s"],
    [119.6, "2 m 0 s"],
    [200, "3 m 20 s"],
    [3600, "1 h 0 m"],
    [14_700, "4 h 5 m"],
    [273_600, "3 d 4 h"],
  ];
  for (const [seconds, text] of told) assert.equal(durationText(seconds), text);
  const now = Date.UTC(2026, 0, 1);
  assert.equal(relativeText(new Date(now - 5000), now), "5 s ago");
  assert.equal(relativeText(new Date(now + 5000), now), "in 5 s");
});

Deno.test("a run's time is that of the last run, and goes on while it does", () => {
  const at = (seconds: number) => new Date(seconds * 1000);
  const runtime = (part: Partial<TaskRecord>) =>
    runtimeSeconds({ startedAt: at(10), completedAt: null, modified: at(17), ...part } as TaskRecord, 20_000);
  assert.equal(runtime({ startedAt: null, state: State.scheduled }), undefined);
  assert.equal(runtime({ state: State.started }), 10);
  assert.equal(runtime({ state: State.completed, completedAt: at(15) }), 5);
  assert.equal(runtime({ state: State.retry }), 7);
  // Two clocks: what is not yet over cannot have taken less than no time.
  assert.equal(runtime({ state: State.started, startedAt: at(21) }), 0);
});
