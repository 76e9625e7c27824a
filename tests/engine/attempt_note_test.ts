/**
 * What a task's log says of its runs.
 *
 * @module
 */

import assert from "node:assert/strict";
import { attemptNote } from "../../src/engine/attempt_note.ts";
import { Held } from "../../src/engine/held.ts";
import { COMPLETED, failed, type Outcome } from "../../src/engine/outcome.ts";

const ROW = {
  id: 7,
  claims: 4,
  attempts: 1,
  max_attempts: 5,
  timeout_seconds: 60,
  channel: "c",
  model: "app.A",
  fname: "run",
  data: "{}",
  trace_parent: null,
  waited_ms: 0,
};
const RETRY: Outcome = { state: 2, reason: "the ledger\nis locked", result: null, delay: 1 };

function note(outcome: Outcome, aborted?: Held["aborted"], commit: string | null = "abc") {
  const held = new Held(ROW, Infinity);
  held.startedAt = 1000;
  held.aborted = aborted;
  return attemptNote(held, outcome, { engineId: "e-1", commit, now: 1052.4 });
}

Deno.test("a run that did not complete its task is told, with engine, commit and reason", () => {
  assert.deepEqual(note(RETRY), {
    kind: "attempt",
    text: "attempt 2 retry_later after 0.052 s, engine e-1, commit abc: the ledger\nis locked",
  });
  assert.equal(
    note(failed("no"), "timed out", null)?.text,
    "attempt 2 failed after 0.052 s, engine e-1, commit none: no",
  );
  assert.match(note({ ...RETRY, reason: null }, "canceled")?.text ?? "", /^attempt 2 canceled after .*: $/);
  // It said itself that it failed, and so will the record.
  assert.match(note(failed("no"), "canceled")?.text ?? "", /^attempt 2 failed after .*: no$/);
});

Deno.test("a run that completed it is not: most are, and each line is a row", () => {
  assert.equal(note(COMPLETED), undefined);
  assert.equal(note({ ...COMPLETED, result: "{}" }), undefined);
});
