import assert from "node:assert/strict";
import { join } from "node:path";
import { examineSettings } from "../../src/doctor/settings.ts";
import { judgeRuntime } from "../../src/doctor/runtime.ts";
import { tempFolder } from "../support/fixtures.ts";

/** Settings of an environment, in a folder without a project. */
function examine(environment: Record<string, string>, folder = "/") {
  return examineSettings({ environment, folder });
}

Deno.test("settings: valid ones are named without their values", async () => {
  await using folder = await tempFolder();
  await Deno.writeTextFile(join(folder.path, "tq.json"), '{ "TQ_WORKERS": 5 }');
  const url = "postgres://shop:secret@db/shop";
  const { settings, findings } = examine({ DATABASE_URL: url }, folder.path);
  assert.equal(settings?.TQ_WORKERS, 5);
  assert.deepEqual(findings, [
    { check: "settings", level: "ok", found: "valid; given: TQ_DATABASE_URL, TQ_WORKERS", remedy: null },
    { check: "project", level: "ok", found: folder.path, remedy: null },
  ]);
  await Deno.writeTextFile(join(folder.path, "tq.json"), "{}");
  assert.equal(examine({}, folder.path).findings[0]?.found, "valid; all have their defaults");
});

Deno.test("settings: each unknown variable is a warning, with the nearest name where one is near", () => {
  const { findings } = examine({
    TQ_WORKRES: "5",
    TQ_SOMETHING_ELSE: "x",
    TQ_DATABASE_URL: "postgres://db/x",
  });
  assert.deepEqual(findings.slice(1, 3), [
    {
      check: "settings",
      level: "warning",
      found: "TQ_SOMETHING_ELSE in the environment is no setting",
      remedy: "see docs/settings.md",
    },
    {
      check: "settings",
      level: "warning",
      found: "TQ_WORKRES in the environment is no setting",
      remedy: "did you mean TQ_WORKERS?",
    },
  ]);
});

Deno.test("settings: without a project tasks can be published to a server, and nothing else can be done", () => {
  const levels = (environment: Record<string, string>) =>
    examine(environment).findings.filter(({ check }) => check === "project").map(({ level }) => level);
  assert.deepEqual(levels({}), ["bad"]);
  assert.deepEqual(levels({ TQ_DATABASE_URL: "postgres://db/x" }), ["warning"]);
});

Deno.test("settings: one that is not valid is bad, named, and ends the look", async () => {
  await using folder = await tempFolder();
  const { settings, findings } = examine({ TQ_WORKERS: "many" }, folder.path);
  assert.equal(settings, undefined);
  assert.deepEqual(findings, [{
    check: "settings",
    level: "bad",
    found: 'TQ_WORKERS is "many"',
    remedy: "allowed: a whole number from 1 to 10000",
  }]);
  await Deno.writeTextFile(join(folder.path, "tq.json"), '{ "TQ_WORKRES": 5 }');
  const [unknown] = examine({}, folder.path).findings;
  assert.equal(unknown?.level, "bad");
  assert.match(unknown.found, /tq\.json has the unknown key "TQ_WORKRES"$/);
  assert.equal(unknown.remedy, "did you mean TQ_WORKERS?");
});

Deno.test("runtime: a Deno before 2.4.2 is too old", () => {
  const level = (deno: string) => judgeRuntime("tq 0.1.0", deno).level;
  for (const deno of ["2.4.2", "2.4.10", "2.9.6", "2.10.0", "3.0.0", "2.9.0-rc.1"]) {
    assert.equal(level(deno), "ok", deno);
  }
  for (const deno of ["1.46.3", "2.3.9", "2.4.1"]) assert.equal(level(deno), "bad", deno);
  assert.match(judgeRuntime("tq 0.1.0", "2.3.0").remedy ?? "", /2\.4\.2 or later/);
});
