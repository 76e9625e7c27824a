import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import type { Finding } from "../../src/doctor/finding.ts";
import { stopEmbedded } from "../../src/store/embedded.ts";
import { tempFolder } from "../support/fixtures.ts";
import { needTest } from "../support/need.ts";
import { PrivatePostgres, PrivateRedis } from "../support/servers.ts";
import { TestRecord } from "../support/test_record.ts";
import { cleanEnvironment } from "../support/tq.ts";
import { TQ, tq } from "./run_tq.ts";

interface Place extends AsyncDisposable {
  readonly path: string;
  readonly environment: Record<string, string>;
}

/** A project, and a `crontab` command that has nothing but the lines in its file `crontab.txt`. */
async function projectWith(
  files: Record<string, string>,
  settings: Record<string, string | undefined> = {},
): Promise<Place> {
  const folder = await tempFolder();
  const all = {
    ...files,
    ".git/HEAD": `${"0123456789".repeat(4)}\n`,
    "bin/crontab": `#!/bin/sh\ncat "${folder.path}/crontab.txt"\n`,
    "crontab.txt": "",
  };
  for (const [name, text] of Object.entries(all)) {
    const path = join(folder.path, name);
    await Deno.mkdir(dirname(path), { recursive: true });
    await Deno.writeTextFile(path, text, name.startsWith("bin/") ? { mode: 0o755 } : {});
  }
  const { PATH = "", TQ_TEST_RUN_MARK: _, ...environment } = cleanEnvironment();
  const given = Object.entries(settings).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, value]]
  );
  return {
    path: folder.path,
    environment: {
      ...environment,
      ...Object.fromEntries(given),
      PATH: `${join(folder.path, "bin")}:${PATH}`,
    },
    async [Symbol.asyncDispose]() {
      await folder[Symbol.asyncDispose]();
    },
  };
}

/** What the doctor says, and what it exits with. */
async function examined(project: Place): Promise<{ code: number; findings: Finding[]; seconds: number }> {
  const started = performance.now();
  const { code, stdout, stderr } = await tq(project, ["doctor", "--json"]);
  const seconds = (performance.now() - started) / 1000;
  assert.equal(stderr, "");
  const { bad, warnings, findings } = JSON.parse(stdout);
  const count = (level: string) => findings.filter((one: Finding) => one.level === level).length;
  assert.deepEqual([bad, warnings], [count("bad"), count("warning")]);
  assert.equal(code, bad > 0 ? 1 : 0);
  return { code, findings, seconds };
}

function levelsOf(findings: readonly Finding[]): string[] {
  return findings.map(({ check, level }) => `${check} ${level}`);
}

/** The paths of all files below a folder, with their sizes and times. */
function filesIn(folder: string): string[] {
  return [...Deno.readDirSync(folder)].flatMap(({ name, isDirectory }) => {
    const path = join(folder, name);
    const { size, mtime } = Deno.statSync(path);
    return [`${path} ${isDirectory ? "" : size} ${mtime?.getTime()}`, ...isDirectory ? filesIn(path) : []];
  }).sort();
}

const GOOD = { "handlers/mail.js": "export function send() {}" };

/** Every check of a project with servers. */
const CHECKS = [
  "settings project tq postgres schema clock transactions autovacuum dead_rows bloat redis eviction redis_memory var",
  "handlers code_watch cron engine",
].join(" ").split(" ").map((check) => check.replace("_", " "));

