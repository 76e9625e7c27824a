import assert from "node:assert/strict";
import { join } from "node:path";
import { eventually, tempFolder } from "../support/fixtures.ts";
import { needTest } from "../support/need.ts";
import { cleanEnvironment, Project } from "../support/tq.ts";
import { printed, refusal, TQ } from "./run_tq.ts";

/** A project with this in the log of its engine. */
async function logged(text: string) {
  const folder = await tempFolder();
  const log = join(folder.path, "var", "tq_worker.log");
  await Deno.mkdir(join(folder.path, "handlers"));
  await Deno.mkdir(join(folder.path, "var"));
  await Deno.writeTextFile(log, text);
  return { ...folder, path: folder.path, environment: cleanEnvironment(), log };
}

Deno.test("tq logs prints as many of the last lines as it is asked for", async () => {
  await using project = await logged(Array.from({ length: 60 }, (_, i) => `line ${i}\n`).join(""));
  const lines = async (...args: string[]) =>
    (await printed(project, ["logs", ...args])).split("\n").slice(0, -1);
  assert.equal((await lines()).length, 50);
  assert.deepEqual(await lines("--lines", "2"), ["line 58", "line 59"]);
  assert.deepEqual(await lines("--lines", "0"), []);
  assert.match(
    await refusal(project, 2, ["logs", "--lines", "-1"]),
    /^--lines is "-1": give a whole number$/,
  );
});

Deno.test("tq logs -f prints what stands in a file that is rotated, cut or not UTF-8, and what follows", async () => {
  await using project = await logged("one\n");
  const { log } = project;
  const child = new Deno.Command(Deno.execPath(), {
    args: [...TQ, "logs", "-f"],
    cwd: project.path,
    env: project.environment,
    clearEnv: true,
    stdout: "piped",
  }).spawn();
  let text = "";
  const reading = (async () => {
    for await (const part of child.stdout.pipeThrough(new TextDecoderStream())) text += part;
  })();
  const shown = (lines: string) =>
    eventually(() => text === lines, { what: JSON.stringify(lines), within: 10_000 });
  try {
    await shown("one\n");
    Deno.writeTextFileSync(log, "two\n", { append: true });
    Deno.renameSync(log, `${log}.1`);
    Deno.writeTextFileSync(log, "three\n");
    await shown("one\ntwo\nthree\n");
    Deno.writeFileSync(log, new Uint8Array([0xff, 10]), { append: true });
    await shown("one\ntwo\nthree\n\ufffd\n");
    Deno.writeTextFileSync(log, "four\n", { append: true });
    await shown("one\ntwo\nthree\n\ufffd\nfour\n");
    Deno.writeTextFileSync(log, "5\n");
    await shown("one\ntwo\nthree\n\ufffd\nfour\n5\n");
  } finally {
    child.kill();
    await child.status;
    await reading;
  }
});

needTest(["postgres"], "tq logs --task prints a task's whole log, of one task that is there", async () => {
  await using project = await Project.make({ servers: "postgres", handlers: {} });
  const id = await project.queue.publish("app", "run");
  assert.equal(await printed(project, ["logs", "--task", String(id)]), "");
  await project.record!.run(
    `insert into :schema.task_logs (task_id, kind, text)
     select ${id}, 'log', 'line ' || i from generate_series(1, 2500) as i`,
  );
  for (const args of [["logs", "--task", String(id)], ["task", String(id)]]) {
    const text = await printed(project, args);
    assert.equal([...text.matchAll(/ log: line \d+\n/g)].length, 2500, args.join(" "));
    assert.match(text, / log: line 2500\n$/);
  }
  assert.equal(JSON.parse(await printed(project, ["task", String(id), "--json"])).log.length, 2500);
  assert.equal(
    await refusal(project, 1, ["logs", "--task", "999999"]),
    "there is no task 999999: see tq tasks",
  );
  assert.equal(await refusal(project, 2, ["logs", "--task", "1,2"]), "several ids are given: give one");
  assert.match(await refusal(project, 2, ["logs", "--task", "x"]), /^"x" is not a task's id: /);
});
