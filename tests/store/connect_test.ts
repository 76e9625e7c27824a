import assert from "node:assert/strict";
import { join } from "node:path";
import { loadSettings, type Settings } from "../../src/config.ts";
import { SettingsError } from "../../src/errors.ts";
import { TaskQueue } from "../../src/publish/queue.ts";
import { connectStore, databaseName, isEmbedded, rememberDatabase } from "../../src/store/connect.ts";
import type { Store } from "../../src/store/mod.ts";
import { tempFolder } from "../support/fixtures.ts";

const OPTIONS = { applicationName: "tq connect", connections: 1 };
const SERVER = "postgres://me:hidden@db.example:6543/jobs";

/** The settings of a program in `root`, with nothing from this process' environment. */
function settingsOf(root: string, given: Record<string, string> = {}): Settings {
  return loadSettings({ folder: root, environment: {}, flags: { TQ_ROOT: root, ...given } });
}

Deno.test("databaseName() tells databases apart, and no secret", () => {
  const named = (given: Record<string, string>) => databaseName(settingsOf("/", given));
  assert.equal(named({ TQ_DATABASE_URL: SERVER }), "postgres://db.example:6543/jobs schema tq");
  assert.equal(
    named({ TQ_DATABASE_URL: "postgres://h/jobs?sslmode=require", TQ_SCHEMA: "other" }),
    "postgres://h:5432/jobs schema other",
  );
  assert.equal(named({}), "the embedded database");
});

Deno.test("a var folder that belongs to another database is refused, and both are named", async () => {
  await using root = await tempFolder();
  const server = settingsOf(root.path, { TQ_DATABASE_URL: SERVER });
  const embedded = settingsOf(root.path);
  assert.deepEqual([isEmbedded(server), isEmbedded(embedded)], [false, true]);
  const open = (settings: Settings): Promise<void> => connectStore(settings, OPTIONS).close();
  await open(server);
  await open(embedded); // Nobody has said yet which it is.
  await rememberDatabase(server);
  await open(server);
  const path = join(root.path, "var", "database");
  assert.ok(!(await Deno.readTextFile(path)).includes("hidden"));
  const other = settingsOf(root.path, { TQ_DATABASE_URL: SERVER, TQ_SCHEMA: "other" });
  for (const [settings, name] of [[embedded, "the embedded database"], [other, "schema other"]] as const) {
    assert.throws(() => connectStore(settings, OPTIONS), (error) => {
      assert.ok(error instanceof SettingsError);
      assert.match(
        error.message,
        /belongs to postgres:\/\/db\.example:6543\/jobs schema tq, but the settings name /,
      );
      assert.ok(error.message.endsWith(name), error.message);
      assert.match(error.remedy!, /TQ_DATABASE_URL/);
      return true;
    });
  }
  await rememberDatabase(embedded);
  await open(embedded);
  assert.throws(() => connectStore(server, OPTIONS), SettingsError);
});

Deno.test("a queue that is given its database itself may have another than the one that var belongs to", async () => {
  await using root = await tempFolder();
  await rememberDatabase(settingsOf(root.path, { TQ_DATABASE_URL: SERVER }));
  const other = "postgres://db.example/reports";
  await using _queue = new TaskQueue({ TQ_ROOT: root.path, TQ_DATABASE_URL: other });
  assert.throws(() => new TaskQueue({ TQ_ROOT: root.path }), /but the settings name /);
  assert.throws(() => new TaskQueue(settingsOf(root.path, { TQ_DATABASE_URL: other })), SettingsError);
});

Deno.test("a server is listened to, unless statements are not prepared, the embedded database never is", async () => {
  await using root = await tempFolder();
  const hears = async (given: Record<string, string>): Promise<boolean> => {
    await using store: Store = connectStore(settingsOf(root.path, given), OPTIONS);
    // Nobody is there: whoever does not listen says so at once.
    return await store.listen(() => {}).then((stop) => stop !== undefined, () => true);
  };
  const nobody = { TQ_DATABASE_URL: "postgres://127.0.0.1:1/none" };
  assert.equal(await hears(nobody), true);
  assert.equal(await hears({ ...nobody, TQ_PREPARE: "false" }), false);
  assert.equal(await hears({}), false);
  const wakeup = connectStore(settingsOf(root.path), OPTIONS).wakeup;
  assert.deepEqual([wakeup.first, wakeup.longest], [100, 100]);
});
