import assert from "node:assert/strict";
import { join } from "node:path";
import { checkoutStamp, gitFolder, isGitBusy, readCommit } from "../src/commit.ts";
import { tempFolder } from "./support/fixtures.ts";
import { commit, git, gitCommand, head, repository } from "./support/git.ts";
import { needTest } from "./support/need.ts";

needTest(["git"], "readCommit() follows a branch, from commit to commit and to another branch", async () => {
  await using folder = await repository();
  const first = await head(folder.path);
  assert.match(first, /^[0-9a-f]{40}$/);
  assert.equal(readCommit(folder.path), first);
  const second = await commit(folder.path);
  assert.notEqual(second, first);
  assert.equal(readCommit(folder.path), second);
  await git(folder.path, "checkout", "--quiet", "-b", "feature/é-deep", first);
  assert.equal(readCommit(folder.path), first);
  const third = await commit(folder.path);
  assert.equal(readCommit(folder.path), third);
  await git(folder.path, "checkout", "--quiet", "main");
  assert.equal(readCommit(folder.path), second);
});

needTest(["git"], "readCommit() reads a detached HEAD", async () => {
  await using folder = await repository();
  const first = await head(folder.path);
  await commit(folder.path);
  await git(folder.path, "checkout", "--quiet", "--detach", first);
  assert.equal(readCommit(folder.path), first);
});

needTest(["git"], "readCommit() finds refs that git has packed, and new ones beside them", async () => {
  await using folder = await repository();
  // A longer name with the same end comes first; annotated tags have a second line.
  await git(folder.path, "branch", "other/main");
  await git(folder.path, "branch", "refs/heads/zz");
  await git(folder.path, "tag", "--annotate", "--message=v1", "v1");
  const first = await commit(folder.path);
  await git(folder.path, "pack-refs", "--all");
  await assert.rejects(Deno.stat(join(folder.path, ".git/refs/heads/main")), Deno.errors.NotFound);
  assert.equal(readCommit(folder.path), first);
  const second = await commit(folder.path);
  assert.equal(readCommit(folder.path), second, "the loose ref goes before the packed one");
  await git(folder.path, "checkout", "--quiet", "other/main");
  assert.equal(readCommit(folder.path), await head(folder.path));
  await git(folder.path, "checkout", "--quiet", "-b", "zz", "main");
  await git(folder.path, "gc", "--quiet");
  assert.equal(readCommit(folder.path), await head(folder.path));
});

needTest(["git"], "readCommit() reads a worktree: its own HEAD, the refs of its repository", async () => {
  await using folder = await repository();
  await using parent = await tempFolder();
  const tree = join(parent.path, "tree");
  await git(folder.path, "worktree", "add", "--quiet", "-b", "side", tree);
  const side = await commit(tree);
  assert.equal(readCommit(tree), side);
  assert.notEqual(readCommit(folder.path), side);
  await git(folder.path, "pack-refs", "--all");
  assert.equal(readCommit(tree), side);
  await git(tree, "checkout", "--quiet", "--detach", "HEAD");
  assert.equal(readCommit(tree), side);
});

needTest(["git"], "readCommit() reads a submodule, which is not the commit of its parent", async () => {
  await using inner = await repository();
  await using outer = await repository();
  await git(outer.path, "submodule", "--quiet", "add", inner.path, "lib/inner");
  await commit(outer.path);
  const folder = join(outer.path, "lib/inner");
  assert.equal(readCommit(folder), await head(inner.path));
  assert.equal(readCommit(outer.path), await head(outer.path));
  assert.equal(gitFolder(folder), join(outer.path, ".git/modules/lib/inner"));
  const moved = await commit(folder);
  assert.equal(readCommit(folder), moved);
  await git(outer.path, "submodule", "--quiet", "update");
  assert.equal(readCommit(folder), await head(inner.path));
});

needTest(["git"], "readCommit() follows a symbolic ref and reads a repository with SHA-256", async () => {
  await using folder = await repository("--object-format=sha256");
  const first = await head(folder.path);
  assert.match(first, /^[0-9a-f]{64}$/);
  assert.equal(readCommit(folder.path), first);
  await git(folder.path, "symbolic-ref", "refs/heads/alias", "refs/heads/main");
  await git(folder.path, "symbolic-ref", "HEAD", "refs/heads/alias");
  assert.equal(readCommit(folder.path), first);
});

needTest(["git"], "readCommit() has no answer before the first commit", async () => {
  await using folder = await tempFolder();
  await git(folder.path, "init", "--quiet");
  assert.equal(readCommit(folder.path), undefined);
});

Deno.test("readCommit() has no answer where there is no git, or something else of that name", async () => {
  await using folder = await tempFolder();
  assert.equal(gitFolder(folder.path), undefined);
  assert.equal(readCommit(folder.path), undefined);
  assert.equal(readCommit(join(folder.path, "missing")), undefined);
  await Deno.writeTextFile(join(folder.path, ".git"), "not a pointer\n");
  assert.equal(readCommit(folder.path), undefined);
  await Deno.writeTextFile(join(folder.path, ".git"), "gitdir: ../nowhere\n");
  assert.equal(readCommit(folder.path), undefined);
});

