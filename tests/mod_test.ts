import assert from "node:assert/strict";
import * as tq from "../mod.ts";
import { HandlerError, TqError } from "../src/errors.ts";
import { State, STATE_DISPLAY } from "../src/task.ts";

Deno.test("mod.ts exports what a program needs, and nothing by default", () => {
  assert.deepEqual(Object.keys(tq).sort(), [
    "BadValueError",
    "HandlerError",
    "InputError",
    "NotFoundError",
    "OutdatedError",
    "RefusedError",
    "STATE_DISPLAY",
    "SchemaError",
    "SettingsError",
    "State",
    "Task",
    "TaskQueue",
    "TqError",
    "UnreachableError",
    "WaitTimeoutError",
  ]);
});

Deno.test("every error is a TqError with its own name, its remedy, its cause and an exit code", () => {
  const codes: Record<string, number> = { InputError: 2, SettingsError: 2, UnreachableError: 75 };
  const cause = new Error("why");
  for (const [name, kind] of Object.entries(tq)) {
    if (!name.endsWith("Error")) continue;
    const error = new (kind as typeof TqError)("what", { remedy: "mend it", cause });
    assert.ok(error instanceof TqError && error instanceof Error);
    assert.equal(error.name, name);
    assert.deepEqual([error.message, error.remedy, error.cause], ["what", "mend it", cause]);
    assert.equal(error.exitCode, codes[name] ?? 1, name);
    assert.match(String(error.stack), new RegExp(`^${name}: what`));
    assert.equal("cause" in new (kind as typeof TqError)("what"), false);
  }
  assert.equal(tq.HandlerError, HandlerError);
});

Deno.test("the states have the numbers and the names that clients of the Django taskqueue rely on", () => {
  assert.equal(tq.State, State);
  assert.deepEqual({ ...State }, {
    scheduled: 0,
    started: 1,
    retry: 2,
    completed: 10,
    failed: -1,
    canceled: -2,
  });
  assert.deepEqual(STATE_DISPLAY, {
    0: "scheduled",
    1: "started",
    2: "retry_later",
    10: "completed",
    [-1]: "failed",
    [-2]: "canceled",
  });
});

Deno.test("importing mod.ts connects to nothing, writes nothing and keeps no program from ending", async () => {
  const program = `import ${JSON.stringify(import.meta.resolve("../mod.ts"))}; console.log("imported");`;
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    // Denied is an error there, not a question.
    args: [
      "run",
      "--quiet",
      "--no-prompt",
      "--allow-env",
      "--allow-read",
      `data:text/javascript,${encodeURI(program)}`,
    ],
    env: { NO_COLOR: "1" },
    stdin: "null",
  }).output();
  assert.equal(new TextDecoder().decode(stderr), "");
  assert.equal(new TextDecoder().decode(stdout), "imported\n");
  assert.equal(code, 0);
});
