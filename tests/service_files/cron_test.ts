import assert from "node:assert/strict";
import { join } from "node:path";
import { loadSettings, type SettingsInput } from "../../src/config.ts";
import { SettingsError } from "../../src/errors.ts";
import { crontabLines } from "../../src/service_files/cron.ts";
import { type TempFolder, tempFolder } from "../support/fixtures.ts";

const SELF = { executable: "/opt/the queue/tq", args: ["periodic"] };

/** The lines for a project in `folder`, with what `tq.json` and the environment give. */
function linesFor(folder: TempFolder, file: SettingsInput, environment: Record<string, string>): string[] {
  Deno.writeTextFileSync(join(folder.path, "tq.json"), JSON.stringify(file));
  return crontabLines(loadSettings({ environment, folder: folder.path }), environment, SELF);
}

Deno.test("a crontab gets what the environment gives, and not what tq.json does", async () => {
  await using folder = await tempFolder();
  const file = { TQ_DATABASE_URL: "postgres://shop:hunter2@db/shop", TQ_WORKERS: 20, TQ_LEASE: 10 };
  const environment = { DATABASE_URL: "postgres://blog@db/blog", TQ_WORKERS: "7", TQ_VAR: "it's 50%" };
  assert.deepEqual(linesFor(folder, file, environment), [
    `*/5 * * * * TQ_VAR='it'\\''s 50\\%' TQ_WORKERS=7 TQ_ROOT=${folder.path} '/opt/the queue/tq' periodic`,
  ]);
});

Deno.test("a crontab has secrets beside the command, for that line alone", async () => {
  await using folder = await tempFolder();
  const lines = linesFor(folder, {}, {
    DATABASE_URL: "postgres://shop:hunter'2%@db/shop",
    TQ_REDIS_URL: "redis://h",
    TQ_WEB_SECRET: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
  });
  assert.deepEqual(lines, [
    `TQ_DATABASE_URL="postgres://shop:hunter'2%@db/shop"`,
    "TQ_WEB_SECRET='whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'",
    `*/5 * * * * TQ_REDIS_URL=redis://h TQ_ROOT=${folder.path} '/opt/the queue/tq' periodic`,
    'TQ_DATABASE_URL=""',
    'TQ_WEB_SECRET=""',
  ]);
});

Deno.test("what cannot stand in a crontab is refused by name, without its value", async () => {
  await using folder = await tempFolder();
  const cases: Record<string, string>[] = [
    { TQ_ALERT_URL: `http://h/'"hunter2` },
    { TQ_ALERT_URL: `http://h/hunter2${"x".repeat(900)}` },
    { TQ_VAR: "hunter2\n" },
  ];
  for (const environment of cases) {
    const [name] = Object.keys(environment);
    assert.throws(() => linesFor(folder, {}, environment), (error) => {
      assert.ok(error instanceof SettingsError);
      assert.match(error.message, new RegExp(`^${name} has a value that cannot stand in a crontab`));
      assert.doesNotMatch(error.message, /hunter2/);
      return true;
    });
  }
});
