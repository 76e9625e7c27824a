import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { judgeVar, lookAtVar, type VarFolder } from "../../src/doctor/var_folder.ts";
import { tempFolder } from "../support/fixtures.ts";

/** The user nobody. */
const NOBODY = 65534;

const GOOD: VarFolder = {
  path: "/srv/shop/var",
  kind: "folder",
  writable: true,
  owner: 1000,
  user: 1000,
  mode: 0o40755,
  readOnly: [],
};

Deno.test("var: judges what is there", () => {
  const judge = (more: Partial<VarFolder>) => judgeVar({ ...GOOD, ...more });
  assert.equal(judge({}).level, "ok");
  assert.equal(judge({ kind: "missing" }).level, "ok");
  assert.equal(judge({ kind: "missing", writable: false }).level, "bad");
  assert.equal(judge({ kind: "other", writable: false }).level, "bad");
  assert.equal(judge({ owner: 1001 }).level, "ok", "a group may share it");
  assert.equal(judge({ mode: 0o40777 }).level, "warning");
  assert.equal(judge({ mode: 0o41777 }).level, "ok", "nobody can remove what is not his own");
  const denied = judge({ writable: false, owner: 0 });
  assert.equal(denied.level, "bad");
  assert.equal(denied.found, "/srv/shop/var belongs to user 0, and user 1000 may not write there");
  assert.equal(denied.remedy, "chown it to user 1000, or run tq as user 0");
  const root = judge({ user: 0 });
  assert.equal(root.level, "warning");
  assert.equal(root.remedy, "run tq as user 1000");
  const left = judge({ readOnly: ["a", "b", "c", "d", "e"] });
  assert.equal(left.level, "bad");
  assert.match(left.found, /may not write: a, b, c and 2 more$/);
  assert.equal(left.remedy, "chown -R 1000 /srv/shop/var");
});

Deno.test("var: looks, and makes nothing", async () => {
  await using folder = await tempFolder();
  const path = join(folder.path, "deep/var");
  const missing = await lookAtVar(path);
  assert.equal(`${missing.kind} ${missing.writable} ${missing.owner}`, "missing true null");
  assert.deepEqual([...Deno.readDirSync(folder.path)], []);
  await Deno.mkdir(join(path, "engines"), { recursive: true });
  await Deno.writeTextFile(join(path, "engines/one"), "");
  const there = await lookAtVar(path);
  assert.equal(`${there.kind} ${there.writable} ${there.owner}`, `folder true ${Deno.uid()}`);
  assert.deepEqual(there.readOnly, []);
  const other = await lookAtVar(join(path, "engines/one"));
  assert.equal(other.kind, "other");
});

/** What somebody finds who is not root: this user, or nobody in a process of his own; undefined where he cannot run it. */
async function lookAsNobody(path: string): Promise<VarFolder | undefined> {
  if (Deno.uid() !== 0) return await lookAtVar(path);
  await using cache = await tempFolder();
  await Deno.chown(cache.path, NOBODY, NOBODY);
  const as = { uid: NOBODY, gid: NOBODY, cwd: cache.path, stdin: "null" } as const;
  const module = fileURLToPath(import.meta.resolve("../../src/doctor/var_folder.ts"));
  const reach = ["-c", 'test -x "$0" && test -r "$1"', Deno.execPath(), module];
  if (!(await new Deno.Command("/bin/sh", { ...as, args: reach }).output()).success) return undefined;
  const code = `import { lookAtVar } from ${JSON.stringify(`file://${module}`)};
    console.log(JSON.stringify(await lookAtVar(${JSON.stringify(path)})));`;
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    ...as,
    args: ["eval", "--no-config", code],
    env: { DENO_DIR: cache.path, HOME: cache.path },
  }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
  return JSON.parse(new TextDecoder().decode(stdout));
}

Deno.test("var: finds what this user may not write, by rights and by owner", async (t) => {
  await using folder = await tempFolder();
  const path = join(folder.path, "var");
  await Deno.chmod(folder.path, 0o755);
  await Deno.mkdir(join(path, "spool"), { recursive: true });
  for (const name of ["own", "foreign", "spool/task"]) await Deno.writeTextFile(join(path, name), "");
  const isRoot = Deno.uid() === 0;
  if (isRoot) { for (const name of ["", "own", "spool"]) await Deno.chown(join(path, name), NOBODY, NOBODY); }
  for (const name of ["foreign", "spool/task"]) await Deno.chmod(join(path, name), 0o444);
  try {
    const found = await lookAsNobody(path);
    if (found === undefined) return console.log(`SKIPPED ${t.name}: nobody cannot run this Deno`);
    assert.equal(`${found.kind} ${found.writable}`, "folder true");
    assert.equal(found.owner, found.user);
    assert.deepEqual(found.readOnly, ["foreign", "spool/task"]);
    if (isRoot) await Deno.chown(path, 0, 0);
    await Deno.chmod(path, 0o555);
    const closed = await lookAsNobody(path);
    assert.equal(`${closed?.kind} ${closed?.writable}`, "folder false");
    assert.equal(judgeVar(closed!).level, "bad");
    const below = await lookAsNobody(join(path, "more/var"));
    assert.equal(`${below?.kind} ${below?.writable}`, "missing false");
  } finally {
    await Deno.chmod(path, 0o755);
  }
});
