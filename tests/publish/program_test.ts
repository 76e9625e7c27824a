import assert from "node:assert/strict";
import { join } from "node:path";
import { type TempFolder, tempFolder } from "../support/fixtures.ts";
import { freePort } from "../support/free_port.ts";
import { needTest } from "../support/need.ts";
import { TestRecord } from "../support/test_record.ts";

const MOD = import.meta.resolve("../../mod.ts");
/** A program that has not ended by then hangs, milliseconds. */
const BOUND = 60_000;

/** A folder with a deno.json of its own, as that of somebody's program. */
async function projectFolder(): Promise<TempFolder> {
  const folder = await tempFolder();
  await Deno.writeTextFile(
    join(folder.path, "deno.json"),
    '{ "imports": { "mine": "./mine.ts" }, "nodeModulesDir": "none" }',
  );
  await Deno.writeTextFile(join(folder.path, "mine.ts"), "export const answer = 42;\n");
  return folder;
}

/** Runs a program in that folder; fails when it does not end by itself. */
async function run(
  folder: TempFolder,
  record: TestRecord,
  program: string,
  options: { env?: Record<string, string>; check?: boolean } = {},
) {
  await Deno.writeTextFile(
    join(folder.path, "main.ts"),
    `import { Task, TaskQueue } from ${JSON.stringify(MOD)};\n${program}`,
  );
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), BOUND);
  const before = performance.now();
  const { code, signal, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", ...(options.check ? ["--check"] : []), "main.ts"],
    cwd: folder.path,
    env: { ...record.settings().given, NO_COLOR: "1", ...options.env },
    stdin: "null",
    signal: late.signal,
  }).output();
  clearTimeout(timer);
  const said = new TextDecoder().decode(stderr);
  assert.equal(signal, null, `it did not end within ${BOUND / 1000} s\n${said}`);
  return { code, out: new TextDecoder().decode(stdout).trim(), said, took: performance.now() - before };
}

needTest(
  ["postgres", "redis"],
  "a program in another folder publishes with a queue of its own, and ends after close()",
  async () => {
    await using record = await TestRecord.make({ redis: "shared" });
    await using folder = await projectFolder();
    const { code, out, said } = await run(
      folder,
      record,
      `import { answer } from "mine";
     import type { JsonObject, PublishOptions, TaskRecord } from ${JSON.stringify(MOD)};
     const queue = new TaskQueue({ TQ_RETRY_ATTEMPTS: 3 });
     const data: JsonObject = { id: answer, kind: "HOURLY" };
     const options: PublishOptions = { priority: 5 };
     const id: number = await queue.publish("demo.Report", "on_tq_run_summary", data, options);
     const hook: number = await queue.webRequest("https://example.com/hook", { id });
     const task: TaskRecord | undefined = await queue.get(id);
     console.log(JSON.stringify([id, hook, task?.maxAttempts]));
     await queue.close();`,
      { check: true },
    );
    assert.equal(code, 0, said);
    const [id, hook, attempts] = JSON.parse(out);
    assert.equal(attempts, 3);
    assert.deepEqual(await record.hints("tq_model_handler"), [id]);
    assert.deepEqual(await record.hints("tq_hook"), [hook]);
    const rows = await record.run("select id, model, priority, data from :schema.tasks order by id");
    assert.deepEqual(rows.map((row) => ({ ...row })), [
      { id, model: "demo.Report", priority: 5, data: { id: 42, kind: "HOURLY" } },
      {
        id: hook,
        model: "tq_web_request",
        priority: 0,
        data: { url: "https://example.com/hook", method: "POST", data: { id } },
      },
    ]);
  },
);

needTest(
  ["postgres"],
  "Task.publish and Task.webRequest need no set-up and no close: the program ends by itself",
  async () => {
    await using record = await TestRecord.make();
    await using folder = await projectFolder();
    const { code, said, took } = await run(
      folder,
      record,
      `await Task.publish("myapp.MyModel", "on_tq_run_summary", { id: 22, kind: "HOURLY" });
     await Task.webRequest("https://example.com/hook", { id: 22 });
     Task.publish("myapp", "not_awaited");`,
    );
    assert.equal(code, 0, said);
    assert.ok(took < 15_000, `${took} ms`);
    const rows = await record.run("select model from :schema.tasks order by id");
    assert.deepEqual(rows.map((row) => row.model), ["myapp.MyModel", "tq_web_request", "myapp"]);
  },
);

needTest(["postgres"], "the default queue comes back after it was closed for being idle", async () => {
  await using record = await TestRecord.make();
  await using folder = await projectFolder();
  const { code, said } = await run(
    folder,
    record,
    `for (let i = 0; i < 3; i++) {
       await Task.publish("myapp", "again", { i });
       await new Promise((resolve) => setTimeout(resolve, 700 * (i + 1)));
     }`,
  );
  assert.equal(code, 0, said);
  assert.equal(await record.count(), 3);
});

needTest(["postgres"], "a Redis that is away keeps no program from ending", async () => {
  await using record = await TestRecord.make({ redis: `redis://127.0.0.1:${freePort()}` });
  await using folder = await projectFolder();
  const { code, said } = await run(
    folder,
    record,
    `await Task.publish("myapp", "one");
     await using queue = new TaskQueue();
     await queue.publish("myapp", "two");`,
  );
  assert.equal(code, 0, said);
  assert.equal(said, "", "the library logs nothing unless the program asks it to");
  assert.equal(await record.count(), 2);
});

needTest(["postgres"], "a bad call throws into the program, which can go on and end", async () => {
  await using record = await TestRecord.make();
  await using folder = await projectFolder();
  const { code, out, said } = await run(
    folder,
    record,
    `for (const call of [
       () => Task.publish("a.b.c", "run"),
       () => Task.publish("app", "run", { a: undefined } as never),
       () => Task.webRequest("ftp://example.com"),
     ]) await call().catch((error) => console.log(error.name, error.exitCode));
     await Task.publish("app", "run");`,
  );
  assert.equal(code, 0, said);
  assert.equal(out, "InputError 2\nInputError 2\nInputError 2");
  assert.equal(await record.count(), 1);
});

needTest(["postgres"], "without settings and without a root the error says what to set", async () => {
  await using record = await TestRecord.make();
  await using folder = await projectFolder();
  const { code, out } = await run(
    folder,
    record,
    `for (const call of [() => Task.publish("app", "run"), () => Task.webRequest("https://example.com")]) {
       await call().catch((error) => console.log(error.name, "|", error.message, "|", error.remedy));
     }`,
    { env: { TQ_DATABASE_URL: "", DATABASE_URL: "" } },
  );
  assert.equal(code, 0);
  const [first = "", second] = out.split("\n");
  assert.match(first, /^SettingsError \| no database: TQ_DATABASE_URL is not set.* \| set TQ_DATABASE_URL/);
  assert.equal(second, first);
});
