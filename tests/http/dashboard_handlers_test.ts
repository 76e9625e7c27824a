import assert from "node:assert/strict";
import { join } from "node:path";
import { type Clock, systemClock } from "../../src/clock.ts";
import { loadSettings } from "../../src/config.ts";
import { TqError } from "../../src/errors.ts";
import { HandlerLister } from "../../src/http/dashboard/handlers.ts";
import { tempFolder } from "../support/fixtures.ts";

/** A clock on which the lister's 30 s pass in 2 s, and the end of a process is waited for as long as it takes. */
const hasty: Clock = {
  ...systemClock,
  after: (ms, fn) => systemClock.after(ms === 30_000 ? 2000 : 60_000, fn),
};

async function listed(handler: string) {
  await using root = await tempFolder();
  await Deno.mkdir(join(root.path, "handlers"));
  await Deno.writeTextFile(join(root.path, "handlers", "one.js"), handler);
  const settings = loadSettings({ flags: { TQ_ROOT: root.path }, environment: {}, folder: "/" });
  return await new HandlerLister(settings, hasty).list("key");
}

Deno.test("HandlerLister: lists what imports", async () => {
  const { handlers, problems } = await listed("export function send() {}");
  assert.deepEqual(handlers.map(({ model, fname }) => `${model} ${fname}`), ["one send"]);
  assert.deepEqual(problems, []);
});

Deno.test("HandlerLister: an import that never gives back, or leaves a process behind, is an error, no crash", async () => {
  const left =
    `new Deno.Command("sleep", { args: ["4"], stdin: "null", stdout: "inherit" }).spawn().unref();`;
  for (const handler of ["while (true);", left]) {
    await assert.rejects(
      listed(handler),
      (error) => error instanceof TqError && error.message === "the handlers could not be listed",
    );
  }
});
