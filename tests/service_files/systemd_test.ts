import assert from "node:assert/strict";
import { join } from "node:path";
import { InputError } from "../../src/errors.ts";
import type { ServicePlan } from "../../src/service_files/plan.ts";
import { systemdUnit, type UnitOptions } from "../../src/service_files/systemd.ts";
import { tempFolder } from "../support/fixtures.ts";
import { needTest } from "../support/need.ts";
import { planOf } from "./plans.ts";

const OPTIONS: UnitOptions = {
  command: (...words) => ({ executable: "/usr/local/bin/tq", args: words }),
  version: "1.2.3",
};

/** The values of one key, in order. */
function valuesOf(unit: string, key: string): string[] {
  return unit.split("\n").flatMap((line) => line.startsWith(`${key}=`) ? [line.slice(key.length + 1)] : []);
}

function unitOf(changes: Partial<ServicePlan> = {}, options: Partial<UnitOptions> = {}): string {
  return systemdUnit(planOf(changes), { ...OPTIONS, ...options });
}

Deno.test("the unit runs tq in the foreground, speaks to systemd, and is restarted whatever happens", () => {
  const unit = unitOf();
  const expected: Readonly<Record<string, readonly string[]>> = {
    Type: ["notify"],
    NotifyAccess: ["main"],
    User: ["shop"],
    WorkingDirectory: ["/srv/shop"],
    ExecStart: ["/usr/local/bin/tq run"],
    ExecReload: ["/usr/local/bin/tq reload"],
    Restart: ["always"],
    StartLimitIntervalSec: ["0"],
    WatchdogSec: ["60"],
    KillMode: ["mixed"],
    OOMPolicy: ["continue"],
    NoNewPrivileges: ["yes"],
    ProtectSystem: ["strict"],
    ReadWritePaths: ["/srv/shop/var"],
    Environment: ["TQ_ROOT=/srv/shop", "TQ_VAR=/srv/shop/var", "DENO_DIR=%C/tq-shop"],
    EnvironmentFile: [],
    WantedBy: ["multi-user.target"],
  };
  for (const [key, values] of Object.entries(expected)) assert.deepEqual(valuesOf(unit, key), values, key);
});

Deno.test("TimeoutStopSec is longer than the drain time, and TimeoutStartSec than a reload of all engines", () => {
  const seconds = (changes: Partial<ServicePlan>, key: string) => Number(valuesOf(unitOf(changes), key)[0]);
  assert.equal(seconds({ drainTimeout: 0 }, "TimeoutStopSec"), 30);
  assert.equal(seconds({ drainTimeout: 600.5 }, "TimeoutStopSec"), 631);
  assert.equal(seconds({}, "TimeoutStartSec"), 150);
  assert.equal(seconds({ processes: 10 }, "TimeoutStartSec"), 330);
});

