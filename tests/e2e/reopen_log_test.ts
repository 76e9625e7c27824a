import assert from "node:assert/strict";
import { join } from "node:path";
import { Daemon } from "../support/daemon.ts";
import { eventually } from "../support/fixtures.ts";
import { needTest } from "../support/need.ts";
import { signal } from "../support/processes.ts";
import { Project } from "../support/tq.ts";

const HANDLERS = { "app.js": `export function print(task) { console.log("printed by", task.id); }` };
const PRINTED = / Handler printed /;

needTest(["postgres"], "USR2 lets a daemon open its log anew, after it was moved", async () => {
  await using project = await Project.make({ servers: "postgres", handlers: HANDLERS });
  await using daemon = await Daemon.start(project);
  const print = async () => await project.ended(await project.queue.publish("app", "print"));
  const path = join(project.varFolder, "tq_worker.log");
  await Deno.rename(path, `${path}.moved`);
  signal((await daemon.status()).pid, "SIGUSR2");
  await eventually(async () => (await print()) && daemon.logged(PRINTED), {
    within: 15_000,
    what: "a line in a new file",
  });
  assert.match(daemon.read("tq_worker.log.moved"), / Engine is ready /);
  assert.equal(daemon.logged(/ Engine is ready /), 0);
});

needTest(["postgres"], "USR2 does not end tq in the foreground, which has no log file", async () => {
  await using project = await Project.make({ servers: "postgres", handlers: HANDLERS });
  await using tq = await project.start();
  tq.signal("SIGUSR2");
  const id = await project.queue.publish("app", "print");
  await tq.logged(PRINTED);
  assert.equal((await project.ended(id)).state, 10);
  const { code, signal: killedBy } = await tq.stop();
  assert.deepEqual([code, killedBy], [0, null]);
});
