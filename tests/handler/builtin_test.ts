import assert from "node:assert/strict";
import { loadSettings } from "../../src/config.ts";
import { builtins } from "../../src/handler/builtin/mod.ts";
import { TEST_MODEL } from "../../src/task.ts";
import type { Task } from "../../src/handler/context.ts";

Deno.test("tq_test sleeps for as long as it is told, and one that is aborted does not complete", async () => {
  const { handlers } = builtins(loadSettings({ environment: {}, folder: "/" }), () => "install");
  const test = handlers.get(TEST_MODEL)!;
  const stop = new AbortController();
  const run = (sleep_time: unknown) => test({ data: { sleep_time }, signal: stop.signal } as unknown as Task);
  await run(0.01);
  await run("nothing");
  const running = assert.rejects(Promise.resolve(run(60)), { name: "AbortError", message: "canceled" });
  stop.abort(new DOMException("canceled", "AbortError"));
  await running;
});
