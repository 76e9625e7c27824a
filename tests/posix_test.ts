import assert from "node:assert/strict";
import { join } from "node:path";
import { FileLock } from "../src/posix.ts";
import { eventually, tempFolder } from "./support/fixtures.ts";

/** A process that takes the lock on `path`, says "taken" or "refused", and holds it until it is killed. */
class Taker implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #reader: ReadableStreamDefaultReader<string>;

  constructor(path: string) {
    this.#child = new Deno.Command(Deno.execPath(), {
      args: [
        "eval",
        `import { FileLock } from ${JSON.stringify(import.meta.resolve("../src/posix.ts"))};
         const lock = FileLock.tryTake(${JSON.stringify(path)});
         console.log(lock === undefined ? "refused" : "taken");
         if (lock !== undefined) setInterval(() => {}, 1000);`,
      ],
      stdin: "null",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#reader = this.#child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  async answer(): Promise<string> {
    return (await this.#reader.read()).value?.trim() ?? "nothing";
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.#child.status;
    await this.#reader.cancel();
  }
}

Deno.test("tryTake() makes the file, private to its owner, in any folder that is there", async () => {
  await using folder = await tempFolder();
  const path = join(folder.path, "é with spaces.lock");
  using lock = FileLock.tryTake(path);
  assert.equal(lock?.path, path);
  assert.equal((await Deno.stat(path)).mode! & 0o777, 0o600);
  assert.throws(() => FileLock.tryTake(join(folder.path, "missing", "lock")), Deno.errors.NotFound);
  assert.throws(() => FileLock.tryTake(folder.path));
});

Deno.test("a lock is taken once, in this process too, and is free when it is let go of", async () => {
  await using folder = await tempFolder();
  const path = join(folder.path, "lock");
  const first = FileLock.tryTake(path);
  assert.ok(first);
  assert.equal(FileLock.tryTake(path), undefined);
  first[Symbol.dispose]();
  using second = FileLock.tryTake(path);
  assert.ok(second);
  // A second disposal of the first must not close a descriptor that has become somebody else's.
  first[Symbol.dispose]();
  assert.equal(FileLock.tryTake(path), undefined);
});

Deno.test("a lock stays on a file that is renamed; who looks whether one is held makes no file", async () => {
  await using folder = await tempFolder();
  const [before, after] = [join(folder.path, "before"), join(folder.path, "after")];
  using lock = FileLock.tryTake(before);
  assert.ok(lock);
  lock.rename(after);
  assert.equal(lock.path, after);
  assert.deepEqual([FileLock.isHeld(before), FileLock.isHeld(after)], [false, true]);
  assert.deepEqual([...Deno.readDirSync(folder.path)].map(({ name }) => name), ["after"]);
});

Deno.test("another process cannot take a lock that is held here", async () => {
  await using folder = await tempFolder();
  const path = join(folder.path, "lock");
  using lock = FileLock.tryTake(path);
  assert.ok(lock);
  await using refused = new Taker(path);
  assert.equal(await refused.answer(), "refused");
  lock[Symbol.dispose]();
  await using taken = new Taker(path);
  assert.equal(await taken.answer(), "taken");
});

Deno.test("a lock is free once its holder was killed with -9", async () => {
  await using folder = await tempFolder();
  const path = join(folder.path, "lock");
  await using holder = new Taker(path);
  assert.equal(await holder.answer(), "taken");
  assert.equal(FileLock.tryTake(path), undefined);
  await holder.kill();
  using lock = await eventually(() => FileLock.tryTake(path), { what: "the lock of a dead process" });
  assert.ok(lock);
});

Deno.test("a child process does not inherit a lock", async () => {
  await using folder = await tempFolder();
  const path = join(folder.path, "lock");
  const lock = FileLock.tryTake(path);
  assert.ok(lock);
  const child = new Deno.Command("sleep", { args: ["60"], stdin: "null" }).spawn();
  try {
    lock[Symbol.dispose]();
    // The kernel closes the child's copy a moment after it lets the parent go on.
    using again = await eventually(() => FileLock.tryTake(path), { what: "the lock: the child holds it" });
    assert.ok(again);
  } finally {
    child.kill("SIGKILL");
    await child.status;
  }
});

Deno.test("two takers at once: exactly one gets it", async () => {
  await using folder = await tempFolder();
  const path = join(folder.path, "lock");
  await using a = new Taker(path);
  await using b = new Taker(path);
  assert.deepEqual((await Promise.all([a.answer(), b.answer()])).sort(), ["refused", "taken"]);
});
