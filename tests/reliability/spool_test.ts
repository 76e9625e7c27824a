import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { newSpoolKey, publishSpool, spoolTask } from "../../src/publish/spool.ts";
import { eventually, tempFolder } from "../support/fixtures.ts";
import { Site } from "../support/host.ts";
import { needTest } from "../support/need.ts";
import { signal } from "../support/processes.ts";
import { UnreachableError } from "../../src/errors.ts";
import { TestRecord } from "../support/test_record.ts";

const SPOOLING = fileURLToPath(new URL("./spooling.ts", import.meta.url));
const CHILDREN = { sanitizeOps: false, sanitizeResources: false } as const;

function spooling(folder: string, first: number, count: number): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", SPOOLING, folder, String(first), String(count)],
    stdout: "piped",
  }).spawn();
}

/** Files of the spool whose tasks are to be published. */
function spooled(varFolder: string): string[] {
  return [...Deno.readDirSync(join(varFolder, "spool"))].map((entry) => entry.name).filter((name) =>
    !name.startsWith(".")
  );
}

needTest(
  ["postgres-binaries", "redis-binaries"],
  "tasks spooled while Postgres is down, ten at once and amid a kill -9, run once each after its return",
  async () => {
    await using site = await Site.start();
    const host = await site.host("a");
    await site.postgres.stop("immediate");
    const ten = Array.from({ length: 10 }, (_, n) => spooling(host.varFolder, n, 1));
    for (const child of ten) assert.equal((await child.output()).code, 0);

    const victim = spooling(host.varFolder, 100, 1_000_000);
    let told = "";
    for await (const text of victim.stdout.pipeThrough(new TextDecoderStream())) {
      told += text;
      if (told.split("\n").length > 20) break;
    }
    // It may have been the quickest of all.
    signal(victim.pid, "SIGKILL");
    await victim.status;
    const acknowledged = told.split("\n").slice(0, -1).map(Number);
    const files = spooled(host.varFolder);
    assert.ok(files.length >= 10 + acknowledged.length);
    for (const name of files) JSON.parse(await Deno.readTextFile(join(host.varFolder, "spool", name)));

    await site.postgres.start();
    await eventually(() => spooled(host.varFolder).length === 0, { what: "an empty spool", within: 20_000 });
    await eventually(async () => (await site.states())[10] === files.length, {
      what: "their runs",
      within: 10_000,
    });
    const rows = await site.sql<{ n: number }[]>`select (data->>'n')::integer as n from tq.tasks`;
    const numbers = new Set(rows.map((row) => row.n));
    assert.equal(numbers.size, rows.length, "none is there twice");
    for (const n of [...Array(10).keys(), ...acknowledged]) assert.ok(numbers.has(n), `task ${n} was lost`);
    assert.ok([...(await site.runs()).values()].every((runs) => runs.length === 1));
  },
  CHILDREN,
);

needTest(
  ["postgres-binaries", "redis-binaries"],
  "tq publish --spool with Postgres down: ten at once exit 0 and run after its return, whatever a kill -9 hits",
  async () => {
    await using site = await Site.start();
    const host = await site.host("a");
    await site.postgres.stop("immediate");
    const publish = (n: number) => host.command("publish", "rel.Work", "quick", `{"n": ${n}}`, "--spool");
    const ten = Array.from({ length: 10 }, (_, n) => publish(n));
    const victim = publish(10);
    await Promise.race(ten.map((child) => child.status));
    // It may have been the quickest of all.
    signal(victim.pid, "SIGKILL");
    await victim.output();
    for (const child of ten) {
      const { code, stderr } = await child.output();
      assert.equal(code, 0, new TextDecoder().decode(stderr));
    }
    await site.postgres.start();
    await eventually(() => spooled(host.varFolder).length === 0, { what: "an empty spool", within: 20_000 });
    await eventually(async () => (await site.states())[10]! >= 10, { what: "their runs", within: 10_000 });
    const rows = await site.sql<{ n: number; state: number }[]>`
      select (data->>'n')::integer as n, state from tq.tasks order by n`;
    assert.deepEqual(rows.slice(0, 10).map(({ n, state }) => [n, state]), ten.map((_, n) => [n, 10]));
    assert.ok(rows.length <= 11, "none is there twice");
  },
  CHILDREN,
);

