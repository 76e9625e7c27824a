import assert from "node:assert/strict";
import { OldEngines } from "../../src/supervisor/old_engines.ts";
import { eventually, tempFolder, TestClock } from "../support/fixtures.ts";

/** A child that writes down each TERM it gets. */
async function child(path: string) {
  const script = `trap 'echo t >> ${path}' TERM; : > ${path}; while :; do sleep 0.01; done`;
  const process = new Deno.Command("sh", { args: ["-c", script], stdin: "null" }).spawn();
  await eventually(() => Deno.statSync(path).isFile, { what: "the child's trap" });
  return {
    pid: process.pid,
    terms: () => Deno.readTextFileSync(path).length / 2,
    async [Symbol.asyncDispose]() {
      process.kill("SIGKILL");
      await process.status;
    },
  };
}

for (const isTold of [false, true]) {
  Deno.test(`hurry() tells an engine that was ${isTold ? "" : "not "}told before ${isTold ? "once more" : "twice, not at once"}`, async () => {
    await using folder = await tempFolder();
    await using one = await child(`${folder.path}/terms`);
    const clock = new TestClock();
    const engines = new OldEngines([{ pid: one.pid, id: null, isTold }], () => {}, clock);
    const hurried = engines.hurry();
    await eventually(() => one.terms() === 1, { what: "the first signal" });
    await clock.advance(100);
    await hurried;
    await eventually(() => one.terms() === (isTold ? 1 : 2), { what: "all signals" });
    assert.deepEqual(engines.left.map((engine) => engine.isTold), [true]);
    await engines.hurry();
    await eventually(() => one.terms() === (isTold ? 2 : 3), { what: "one signal for one that was told" });
  });
}
