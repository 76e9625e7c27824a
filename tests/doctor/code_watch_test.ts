import assert from "node:assert/strict";
import { join } from "node:path";
import { type CodeWatchFacts, judgeCodeWatch, lookAtCodeWatch } from "../../src/doctor/code_watch.ts";
import { tempFolder } from "../support/fixtures.ts";

async function checkout(path: string): Promise<string> {
  const git = join(path, ".git");
  await Deno.mkdir(git, { recursive: true });
  return git;
}

Deno.test("code watch: git's folders can be watched here, each once", async () => {
  await using folder = await tempFolder();
  const git = await checkout(folder.path);
  await Deno.mkdir(join(folder.path, "handlers"));
  const other = await checkout(join(folder.path, "elsewhere"));
  const facts = await lookAtCodeWatch([folder.path, join(folder.path, "handlers")]);
  assert.deepEqual(facts.folders, [git]);
  assert.equal(facts.problem, undefined);
  if (Deno.build.os === "linux") assert.ok(facts.limits!.instances > 0 && facts.limits!.watches > 0);
  const both = await lookAtCodeWatch([folder.path, join(folder.path, "elsewhere")]);
  assert.deepEqual(both.folders, [git, other]);
  assert.equal(judgeCodeWatch(facts).level, "ok");
  assert.deepEqual((await lookAtCodeWatch([undefined, "/"])).folders, []);
});

Deno.test("code watch: judges what came of it", () => {
  const good: CodeWatchFacts = {
    folders: ["/srv/shop/.git"],
    limits: { instances: 128, watches: 8192 },
    problem: undefined,
  };
  assert.equal(
    judgeCodeWatch(good).found,
    "/srv/shop/.git can be watched, of 128 instances and 8192 watches a user",
  );
  assert.equal(judgeCodeWatch({ ...good, limits: undefined }).found, "/srv/shop/.git can be watched");
  assert.equal(judgeCodeWatch({ ...good, folders: [] }).level, "note");
  const none = judgeCodeWatch({ ...good, problem: "OS file watch limit reached" });
  assert.equal(none.level, "warning");
  assert.match(none.found, /cannot be watched \(OS file watch limit reached\), and is looked at every 5 s/);
  assert.match(none.remedy ?? "", /max_user_instances/);
});

Deno.test("code watch: a limit that is reached is found", async (t) => {
  await using folder = await tempFolder();
  await checkout(folder.path);
  const code = `import { judgeCodeWatch, lookAtCodeWatch } from ${
    JSON.stringify(import.meta.resolve("../../src/doctor/code_watch.ts"))
  };
    const facts = await lookAtCodeWatch([${JSON.stringify(folder.path)}]);
    console.log(JSON.stringify({ facts, finding: judgeCodeWatch(facts) }));`;
  // A user namespace has limits of its own, which leave everybody else alone.
  for (const limit of ["instances", "watches"]) {
    const script = `echo 0 > /proc/sys/user/max_inotify_${limit} && exec "$0" eval --no-lock "$1"`;
    const args = ["-Ur", "/bin/sh", "-c", script, Deno.execPath(), code];
    let output: Deno.CommandOutput | undefined;
    try {
      output = await new Deno.Command("unshare", { args, stdin: "null" }).output();
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
    if (!output?.success) return console.log(`SKIPPED ${t.name}: no user namespaces on this machine`);
    const { facts, finding } = JSON.parse(new TextDecoder().decode(output.stdout));
    assert.equal(facts.limits[limit], 0);
    assert.equal(finding.level, "warning");
    assert.match(finding.found, limit === "watches" ? /watch limit reached/ : /Too many open files/);
  }
});