Deno.test("readCommit() believes only what looks like a commit, and never goes round in circles", async () => {
  await using folder = await tempFolder();
  await Deno.mkdir(join(folder.path, ".git/refs/heads"), { recursive: true });
  const write = (name: string, text: string) => Deno.writeTextFile(join(folder.path, ".git", name), text);
  for (
    const text of ["", "garbage", "0123", `${"a".repeat(40)} x`, `${"A".repeat(40)}`, "ref: ", "ref: refs"]
  ) {
    await write("HEAD", text);
    assert.equal(readCommit(folder.path), undefined, JSON.stringify(text));
  }
  await write("HEAD", "ref: refs/heads/main\n");
  await write("refs/heads/main", "ref: refs/heads/main\n");
  assert.equal(readCommit(folder.path), undefined);
  await write("refs/heads/main", `${"a".repeat(40)}\n`);
  assert.equal(readCommit(folder.path), "a".repeat(40));
});

needTest(["git"], "readCommit() looks for git upward, from where the folder really is", async () => {
  await using folder = await repository();
  await using elsewhere = await tempFolder();
  const first = await commit(folder.path, { "backend/handlers/app.js": "" });
  assert.equal(readCommit(join(folder.path, "backend")), first);
  const link = join(elsewhere.path, "current");
  await Deno.symlink(join(folder.path, "backend"), link);
  assert.equal(readCommit(link), first);
  assert.equal(gitFolder(link), join(folder.path, ".git"));
});

Deno.test("readCommit() believes the REVISION of Capistrano where there is no git", async () => {
  await using folder = await tempFolder();
  await Deno.writeTextFile(join(folder.path, "REVISION"), `${"b".repeat(40)}\n`);
  assert.equal(readCommit(folder.path), "b".repeat(40));
  await Deno.writeTextFile(join(folder.path, "REVISION"), "v1.2\n");
  assert.equal(readCommit(folder.path), undefined);
});

needTest(["git"], "isGitBusy() sees locks, unless they are stale, and what waits for a person", async () => {
  await using folder = await repository();
  const now = Date.now();
  assert.equal(isGitBusy(folder.path, now), false);
  for (const name of ["index.lock", "HEAD.lock"]) {
    const lock = join(folder.path, ".git", name);
    await Deno.writeTextFile(lock, "");
    assert.equal(isGitBusy(folder.path, now), true, name);
    await Deno.utime(lock, new Date(now - 61_000), new Date(now - 61_000));
    assert.equal(isGitBusy(folder.path, now), false, `${name} is stale`);
    await Deno.remove(lock);
  }
  const base = await commit(folder.path, { "a.txt": "base" });
  await git(folder.path, "checkout", "--quiet", "-b", "side");
  const picked = [
    await commit(folder.path, { "a.txt": "side" }),
    await commit(folder.path, { "b.txt": "side" }),
  ];
  await git(folder.path, "checkout", "--quiet", "main");
  await commit(folder.path, { "a.txt": "main" });
  for (const args of [["rebase", "side"], ["rebase", "--apply", "side"], ["cherry-pick", ...picked]]) {
    assert.equal((await gitCommand(folder.path, ...args).output()).success, false, "a conflict");
    assert.equal(isGitBusy(folder.path, now), true, args.join(" "));
    await git(folder.path, args[0]!, "--abort");
    assert.equal(isGitBusy(folder.path, now), false, `${args.join(" ")}, aborted`);
  }
  assert.equal(isGitBusy(join(folder.path, "missing"), now), false);
  assert.notEqual(base, await head(folder.path));
});

needTest(["git"], "checkoutStamp() is the same until git changes files, and none while it does", async () => {
  await using folder = await repository();
  const stamp = () => checkoutStamp(folder.path, Date.now());
  const first = stamp();
  for (const args of [["status"], ["gc", "--quiet"], ["branch", "other"], ["checkout", "--quiet", "other"]]) {
    await git(folder.path, ...args);
    assert.equal(stamp(), first, args.join(" "));
  }
  await commit(folder.path);
  assert.notEqual(stamp(), first);
  await Deno.writeTextFile(join(folder.path, ".git/index.lock"), "");
  assert.equal(stamp(), undefined);
});

needTest(["git"], "checkoutStamp() is another one behind a link that was switched", async () => {
  await using releases = await tempFolder();
  for (const name of ["1", "2"]) await Deno.mkdir(join(releases.path, name));
  const link = join(releases.path, "current");
  const stamp = () => checkoutStamp(link, Date.now());
  await Deno.symlink(join(releases.path, "1"), link);
  const first = stamp();
  assert.equal(stamp(), first);
  await Deno.symlink(join(releases.path, "2"), `${link}.new`);
  await Deno.rename(`${link}.new`, link);
  assert.notEqual(stamp(), first);
});
