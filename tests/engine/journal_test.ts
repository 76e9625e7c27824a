import assert from "node:assert/strict";
import { join } from "node:path";
import { Journal, journalFolder, readJournal } from "../../src/engine/journal.ts";
import { FileLock } from "../../src/posix.ts";
import { tempFolder } from "../support/fixtures.ts";

const SOURCE = new URL("../../src/engine/journal.ts", import.meta.url).href;

Deno.test("the journal has on disk what was entered and did not leave, after write()", async () => {
  await using folder = await tempFolder();
  using journal = new Journal(folder.path, "engine", 3);
  const path = join(journalFolder(folder.path), "engine");
  assert.deepEqual(readJournal(path), []);
  const places = [11, 22, 2 ** 44 - 1].map((id) => journal.enter(id));
  assert.equal(new Set(places).size, 3);
  assert.deepEqual(readJournal(path), [], "not before write()");
  journal.write();
  assert.deepEqual(readJournal(path).sort((a, b) => a - b), [11, 22, 2 ** 44 - 1]);
  journal.leave(places[1]!);
  journal.enter(33);
  journal.write();
  assert.deepEqual(readJournal(path).sort((a, b) => a - b), [11, 33, 2 ** 44 - 1]);
  assert.throws(() => journal.enter(44), /full/);
});

Deno.test("a journal is locked while it is open, and gone after its engine ended well", async () => {
  await using folder = await tempFolder();
  const path = join(journalFolder(folder.path), "engine");
  {
    using journal = new Journal(folder.path, "engine", 1);
    assert.equal(FileLock.tryTake(path), undefined);
    assert.throws(() => new Journal(folder.path, "engine", 1), /is locked/);
    journal.enter(1);
    journal.write();
  }
  assert.deepEqual([...Deno.readDirSync(journalFolder(folder.path))], []);
});

Deno.test("a journal has its name only once it is locked, and leaves nothing when it cannot be made", async () => {
  await using folder = await tempFolder();
  const names = () => [...Deno.readDirSync(journalFolder(folder.path))].map(({ name }) => name);
  const { renameSync } = Deno;
  let before: unknown;
  Deno.renameSync = (from, to) => {
    before = [names(), FileLock.isHeld(String(from))];
    renameSync(from, to);
  };
  try {
    using _journal = new Journal(folder.path, "engine", 1);
    assert.deepEqual(before, [[".engine"], true]);
    assert.deepEqual(names(), ["engine"]);
  } finally {
    Deno.renameSync = renameSync;
  }
  assert.throws(() => new Journal(folder.path, "engine", -1), RangeError);
  assert.deepEqual(names(), []);
});

Deno.test("a handler that ends after its engine closed the journal does no harm", async () => {
  await using folder = await tempFolder();
  const journal = new Journal(folder.path, "engine", 1);
  const place = journal.enter(1);
  journal[Symbol.dispose]();
  journal.leave(place);
  journal.write();
});

Deno.test("the journal of an engine that was killed with -9 names its tasks, and its lock is free", async () => {
  await using folder = await tempFolder();
  const script = `
    import { Journal } from ${JSON.stringify(SOURCE)};
    const journal = new Journal(Deno.args[0], "engine", 1000);
    for (let id = 1; id <= 1000; id++) journal.enter(id);
    journal.write();
    for (let place = 0; place < 1000; place++) if (place % 3 > 0) journal.leave(place);
    journal.write();
    console.log("written");
    setInterval(() => {}, 1000);`;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["eval", "--ext=ts", script, folder.path],
    stdin: "null",
    stdout: "piped",
  }).spawn();
  const reader = child.stdout.getReader();
  assert.match(new TextDecoder().decode((await reader.read()).value), /written/);
  const path = join(journalFolder(folder.path), "engine");
  assert.equal(FileLock.tryTake(path), undefined);
  child.kill("SIGKILL");
  await child.status;
  await reader.cancel();
  assert.deepEqual(readJournal(path).length, 334);
  using lock = FileLock.tryTake(path);
  assert.ok(lock !== undefined);
});
