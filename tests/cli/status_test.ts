import assert from "node:assert/strict";
import { join } from "node:path";
import { PidFile } from "../../src/supervisor/pidfile.ts";
import { tempFolder } from "../support/fixtures.ts";
import { freePort } from "../support/free_port.ts";
import { cleanEnvironment } from "../support/tq.ts";
import { refusal, tq } from "./run_tq.ts";

/** A project whose supervisor is this process, and says this of itself; nothing else of it is there. */
async function supervised(status: Record<string, unknown>) {
  const folder = await tempFolder();
  const varFolder = join(folder.path, "var");
  await Deno.mkdir(join(folder.path, "handlers"));
  await Deno.mkdir(varFolder);
  const pidFile = await PidFile.takeSoon(varFolder);
  const told = {
    pid: Deno.pid,
    started: new Date().toISOString(),
    written: new Date().toISOString(),
    ready: true,
    version: "1",
    commit: "c0ffee",
    dispatch: "postgres",
    leader: true,
    engines: [],
    refresh: null,
    trouble: null,
    ...status,
  };
  await Deno.writeTextFile(join(varFolder, "status.json"), JSON.stringify(told));
  await Deno.writeTextFile(join(varFolder, "api_token"), "token\n");
  const environment = {
    ...cleanEnvironment(),
    TQ_DATABASE_URL: `postgres://tq@127.0.0.1:${freePort()}/test`,
  };
  return {
    path: folder.path,
    environment,
    async [Symbol.asyncDispose]() {
      pidFile[Symbol.dispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

Deno.test("tq status says nothing of a backlog while the record cannot be reached", async () => {
  await using project = await supervised({});
  const { stdout } = await tq(project, ["status"]);
  assert.match(stdout, /\nrecord +Postgres is unreachable /);
  assert.doesNotMatch(stdout, /backlog/);
});

Deno.test("tq status names the commit of an engine that has another, and of none that still starts", async () => {
  const engine = (pid: number, state: string, commit: string | null) => ({
    pid,
    id: null,
    commit,
    state,
    status: null,
  });
  await using project = await supervised({
    engines: [engine(11, "ready", "c0ffee"), engine(12, "draining", "0ld"), engine(13, "starting", null)],
  });
  const { code, stdout } = await tq(project, ["status"]);
  assert.equal(code, 0);
  assert.deepEqual([...stdout.matchAll(/ process (1\d .*)\n/g)].map(([, line]) => line), [
    "11 ready",
    "12 draining, commit 0ld",
    "13 starting",
  ]);
});

Deno.test("tq dashboard says that the server does not answer, with 75", async () => {
  await using project = await supervised({ http: `http://127.0.0.1:${freePort()}` });
  assert.match(
    await refusal(project, 75, ["dashboard"]),
    /^http:\/\/127\.0\.0\.1:\d+ does not answer \(.*\): see tq logs$/,
  );
});
