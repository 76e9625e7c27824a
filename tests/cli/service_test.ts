import assert from "node:assert/strict";
import { join } from "node:path";
import { tempFolder } from "../support/fixtures.ts";
import { cleanEnvironment } from "../support/tq.ts";
import { selfCommand } from "../../src/self.ts";
import { forEach, printed, refusal } from "./run_tq.ts";

const SECRETS = {
  TQ_DATABASE_URL: "postgres://shop:hunter2@127.0.0.1:5432/shop",
  TQ_REDIS_URL: "redis://:hunter3@127.0.0.1:6379",
};

/** A project that nothing runs in. */
async function place() {
  const folder = await tempFolder();
  await Deno.mkdir(join(folder.path, "handlers"));
  return { ...folder, path: folder.path, environment: { ...cleanEnvironment(), ...SECRETS } };
}

Deno.test("tq service --systemd prints a unit of this tq and this project", async () => {
  await using project = await place();
  const unit = await printed(project, ["service", "--systemd"]);
  const { executable, args } = selfCommand();
  const self = [executable, ...args].join(" ");
  assert.ok(unit.includes(`\nExecStart=${self} run\n`), unit);
  assert.ok(unit.includes(`\nExecReload=${self} reload\n`), unit);
  assert.ok(unit.includes(`\nWorkingDirectory=${project.path}\n`), unit);
  assert.match(unit, /^#\s+TQ_DATABASE_URL=postgres:\/\/shop:PASSWORD@127\.0\.0\.1:5432\/shop$/m);
  assert.match(unit, /^EnvironmentFile=\/etc\/tq-/m);
});

Deno.test("tq service --docker prints a Dockerfile, a compose file, or both", async () => {
  await using project = await place();
  const [file, compose, both] = await Promise.all([
    printed(project, ["service", "--docker", "dockerfile"]),
    printed(project, ["service", "--docker", "compose"]),
    printed(project, ["service", "--docker"]),
  ]);
  assert.match(file, /^FROM debian:/m);
  assert.match(compose, /^services:$/m);
  assert.equal(both, `# ==== Dockerfile ====\n${file}\n# ==== compose.yaml ====\n${compose}`);
});

Deno.test("no service file has a password in it", async () => {
  await using project = await place();
  await forEach([["--systemd"], ["--docker"]], async (args) => {
    assert.doesNotMatch(await printed(project, ["service", ...args]), /hunter/);
  });
});

Deno.test("tq service says what it needs to know", async () => {
  await using project = await place();
  await using nowhere = await tempFolder();
  await forEach(
    [
      [[], /^service does not know which files to print: give --systemd or --docker$/],
      [["--systemd", "--docker"], /cannot be used with option/],
      [["--docker", "image"], /^--docker is "image": give dockerfile, compose or nothing$/],
    ] as const,
    async ([args, message]) => {
      assert.match(await refusal(project, 2, ["service", ...args]), message);
    },
  );
  const lost = { folder: nowhere.path };
  assert.match(
    await refusal(project, 2, ["service", "--systemd"], lost),
    /^no root folder, .*: .*set TQ_ROOT/,
  );
});