needTest(
  ["postgres-binaries", "redis-binaries"],
  "tq doctor finds all well where all is well, prints a line for each check, and writes nothing",
  async () => {
    await using postgres = await PrivatePostgres.started();
    await using redis = await PrivateRedis.started();
    await using project = await projectWith(GOOD, {
      TQ_DATABASE_URL: postgres.url(),
      TQ_REDIS_URL: redis.url(),
      TQ_PROCESSES: "1",
    });
    const installed = await tq(project, ["periodic", "--install"]);
    await Deno.writeTextFile(join(project.path, "crontab.txt"), installed.stdout);
    const started = await tq(project, ["start"]);
    assert.equal(started.code, 0, started.stderr);
    try {
      const { code, stdout, stderr } = await tq(project, ["doctor"]);
      assert.equal(code, 0, stdout + stderr);
      assert.equal(stderr, "");
      const lines = stdout.trimEnd().split("\n");
      assert.equal(lines.pop(), "all is well");
      assert.deepEqual(
        lines.map((line) => line.slice(0, 23).trimEnd()),
        CHECKS.map((check) => `ok       ${check}`),
      );
      const { findings } = await examined(project);
      assert.deepEqual(findings.map(({ check }) => check), CHECKS);
      assert.ok(findings.every(({ level, remedy }) => level === "ok" && remedy === null));
    } finally {
      const stopped = await tq(project, ["stop"]);
      assert.equal(stopped.code, 0, stopped.stderr);
    }
    const before = filesIn(project.path);
    const { code, findings } = await examined(project);
    assert.equal(code, 0, "an engine that does not run is a warning");
    assert.deepEqual(levelsOf(findings).filter((line) => !line.endsWith(" ok")), ["engine warning"]);
    assert.deepEqual(filesIn(project.path), before);
  },
);

needTest(["postgres"], "tq doctor changes nothing in Postgres, and says what is bad there", async () => {
  await using record = await TestRecord.make();
  const contents = () =>
    record.run(
      `select (select jsonb_agg(to_jsonb(t) || jsonb_build_object('xmin', t.xmin::text)) from :schema.install t) i,
      (select jsonb_agg(to_jsonb(t) || jsonb_build_object('xmin', t.xmin::text)) from :schema.leader t) l,
      (select count(*) from :schema.engines) e, (select count(*) from :schema.tasks) t,
      (select is_called from :schema.tasks_id_seq) s`,
    );
  await using project = await projectWith(GOOD, {
    TQ_DATABASE_URL: record.url,
    TQ_SCHEMA: record.schema,
    TQ_PREPARE: record.settings().given.TQ_PREPARE,
  });
  const before = await contents();
  await examined(project);
  assert.deepEqual(await contents(), before);
  project.environment.TQ_SCHEMA = `${record.schema}_none`;
  const { code, findings } = await examined(project);
  assert.equal(code, 1);
  const schema = findings.find(({ check }) => check === "schema");
  assert.equal(`${schema?.level} ${schema?.remedy}`, "bad run tq migrate");
});

Deno.test("tq doctor goes on when everything hangs, and ends within 10 s", async () => {
  const held: Deno.Conn[] = [];
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const taking = (async () => {
    for await (const connection of listener) held.push(connection);
  })();
  await using project = await projectWith({ "handlers/hangs.js": "while (true);" }, {
    TQ_DATABASE_URL: `postgres://127.0.0.1:${listener.addr.port}/x`,
    TQ_REDIS_URL: `redis://127.0.0.1:${listener.addr.port}`,
  });
  await Deno.writeTextFile(join(project.path, "bin/crontab"), "#!/bin/sh\nexec sleep 60\n", { mode: 0o755 });
  const { code, findings, seconds } = await examined(project);
  listener.close();
  for (const connection of held) connection.close();
  await taking;
  assert.equal(code, 1);
  assert.ok(seconds < 10, `${seconds} s`);
  assert.deepEqual(levelsOf(findings), [
    "settings ok",
    "project ok",
    "tq ok",
    "postgres bad",
    "redis bad",
    "var ok",
    "handlers bad",
    "code watch ok",
    "cron warning",
    "engine warning",
  ]);
});

Deno.test("tq doctor says that servers are away, and how to mend it", async () => {
  await using project = await projectWith(GOOD, {
    TQ_DATABASE_URL: "postgres://127.0.0.1:1/x",
    TQ_REDIS_URL: "redis://127.0.0.1:1",
  });
  const { code, stdout } = await tq(project, ["doctor"]);
  assert.equal(code, 1);
  assert.match(
    stdout,
    /^bad {6}postgres {6}Postgres is unreachable .* → see that it runs and that TQ_DATABASE_URL is right$/m,
  );
  assert.match(
    stdout,
    /^bad {6}redis {9}Redis is unreachable .* → see that it runs and that TQ_REDIS_URL is right$/m,
  );
  assert.match(stdout, /\n2 bad, 2 warnings\n$/);
});

