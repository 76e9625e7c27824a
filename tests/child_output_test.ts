import assert from "node:assert/strict";
import { type Clock, systemClock } from "../src/clock.ts";
import { outputWithin } from "../src/child_output.ts";

function shell(script: string): Deno.ChildProcess {
  return new Deno.Command("sh", { args: ["-c", script], stdin: "null", stdout: "piped", stderr: "piped" })
    .spawn();
}

/** A clock on which a deadline of 0.1 s passes as ever, and nothing else. */
const patient: Clock = {
  ...systemClock,
  after: (ms, fn) => systemClock.after(ms === 100 ? ms : 60_000, fn),
};

Deno.test("outputWithin() is what a process says, and how it ended", async () => {
  const ended = await outputWithin(systemClock, 10_000, shell("echo well; echo bad >&2; exit 3"));
  assert.equal(new TextDecoder().decode(ended!.stdout), "well\n");
  assert.equal(new TextDecoder().decode(ended!.stderr), "bad\n");
  assert.equal(ended!.code, 3);
});

// The sanitizers look whether it waits for its end.
Deno.test("outputWithin() ends a process that does not end, and waits for that", async () => {
  const child = shell("exec sleep 60");
  assert.equal(await outputWithin(patient, 100, child), undefined);
  assert.equal((await child.status).signal, "SIGKILL");
});

Deno.test("outputWithin() does not take it ill that a process ended and left others with its pipes", async () => {
  const child = shell("sleep 1 & exit 4");
  assert.equal((await child.status).code, 4);
  assert.equal(await outputWithin(patient, 100, child), undefined);
});
