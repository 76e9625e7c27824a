import assert from "node:assert/strict";
import { join, relative } from "node:path";
import { eventually, tempFolder } from "../support/fixtures.ts";
import { inheritorsOf } from "../support/processes.ts";
import { cleanEnvironment, REPOSITORY } from "../support/tq.ts";

/** What a person has after a clone. */
const FILES = ["main.ts", "mod.ts", "deno.json", "deno.lock", "src", "migrations", "handlers"];
const MARK = "TQ_DEMO_TEST_MARK";

/** Every file under `folder`, by its path there. */
function filesOf(folder: string, at = folder): string[] {
  return [...Deno.readDirSync(at)].flatMap((entry) => {
    const path = join(at, entry.name);
    return entry.isDirectory ? filesOf(folder, path) : [relative(folder, path)];
  }).sort();
}

async function copy(from: string, to: string): Promise<void> {
  const { success } = await new Deno.Command("cp", { args: ["-R", from, to] }).output();
  assert.ok(success, `cp -R ${from} ${to}`);
}

Deno.test("tq demo shows how tasks end, twice, and leaves nothing running and no file outside var/", async () => {
  await using folder = await tempFolder();
  for (const name of FILES) await copy(join(REPOSITORY, name), join(folder.path, name));
  const before = filesOf(folder.path);
  const mark = crypto.randomUUID();
  // Addresses of servers that a person has in the environment are not the demo's.
  const environment = {
    ...cleanEnvironment(),
    DATABASE_URL: "postgres://127.0.0.1:1/none",
    TQ_REDIS_URL: "redis://127.0.0.1:1",
    [MARK]: mark,
  };
  for (const [round, bound] of [[1, 60_000], [2, 15_000]] as const) {
    const since = performance.now();
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--quiet", "main.ts", "demo"],
      cwd: folder.path,
      env: environment,
      clearEnv: true,
      stdin: "null",
    }).output();
    const took = performance.now() - since;
    const said = new TextDecoder().decode(stdout);
    assert.equal(code, 0, `${said}\n${new TextDecoder().decode(stderr)}`);
    assert.ok(took < bound, `round ${round} took ${took} ms`);
    assert.match(said, /demo\.Report on_tq_run_summary +completed +1 /);
    assert.match(said, /demo\.Report on_tq_find_transactions +failed +1 .*could not find transactions/);
    assert.match(said, /demo\.Report on_tq_flaky +completed +2 /);
    assert.match(said, /tq_web_request POST +completed +1 /);
    assert.match(said, /publish demo\.Report on_tq_run_summary/, "how to do the same by hand");
    await eventually(() => inheritorsOf(MARK, mark).length === 0, { what: "everything to be gone" });
    const outside = filesOf(folder.path).filter((name) => !name.startsWith("var/"));
    assert.deepEqual(outside, before, `round ${round}`);
  }
});