Deno.test("tq doctor looks at the embedded database when it runs, and makes nothing when it does not", async () => {
  await using project = await projectWith(GOOD);
  const varFolder = join(project.path, "var");
  const before = filesIn(project.path);
  const cold = await examined(project);
  assert.equal(cold.code, 0);
  assert.deepEqual(levelsOf(cold.findings), [
    "settings ok",
    "project ok",
    "tq ok",
    "postgres note",
    "redis ok",
    "var ok",
    "handlers ok",
    "code watch ok",
    "cron warning",
    "engine warning",
  ]);
  assert.deepEqual(filesIn(project.path), before);
  try {
    const published = await tq(project, ["publish", "mail", "send"]);
    assert.equal(published.code, 0, published.stderr);
    const warm = await examined(project);
    assert.equal(warm.code, 0);
    assert.deepEqual(levelsOf(warm.findings).slice(3, 10), [
      "postgres ok",
      "schema ok",
      "clock ok",
      "transactions ok",
      "autovacuum note",
      "dead rows ok",
      "bloat ok",
    ]);
    assert.match(warm.findings[3]!.found, /^the embedded database: Postgres \d/);
  } finally {
    await stopEmbedded(varFolder);
  }
});

Deno.test("tq doctor names bad settings and unknown ones once, on stdout", async () => {
  await using project = await projectWith(GOOD, { TQ_WORKRES: "5" });
  const { findings } = await examined(project);
  const unknown = findings.filter(({ check, level }) => check === "settings" && level === "warning");
  assert.deepEqual(unknown.map(({ remedy }) => remedy), ["did you mean TQ_WORKERS?"]);
  project.environment.TQ_WORKERS = "many";
  const { code, findings: few } = await examined(project);
  assert.equal(code, 1);
  assert.deepEqual(levelsOf(few), ["settings bad", "settings note", "tq ok"]);
  assert.match(few[0]!.found, /^TQ_WORKERS is "many"$/);
});

Deno.test("tq doctor gives text from outside to a terminal as text, on one line, in colours", async (t) => {
  if (Deno.build.os !== "linux") return;
  await using project = await projectWith({
    "handlers/bad.js": "throw new Error('a\\x1b[2Jb\\u202ec\\nd');",
  });
  const { NO_COLOR: _, ...env } = project.environment;
  const command = [Deno.execPath(), ...TQ, "doctor"].map((part) => `'${part}'`).join(" ");
  const onTerminal = async (more: Record<string, string> = {}) => {
    try {
      const { stdout } = await new Deno.Command("script", {
        args: ["-qec", command, "/dev/null"],
        cwd: project.path,
        env: { ...env, TERM: "xterm-256color", ...more },
        clearEnv: true,
        stdin: "null",
      }).output();
      return new TextDecoder().decode(stdout).replaceAll("\r\n", "\n");
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    }
  };
  const shown = await onTerminal();
  if (shown === undefined) return console.log(`SKIPPED ${t.name}: no script of util-linux on this machine`);
  // deno-lint-ignore no-control-regex
  assert.match(shown, /^\x1b\[31mbad {4}\x1b\[39m {2}handlers {6}handlers\/bad\.js does not import: /m);
  // deno-lint-ignore no-control-regex
  assert.match(shown, /^\x1b\[32mok {5}\x1b\[39m {2}settings /m);
  // deno-lint-ignore no-control-regex
  assert.match(shown, /^\x1b\[33mwarning\x1b\[39m {2}engine /m);
  // deno-lint-ignore no-control-regex
  assert.doesNotMatch(shown, /\x1b\[2J|\u202e/);
  const plain = await onTerminal({ NO_COLOR: "1" });
  // deno-lint-ignore no-control-regex
  assert.doesNotMatch(plain ?? "", /\x1b/);
});
