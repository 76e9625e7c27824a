import assert from "node:assert/strict";
import { join } from "node:path";
import { gitFolder, readCommit } from "../src/commit.ts";
import { tempFolder } from "./support/fixtures.ts";
import { needTest } from "./support/need.ts";

/** Runs git in `folder`, without the machine's own settings; returns what it says. */
async function git(folder: string, ...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command("git", {
    args: ["-c", "protocol.file.allow=always", ...args],
    cwd: folder,
    // A hook that runs these tests would hand its own repository down.
    clearEnv: true,
    env: {
      PATH: Deno.env.get("PATH") ?? "",
      GIT_CONFIG_GLOBAL: "/dev/null",
      GIT_CONFIG_NOSYSTEM: "1",
      GIT_AUTHOR_NAME: "tq",
      GIT_AUTHOR_EMAIL: "tq@example.com",
      GIT_COMMITTER_NAME: "tq",
      GIT_COMMITTER_EMAIL: "tq@example.com",
    },
    stdin: "null",
  }).output();
  assert.ok(success, `git ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout).trim();
}

/** A repository with one commit, on the branch `main`. */
async function repository(...options: string[]) {
  const folder = await tempFolder();
  await git(folder.path, "init", "--quiet", "--initial-branch=main", ...options);
  await commit(folder.path);
  return folder;
}

async function commit(folder: string): Promise<string> {
  await git(folder, "commit", "--quiet", "--allow-empty", "--message=more");
  return await git(folder, "rev-parse", "HEAD");
}

/** What git itself says is checked out. */
function head(folder: string): Promise<string> {
  return git(folder, "rev-parse", "HEAD");
}

needTest(["git"], "readCommit() follows a branch, from commit to commit and to another branch", async () => {
  await using folder = await repository();
  const first = await head(folder.path);
  assert.match(first, /^[0-9a-f]{40}$/);
  assert.equal(await readCommit(folder.path), first);
  const second = await commit(folder.path);
  assert.notEqual(second, first);
  assert.equal(await readCommit(folder.path), second);
  await git(folder.path, "checkout", "--quiet", "-b", "feature/é-deep", first);
  assert.equal(await readCommit(folder.path), first);
  const third = await commit(folder.path);
  assert.equal(await readCommit(folder.path), third);
  await git(folder.path, "checkout", "--quiet", "main");
  assert.equal(await readCommit(folder.path), second);
});

needTest(["git"], "readCommit() reads a detached HEAD", async () => {
  await using folder = await repository();
  const first = await head(folder.path);
  await commit(folder.path);
  await git(folder.path, "checkout", "--quiet", "--detach", first);
  assert.equal(await readCommit(folder.path), first);
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
  assert.equal(await readCommit(folder.path), first);
  const second = await commit(folder.path);
  assert.equal(await readCommit(folder.path), second, "the loose ref goes before the packed one");
  await git(folder.path, "checkout", "--quiet", "other/main");
  assert.equal(await readCommit(folder.path), await head(folder.path));
  await git(folder.path, "checkout", "--quiet", "-b", "zz", "main");
  await git(folder.path, "gc", "--quiet");
  assert.equal(await readCommit(folder.path), await head(folder.path));
});

needTest(["git"], "readCommit() reads a worktree: its own HEAD, the refs of its repository", async () => {
  await using folder = await repository();
  await using parent = await tempFolder();
  const tree = join(parent.path, "tree");
  await git(folder.path, "worktree", "add", "--quiet", "-b", "side", tree);
  const side = await commit(tree);
  assert.equal(await readCommit(tree), side);
  assert.notEqual(await readCommit(folder.path), side);
  await git(folder.path, "pack-refs", "--all");
  assert.equal(await readCommit(tree), side);
  await git(tree, "checkout", "--quiet", "--detach", "HEAD");
  assert.equal(await readCommit(tree), side);
});

needTest(["git"], "readCommit() reads a submodule, which is not the commit of its parent", async () => {
  await using inner = await repository();
  await using outer = await repository();
  await git(outer.path, "submodule", "--quiet", "add", inner.path, "lib/inner");
  await commit(outer.path);
  const folder = join(outer.path, "lib/inner");
  assert.equal(await readCommit(folder), await head(inner.path));
  assert.equal(await readCommit(outer.path), await head(outer.path));
  assert.equal(await gitFolder(folder), join(outer.path, ".git/modules/lib/inner"));
  const moved = await commit(folder);
  assert.equal(await readCommit(folder), moved);
  await git(outer.path, "submodule", "--quiet", "update");
  assert.equal(await readCommit(folder), await head(inner.path));
});

needTest(["git"], "readCommit() follows a symbolic ref and reads a repository with SHA-256", async () => {
  await using folder = await repository("--object-format=sha256");
  const first = await head(folder.path);
  assert.match(first, /^[0-9a-f]{64}$/);
  assert.equal(await readCommit(folder.path), first);
  await git(folder.path, "symbolic-ref", "refs/heads/alias", "refs/heads/main");
  await git(folder.path, "symbolic-ref", "HEAD", "refs/heads/alias");
  assert.equal(await readCommit(folder.path), first);
});

needTest(["git"], "readCommit() has no answer before the first commit", async () => {
  await using folder = await tempFolder();
  await git(folder.path, "init", "--quiet");
  assert.equal(await readCommit(folder.path), undefined);
});

Deno.test("readCommit() has no answer where there is no git, or something else of that name", async () => {
  await using folder = await tempFolder();
  assert.equal(await gitFolder(folder.path), undefined);
  assert.equal(await readCommit(folder.path), undefined);
  assert.equal(await readCommit(join(folder.path, "missing")), undefined);
  await Deno.writeTextFile(join(folder.path, ".git"), "not a pointer\n");
  assert.equal(await readCommit(folder.path), undefined);
  await Deno.writeTextFile(join(folder.path, ".git"), "gitdir: ../nowhere\n");
  assert.equal(await readCommit(folder.path), undefined);
});

Deno.test("readCommit() believes only what looks like a commit, and never goes round in circles", async () => {
  await using folder = await tempFolder();
  await Deno.mkdir(join(folder.path, ".git/refs/heads"), { recursive: true });
  const write = (name: string, text: string) => Deno.writeTextFile(join(folder.path, ".git", name), text);
  for (
    const text of ["", "garbage", "0123", `${"a".repeat(40)} x`, `${"A".repeat(40)}`, "ref: ", "ref: refs"]
  ) {
    await write("HEAD", text);
    assert.equal(await readCommit(folder.path), undefined, JSON.stringify(text));
  }
  await write("HEAD", "ref: refs/heads/main\n");
  await write("refs/heads/main", "ref: refs/heads/main\n");
  assert.equal(await readCommit(folder.path), undefined);
  await write("refs/heads/main", `${"a".repeat(40)}\n`);
  assert.equal(await readCommit(folder.path), "a".repeat(40));
});
