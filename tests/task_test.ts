import assert from "node:assert/strict";
import {
  CHANNEL_PATTERN,
  cutReason,
  defaultChannel,
  FUNCTION_PATTERN,
  LEGAL_MOVES,
  MODEL_PATTERN,
  parseState,
  SCHEMA_PATTERN,
  State,
  STATE_DISPLAY,
  TERMINAL_STATES,
} from "../src/task.ts";

const STATES = Object.values(State);

Deno.test("parseState() reads a state's number, its name and how it is shown", () => {
  for (const [name, state] of Object.entries(State)) {
    assert.equal(parseState(name), state);
    assert.equal(parseState(state), state);
    assert.equal(parseState(String(state)), state);
    assert.equal(parseState(STATE_DISPLAY[state]), state);
  }
  assert.equal(parseState("retry_later"), State.retry);
});

Deno.test("parseState() does not take for a state what is none", () => {
  for (
    const text of ["", " ", "3", "-3", "Completed", "done", "toString", "constructor", "NaN", NaN, 0.5, 11]
  ) {
    assert.equal(parseState(text), undefined, String(text));
  }
});

Deno.test("legal moves: an ended task goes nowhere but to ready, and nothing comes to completed unstarted", () => {
  assert.deepEqual(Object.keys(LEGAL_MOVES).map(Number).sort(), [...STATES].sort());
  for (const state of TERMINAL_STATES) assert.deepEqual(LEGAL_MOVES[state], [State.scheduled]);
  for (const state of STATES) {
    assert.equal(LEGAL_MOVES[state].includes(state), false, `${state} to itself`);
    assert.equal(LEGAL_MOVES[state].includes(State.completed), state === State.started);
    assert.equal(LEGAL_MOVES[state].includes(State.started), state === State.scheduled);
  }
});

Deno.test("names: what fits and what does not", () => {
  const cases: [RegExp, string[], string[]][] = [
    [MODEL_PATTERN, ["a", "A1_b", "app.Model"], [
      "",
      "1a",
      "_a",
      "a.",
      ".a",
      "a.b.c",
      "a b",
      "a.1",
      "a\n",
      "ä",
    ]],
    [FUNCTION_PATTERN, ["on_tq_run", "x"], ["", "a.b", "_x", "x-y", "x\n"]],
    [CHANNEL_PATTERN, ["tq_hook", "a.b-c", "x".repeat(100)], ["", "1", "a:1", "a b", "x".repeat(101), "a\n"]],
    [SCHEMA_PATTERN, ["tq", "_x1", "a".repeat(63)], ["", "Tq", "1a", "a-b", 'a"', "a".repeat(64), "tq\n"]],
  ];
  for (const [pattern, good, bad] of cases) {
    for (const name of good) assert.match(name, pattern);
    for (const name of bad) assert.doesNotMatch(name, pattern);
  }
  assert.equal(defaultChannel("app.Model"), "tq_model_handler");
  assert.equal(defaultChannel("app"), "tq_app_handler");
});

Deno.test("cutReason() keeps 1,000 characters that Postgres can store", () => {
  assert.equal(cutReason("could not find transactions"), "could not find transactions");
  assert.equal(cutReason("x".repeat(1001)), "x".repeat(1000));
  assert.equal(cutReason("a\0b\ud800c"), "a\ufffdb\ufffdc");
  const cut = cutReason("x".repeat(999) + "\u{1f600}");
  assert.equal(cut, "x".repeat(999) + "\ufffd");
});
