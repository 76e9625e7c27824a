import assert from "node:assert/strict";
import { type EngineFacts, examineEngine, judgeEngine } from "../../src/doctor/engine.ts";
import { PidFile } from "../../src/supervisor/pidfile.ts";
import { type EngineReport, StatusFile, type SupervisorStatus } from "../../src/supervisor/status_file.ts";
import { VERSION } from "../../src/version.ts";
import { tempFolder } from "../support/fixtures.ts";

const NOW = Date.UTC(2026, 0, 2);
const ENGINE: EngineReport = { pid: 8, id: null, commit: null, state: "ready", status: null };
const STATUS: SupervisorStatus = {
  pid: 7,
  started: new Date(NOW - 3_600_000).toISOString(),
  written: new Date(NOW - 4000).toISOString(),
  ready: true,
  version: "0.1.0",
  commit: null,
  dispatch: "redis",
  leader: true,
  engines: [ENGINE],
  refresh: null,
  trouble: null,
};

function judge(status: Partial<SupervisorStatus> | undefined, more: Partial<EngineFacts> = {}) {
  return judgeEngine({
    pid: 7,
    status: status === undefined ? undefined : { ...STATUS, ...status },
    now: NOW,
    version: "0.1.0",
    ...more,
  });
}

Deno.test("engine: judges what it says of itself", () => {
  const levels = (status: Partial<SupervisorStatus> | undefined, more: Partial<EngineFacts> = {}) =>
    judge(status, more).map(({ check, level }) => `${check} ${level}`);
  assert.deepEqual(levels({}), ["engine ok"]);
  assert.equal(judge({})[0]?.found, "runs as process 7, with 1 engine process");
  assert.deepEqual(levels(undefined, { pid: undefined }), ["engine warning"]);
  assert.deepEqual(levels(undefined), ["engine note"]);
  assert.deepEqual(levels({ ready: false }), ["engine note"]);
  const silent = new Date(NOW - 45_000).toISOString();
  assert.deepEqual(levels({ written: silent }), ["engine bad"]);
  assert.deepEqual(levels({ written: silent, ready: false }), ["engine bad"]);
  assert.match(judge({ written: silent })[0]!.found, /for 45 s$/);
  assert.deepEqual(levels({ engines: [] }), ["engine bad"]);
  assert.deepEqual(levels({ engines: [{ ...ENGINE, state: "draining" }] }), ["engine bad"]);
  assert.deepEqual(levels({ dispatch: "postgres" }), ["engine ok"]);
  assert.deepEqual(levels({ dispatch: "postgres, redis is away" }), ["engine warning"]);
  assert.deepEqual(levels({ version: "0.0.9" }), ["engine warning"]);
  assert.deepEqual(levels({ trouble: "engines die young, 3 in a row" }), ["engine bad"]);
  const { trouble: _, ...earlier } = STATUS;
  const facts = { pid: 7, status: earlier as SupervisorStatus, now: NOW, version: "0.1.0" };
  assert.equal(judgeEngine(facts)[0]?.level, "ok", "an engine of an earlier tq does not tell of trouble");
});

Deno.test("engine: code that was refused is bad, beside an engine that runs", () => {
  const refresh = {
    at: STATUS.written,
    commit: "abc",
    outcome: "refused",
    reason: "x.js does not import",
  } as const;
  const [engine, code] = judge({ refresh });
  assert.equal(engine?.level, "ok");
  assert.equal(code?.level, "bad");
  assert.equal(code.found, "commit abc was refused, and older code runs: x.js does not import");
  assert.equal(judge({ refresh: { ...refresh, outcome: "taken", reason: null } }).length, 1);
});

Deno.test("engine: looks at the lock and at the status, and believes neither alone", async () => {
  await using folder = await tempFolder();
  const look = async () => (await examineEngine(folder.path)).map(({ level }) => level);
  assert.deepEqual(await look(), ["warning"], "nobody was ever here");
  const status = { ...STATUS, pid: Deno.pid, version: VERSION, written: new Date().toISOString() };
  {
    using _held = PidFile.take(folder.path);
    await new StatusFile(folder.path).write(() => ({ ...status, pid: Deno.pid + 1 }));
    assert.deepEqual(await look(), ["note"], "the status is another's: this one is starting");
    await new StatusFile(folder.path).write(() => status);
    assert.deepEqual(await look(), ["ok"]);
  }
  assert.deepEqual(await look(), ["warning"], "it has ended and left its files");
  await Deno.remove(`${folder.path}/tq_worker.pid`);
  await look();
  assert.deepEqual([...Deno.readDirSync(folder.path)].map(({ name }) => name), ["status.json"]);
});
