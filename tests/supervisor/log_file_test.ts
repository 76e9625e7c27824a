import assert from "node:assert/strict";
import { join } from "node:path";
import { LogFile } from "../../src/supervisor/log_file.ts";
import { configureLog, disposeLog } from "../../src/log.ts";
import { tempFolder } from "../support/fixtures.ts";

/** The files of the log, the newest first, each as its lines. */
async function written(path: string): Promise<string[][]> {
  const files: string[][] = [];
  for (let i = 0;; i++) {
    try {
      const text = await Deno.readTextFile(i === 0 ? path : `${path}.${i}`);
      files.push(text.split("\n").slice(0, -1));
    } catch {
      return files;
    }
  }
}

Deno.test("a log is rotated when a line would make it too long, and five files are kept", async () => {
  await using folder = await tempFolder();
  const path = join(folder.path, "log");
  await Deno.writeTextFile(path, "kept from before\n");
  using log = new LogFile(path, 20);
  for (const line of ["1", "two", "a line longer than a file of twenty bytes", "3", "4"]) log.write(line);
  assert.deepEqual(await written(path), [
    ["3", "4"],
    ["a line longer than a file of twenty bytes"],
    ["two"],
    ["kept from before", "1"],
  ]);
  for (let i = 5; i < 20; i++) log.write(`line number ${i}`);
  assert.deepEqual(
    await written(path),
    [19, 18, 17, 16, 15].map((i) => [`line number ${i}`]),
  );
});

Deno.test("a log that was moved is written to where it is until it is opened anew", async () => {
  await using folder = await tempFolder();
  const path = join(folder.path, "log");
  using log = new LogFile(path);
  log.write("one");
  await Deno.rename(path, `${path}.1`);
  log.write("two");
  log.reopen();
  log.write("three");
  assert.deepEqual(await written(path), [["three"], ["one", "two"]]);
});

Deno.test("a log that was removed is there again when it is rotated", async () => {
  await using folder = await tempFolder();
  const path = join(folder.path, "log");
  using log = new LogFile(path, 20);
  log.write("one");
  await Deno.remove(path);
  log.write("two");
  log.write("longer than the rest");
  log.write("after");
  assert.deepEqual(await written(path), [["after"], ["longer than the rest"]]);
});

Deno.test("a full disk loses lines, stops nobody, and the log says how many are missing", async () => {
  await using folder = await tempFolder();
  const path = join(folder.path, "log");
  await Deno.symlink("/dev/full", path); // Every write there is answered with ENOSPC.
  using log = new LogFile(path);
  await configureLog({ level: "info", format: "text", write: (line) => log.write(line) });
  try {
    log.write("one");
    log.write("two");
    await Deno.remove(path);
    log.write("three");
    log.write("four");
    const [lines = []] = await written(path);
    assert.deepEqual([lines[0], lines[2]], ["three", "four"]);
    assert.match(
      lines[1] ?? "",
      /WARNING log: Lines could not be written here lines=2 reason=".*os error 28/,
    );
  } finally {
    await configureLog({ level: "error", format: "text", write() {} });
    await disposeLog();
  }
});