Deno.test("settings of the environment are in the unit, those of tq.json are not, and secrets are in a file of their own", () => {
  const unit = unitOf({
    settings: [
      { name: "TQ_WORKERS", value: "20", isInFile: false },
      { name: "TQ_PROCESSES", value: "2", isInFile: true },
    ],
    secrets: [
      { name: "TQ_DATABASE_URL", masked: "postgres://shop:PASSWORD@db/shop", isInFile: false },
      { name: "TQ_WEB_SECRET", masked: "PASSWORD", isInFile: true },
    ],
  });
  assert.ok(valuesOf(unit, "Environment").includes("TQ_WORKERS=20"));
  assert.doesNotMatch(unit, /TQ_PROCESSES|TQ_WEB_SECRET/);
  assert.deepEqual(valuesOf(unit, "EnvironmentFile"), ["/etc/tq-shop.env"]);
  assert.match(unit, /^# {5}TQ_DATABASE_URL=postgres:\/\/shop:PASSWORD@db\/shop$/m);
});

Deno.test("a unit waits for servers on its own machine, and for those alone", () => {
  const after = (postgres: string | undefined, redis: string | undefined) =>
    valuesOf(unitOf({ hosts: { postgres, redis } }), "After");
  assert.deepEqual(after("db.example.com", undefined), ["network-online.target"]);
  assert.deepEqual(after("localhost", "127.0.0.1"), [
    "network-online.target postgresql.service redis-server.service redis.service valkey.service",
  ]);
});

Deno.test("a folder for Deno's cache that was given is used, and may be written", () => {
  const unit = unitOf({}, { denoFolder: "/var/lib/deno" });
  assert.ok(valuesOf(unit, "Environment").includes("DENO_DIR=/var/lib/deno"));
  assert.deepEqual(valuesOf(unit, "CacheDirectory"), []);
  assert.deepEqual(valuesOf(unit, "ReadWritePaths"), ["/srv/shop/var -/var/lib/deno"]);
});

Deno.test("what means something to systemd stands for itself", () => {
  const odd = '/srv/a b"c\\d%e$f';
  const unit = unitOf({ root: odd, varFolder: `${odd}/var`, handlers: undefined }, {
    command: (...words) => ({ executable: "/opt/a b%c/tq", args: [`${odd}/main.ts`, ...words] }),
  });
  const quoted = String.raw`"/srv/a b\"c\\d%%e$f`;
  assert.deepEqual(valuesOf(unit, "WorkingDirectory"), [String.raw`/srv/a b"c\d%%e$f`]);
  assert.deepEqual(valuesOf(unit, "ReadWritePaths"), [`${quoted}/var"`]);
  assert.deepEqual(valuesOf(unit, "ExecStart"), [
    String.raw`"/opt/a b%%c/tq" "/srv/a b\"c\\d%%e$$f/main.ts" run`,
  ]);
  assert.equal(valuesOf(unit, "Environment")[0], String.raw`"TQ_ROOT=/srv/a b\"c\\d%%e$f"`);
  assert.ok(valuesOf(unit, "Environment").includes("TQ_HANDLERS=/srv/shop/handlers"));
});

Deno.test("a program at a path that systemd does not take is refused", () => {
  const command = () => ({ executable: `/opt/"/tq`, args: [] });
  assert.throws(() => unitOf({}, { command }), InputError);
});

/** What `systemd-analyze verify` says of a unit, and whether it accepts it. */
async function verify(unit: string): Promise<{ code: number; said: string }> {
  await using folder = await tempFolder();
  const path = join(folder.path, "tq-shop.service");
  await Deno.writeTextFile(path, unit);
  const { code, stdout, stderr } = await new Deno.Command("systemd-analyze", {
    args: ["verify", "--man=no", path],
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  return { code, said: decoder.decode(stdout) + decoder.decode(stderr) };
}

needTest(["systemd"], "systemd-analyze verify accepts the unit, and would say what is wrong", async () => {
  await using folder = await tempFolder();
  const odd = join(folder.path, 'a b"c\\d%e');
  await Deno.mkdir(odd);
  const program = join(folder.path, "t q%");
  await Deno.writeTextFile(program, "#!/bin/sh\n", { mode: 0o755 });
  const command = (...args: string[]) => ({ executable: program, args });
  const full: Partial<ServicePlan> = {
    root: odd,
    varFolder: join(odd, "var"),
    settings: [{ name: "TQ_SUBSCRIBE", value: "a b,c:5", isInFile: false }],
    secrets: [{ name: "TQ_REDIS_URL", masked: "redis://:PASSWORD@h", isInFile: false }],
    hosts: { postgres: "localhost", redis: "localhost" },
  };
  for (const changes of [{}, full]) {
    assert.deepEqual(await verify(unitOf(changes, { command })), { code: 0, said: "" });
  }
  const wrong = await verify(unitOf({}, { command }).replace("KillMode=mixed", "KillMode=gently"));
  assert.match(wrong.said, /KillMode|kill mode/);
});
