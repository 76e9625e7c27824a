import assert from "node:assert/strict";
import { join } from "node:path";
import { PidFile } from "../../src/supervisor/pidfile.ts";
import { reexec } from "../../src/supervisor/reexec.ts";
import { eventually, tempFolder } from "../support/fixtures.ts";
import { needTest } from "../support/need.ts";

/** Longer than one argument may be: execv fails (E2BIG). */
const TOO_LONG = "x".repeat(1_000_000);

needTest(
  ["linux"],
  "after a replacement that failed children do not inherit the pid file's lock",
  async () => {
    await using folder = await tempFolder();
    const before = Deno.cwd();
    const fails = async (root: string, args: string[], error: RegExp) => {
      const pidFile = PidFile.take(folder.path);
      assert.throws(() => reexec(root, args, { lock: pidFile.keepThroughExec(), engines: [] }), error);
      assert.equal(Deno.env.get("TQ_INTERNAL_LEGACY"), undefined);
      const child = new Deno.Command("sleep", { args: ["60"], stdin: "null" }).spawn();
      try {
        pidFile[Symbol.dispose]();
        // The kernel closes the child's copy a moment after it lets the parent go on.
        await eventually(() => PidFile.holder(folder.path) === undefined, {
          what: "the lock: the child holds it",
        });
      } finally {
        child.kill("SIGKILL");
        await child.status;
      }
    };
    try {
      await fails(join(folder.path, "gone"), [], /No such file/);
      await fails(folder.path, [TOO_LONG], /^TqError: cannot run /);
    } finally {
      Deno.chdir(before);
    }
  },
);