needTest(["postgres"], "a file that a kill -9 left half written is never read", async () => {
  await using folder = await tempFolder();
  await using record = await TestRecord.make();
  await spoolOne(folder.path);
  await Deno.writeTextFile(join(folder.path, "spool", ".000-half"), '{"model": "rel');
  assert.equal(await publishSpool(folder.path, record.queue()), 1);
  assert.equal(await record.count(), 1);
  assert.deepEqual(spooled(folder.path), []);
});

needTest(
  ["postgres"],
  "a crash between the publish of a spooled task and the file's end doubles nothing",
  async () => {
    await using folder = await tempFolder();
    await using record = await TestRecord.make();
    await spoolOne(folder.path);
    const path = join(folder.path, "spool", spooled(folder.path)[0]!);
    await Deno.copyFile(path, `${folder.path}/kept`);
    const queue = record.queue();
    assert.equal(await publishSpool(folder.path, queue), 1);
    await Deno.rename(`${folder.path}/kept`, path);
    assert.equal(await publishSpool(folder.path, queue), 1);
    assert.equal(await record.count(), 1);
  },
);

needTest(["postgres"], "a file that cannot be read keeps no other waiting, and is told of", async () => {
  await using folder = await tempFolder();
  await using record = await TestRecord.make();
  // Root may read every file there is, but no folder.
  const unreadable = join(folder.path, "spool", "000000000000000-first.json");
  await Deno.mkdir(unreadable, { recursive: true });
  await spoolOne(folder.path);
  await assert.rejects(publishSpool(folder.path, record.queue()), /000000000000000-first\.json/);
  assert.equal(await record.count(), 1);
  assert.deepEqual(spooled(folder.path), ["000000000000000-first.json"]);
});

needTest(["postgres"], "ten that empty the spool at once publish each task once", async () => {
  await using folder = await tempFolder();
  await using record = await TestRecord.make();
  for (let i = 0; i < 20; i++) await spoolOne(folder.path);
  await Promise.all(Array.from({ length: 10 }, () => publishSpool(folder.path, record.queue())));
  assert.equal(await record.count(), 20);
  assert.deepEqual(spooled(folder.path), []);
});

needTest(["postgres"], "a delay of a spooled task counts from the moment it was spooled", async () => {
  await using folder = await tempFolder();
  await using record = await TestRecord.make();
  const before = Date.now();
  await spoolTask(folder.path, { ...TASK, options: { key: newSpoolKey(), delay: 100, staleAfter: 200 } });
  const after = Date.now();
  await publishSpool(folder.path, record.queue());
  const [task] = await record.store().list();
  const [due, stale] = [task!.scheduledFor!.getTime(), task!.staleAfter!.getTime()];
  assert.ok(due >= before + 100_000 && due <= after + 100_000);
  assert.ok(stale >= before + 200_000 && stale <= after + 200_000);
});

Deno.test("what cannot be published yet stays in the spool", async () => {
  await using folder = await tempFolder();
  await spoolOne(folder.path);
  const { TaskQueue } = await import("../../src/publish/queue.ts");
  await using queue = new TaskQueue(
    { TQ_DATABASE_URL: "postgres://127.0.0.1:1/none", TQ_ROOT: folder.path },
    { patience: 0 },
  );
  await assert.rejects(publishSpool(folder.path, queue), UnreachableError);
  assert.equal(spooled(folder.path).length, 1);
});

const TASK = { model: "rel.Work", fname: "quick", data: {} };

async function spoolOne(folder: string): Promise<void> {
  await spoolTask(folder, { ...TASK, options: { key: newSpoolKey() } });
}
