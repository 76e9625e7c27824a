import assert from "node:assert/strict";
import { join } from "node:path";
import { UnreachableError } from "../../src/errors.ts";
import { EngineProcess } from "../../src/supervisor/engine_process.ts";
import { captureLog } from "../support/capture_log.ts";
import type { TempFolder } from "../support/fixtures.ts";
import { commit, head, repository } from "../support/git.ts";
import { needTest } from "../support/need.ts";
import { TestRecord } from "../support/test_record.ts";

const NEEDS = ["postgres", "git"] as const;

/** A checkout with a handler that runs a command while it is imported. */
async function checkout(command: string): Promise<TempFolder> {
  const folder = await repository();
  await commit(folder.path, {
    ".gitignore": "var\nhandlers/*/.git\n",
    "handlers/app.js": `
      const { success } = await new Deno.Command("sh", { args: ["-ec", ${
      JSON.stringify(command)
    }] }).output();
      if (!success) throw new Error("the command failed");
      export function run() {}`,
  });
  return folder;
}

/** Starts an engine there; returns the commit that it names. */
async function start(root: string): Promise<string | null> {
  await using _log = await captureLog();
  await using record = await TestRecord.make();
  const engine = new EngineProcess({
    environment: record.settings({ TQ_ROOT: root }).given,
    folder: root,
    writeLine() {},
  });
  try {
    const { commit, problems } = await engine.ready;
    assert.deepEqual(problems, []);
    return commit;
  } finally {
    engine.kill();
    await engine.exited;
  }
}

/** What makes the supervisor start another. */
function passes(error: unknown): boolean {
  assert.ok(error instanceof UnreachableError, String(error));
  assert.match(error.message, /git changed the code while it was imported/);
  return true;
}

needTest(NEEDS, "an engine names the commit of all that it imported", async () => {
  await using folder = await checkout("git status; git gc --quiet; git branch other");
  assert.equal(await start(folder.path), await head(folder.path));
});

const COMMIT = "git -c user.name=tq -c user.email=tq@example.com commit --quiet --allow-empty --message=x";

const CHANGES: Record<string, string> = {
  "a commit arrives": COMMIT,
  "git begins to write files": "touch .git/index.lock",
  "a commit arrives in the submodule of the handlers": `cd handlers; git init --quiet; ${COMMIT}`,
};

for (const [what, command] of Object.entries(CHANGES)) {
  needTest(NEEDS, `an engine starts over when ${what} while it imports`, async () => {
    await using folder = await checkout(command);
    await assert.rejects(start(folder.path), passes);
  });
}

needTest(NEEDS, "an engine waits for a git that writes files, not for one that died long ago", async () => {
  await using folder = await checkout("true");
  const lock = join(folder.path, ".git/index.lock");
  await Deno.writeTextFile(lock, "");
  await assert.rejects(start(folder.path), passes);
  const longAgo = new Date(Date.now() - 61_000);
  await Deno.utime(lock, longAgo, longAgo);
  assert.equal(await start(folder.path), await head(folder.path));
});

Deno.test("an engine whose folder is gone ends as any other, and says why", async () => {
  const engine = new EngineProcess({ environment: {}, folder: "/nowhere", writeLine() {} });
  await assert.rejects(engine.ready, /ended before it was ready \(no process could be started: .*\/nowhere/);
  assert.equal((await engine.exited).success, false);
  assert.match(engine.ending ?? "", /^no process could be started/);
  engine.send({ type: "cancel", ids: [1] });
  engine.drain(0);
  engine.kill();
});
