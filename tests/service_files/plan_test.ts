import assert from "node:assert/strict";
import { join } from "node:path";
import { loadSettings, type SettingsInput } from "../../src/config.ts";
import { SettingsError } from "../../src/errors.ts";
import { planService, type ServicePlan } from "../../src/service_files/plan.ts";
import { isSecret, maskSecret } from "../../src/service_files/secrets.ts";
import { tempFolder } from "../support/fixtures.ts";

/** The plan of a project in `folder`, with what `tq.json` and the environment give. */
async function planOf(folder: string, file: SettingsInput, environment: SettingsInput): Promise<ServicePlan> {
  await Deno.mkdir(join(folder, "handlers"), { recursive: true });
  await Deno.writeTextFile(join(folder, "tq.json"), JSON.stringify(file));
  const variables = environment as Record<string, string>;
  return await planService(loadSettings({ environment: variables, folder }), variables);
}

Deno.test("a plan tells what tq.json gives from what the environment gives, and secrets from the rest", async () => {
  await using folder = await tempFolder();
  const plan = await planOf(folder.path, {
    TQ_WORKERS: 20,
    TQ_DRAIN_TIMEOUT: "5m",
    TQ_WEB_SECRET: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
  }, {
    TQ_PROCESSES: "3",
    ...{ DATABASE_URL: "postgres://shop:hunter2@db.example.com/shop" },
    TQ_REDIS_URL: "redis://127.0.0.1:6379",
    TQ_VAR: "elsewhere",
  });
  assert.deepEqual(plan.settings, [
    { name: "TQ_REDIS_URL", value: "redis://127.0.0.1:6379", isInFile: false },
    { name: "TQ_WORKERS", value: "20", isInFile: true },
    { name: "TQ_PROCESSES", value: "3", isInFile: false },
    { name: "TQ_DRAIN_TIMEOUT", value: "5m", isInFile: true },
  ]);
  assert.deepEqual(plan.secrets, [
    { name: "TQ_DATABASE_URL", masked: "postgres://shop:PASSWORD@db.example.com/shop", isInFile: false },
    { name: "TQ_WEB_SECRET", masked: "PASSWORD", isInFile: true },
  ]);
  assert.deepEqual(plan.hosts, { postgres: "db.example.com", redis: "127.0.0.1" });
  assert.deepEqual([plan.drainTimeout, plan.processes, plan.httpPort], [300, 3, 7654]);
  assert.deepEqual(
    [plan.root, plan.varFolder, plan.handlersFolder, plan.handlers],
    [folder.path, join(folder.path, "elsewhere"), join(folder.path, "handlers"), "handlers"],
  );
  assert.doesNotMatch(JSON.stringify(plan), /hunter2|MfKQ9r8/);
});

Deno.test("a plan is named after the root, and runs as who owns var, else the root", async () => {
  await using folder = await tempFolder();
  const root = join(folder.path, "-My shop, 2.0-");
  await Deno.mkdir(root);
  const first = await planOf(root, {}, {});
  assert.equal(first.name, "tq-My-shop-2-0");
  const { stdout } = await new Deno.Command("id", { args: ["-un"] }).output();
  assert.equal(first.user, new TextDecoder().decode(stdout).trim());
  if (Deno.uid() !== 0) return;
  await Deno.mkdir(join(root, "var"));
  await Deno.chown(join(root, "var"), 54_321, null);
  assert.equal((await planOf(root, {}, {})).user, "54321", "a number that has no name");
});

Deno.test("handlers outside the root, or that are the root, have no path from it", async () => {
  await using folder = await tempFolder();
  const root = join(folder.path, "root");
  await Deno.mkdir(root);
  for (const place of [join(folder.path, "shared"), root]) {
    assert.equal((await planOf(root, { TQ_HANDLERS: place }, {})).handlers, undefined);
  }
  assert.equal((await planOf(root, { TQ_HANDLERS: "..tasks/x" }, {})).handlers, "..tasks/x");
});

Deno.test("a path that cannot stand on one line is refused", async () => {
  await using folder = await tempFolder();
  const root = join(folder.path, "two\nlines");
  await Deno.mkdir(root);
  await assert.rejects(planOf(root, {}, {}), SettingsError);
});

Deno.test("what may hold a secret is one, and is never shown in full", () => {
  const shown: readonly (readonly [name: string, value: string, masked: string | undefined])[] = [
    ["TQ_DATABASE_URL", "postgres://127.0.0.1/shop", undefined],
    ["TQ_DATABASE_URL", "postgres://shop@127.0.0.1/shop?sslmode=require", undefined],
    ["TQ_DATABASE_URL", "postgres://shop:s3@h:1/d?sslmode=x", "postgres://shop:PASSWORD@h:1/d?sslmode=x"],
    ["TQ_DATABASE_URL", "postgres://h/d?password=s3&sslmode=x", "postgres://h/d?password=PASSWORD&sslmode=x"],
    // Passwords that were not escaped.
    ["TQ_DATABASE_URL", "postgres://shop:12/s3@h/d", "postgres://PASSWORD"],
    ["TQ_DATABASE_URL", "postgres://shop:12?s3@h/d", "postgres://PASSWORD"],
    ["TQ_DATABASE_URL", "postgres://shop:12#s3@h/d", "postgres://PASSWORD"],
    ["TQ_REDIS_URL", "redis://127.0.0.1:6379/0", undefined],
    ["TQ_REDIS_URL", "rediss://:s3@h:6380", "rediss://:PASSWORD@h:6380"],
    ["TQ_API_TOKENS", "manage:s3", "PASSWORD"],
    ["TQ_WEB_SECRET", "whsec_s3", "PASSWORD"],
    ["TQ_HTTP", "127.0.0.1:7654", undefined],
    ["TQ_WORKERS", "20", undefined],
    ["TQ_ANYTHING", "https://user:s3@example.com", "PASSWORD"],
  ];
  for (const [name, value, masked] of shown) {
    assert.equal(isSecret(name, value), masked !== undefined, value);
    if (masked !== undefined) assert.equal(maskSecret(name, value), masked);
    if (masked !== undefined) assert.doesNotMatch(maskSecret(name, value), /s3/);
  }
});
