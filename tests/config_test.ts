import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { childEnvironment, documentSettings, loadSettings, need, type SettingsInput } from "../src/config.ts";
import { describe, SettingsError } from "../src/errors.ts";
import { tempFolder } from "./support/fixtures.ts";

/** Settings from flags alone. */
function fromFlags(flags: Record<string, unknown>) {
  return loadSettings({ flags: flags as SettingsInput, environment: {}, folder: "/" });
}

/** What the settings are refused with, as a person reads it. */
function refusal(load: () => unknown): string {
  try {
    load();
  } catch (error) {
    assert.ok(error instanceof SettingsError, String(error));
    assert.equal(error.exitCode, 2);
    assert.doesNotMatch(describe(error), /\n/);
    return describe(error);
  }
  return assert.fail("nothing was refused");
}

/** A temporary folder with files by their path. */
async function folderWith(files: Record<string, string>) {
  const folder = await tempFolder();
  for (const [name, text] of Object.entries(files)) {
    await Deno.mkdir(dirname(join(folder.path, name)), { recursive: true });
    await Deno.writeTextFile(join(folder.path, name), text);
  }
  return folder;
}

Deno.test("without anything, every setting has its documented default", () => {
  const settings = fromFlags({});
  const { given, unknown, root, handlersFolder, varFolder, ...values } = settings;
  assert.deepEqual({ given, unknown, root, handlersFolder, varFolder }, {
    given: {},
    unknown: [],
    root: undefined,
    handlersFolder: undefined,
    varFolder: undefined,
  });
  assert.deepEqual(values, {
    TQ_DATABASE_URL: undefined,
    TQ_REDIS_URL: undefined,
    TQ_SCHEMA: "tq",
    TQ_REDIS_PREFIX: "tq",
    TQ_PREPARE: true,
    TQ_SUBSCRIBE: [
      { channel: "tq_model_handler", limit: undefined },
      { channel: "tq_app_handler", limit: undefined },
      { channel: "tq_hook", limit: undefined },
    ],
    TQ_WORKERS: 10,
    TQ_PROCESSES: undefined,
    TQ_RETRY_ATTEMPTS: 5,
    TQ_RETRY_DELAY: 60,
    TQ_RETRY_BACKOFF_FACTOR: 2,
    TQ_TASK_TIMEOUT: 1800,
    TQ_LEASE: 30,
    TQ_DRAIN_TIMEOUT: 30,
    TQ_REPORT_BACKLOG: 200,
    TQ_DELETE_AFTER: 30,
    TQ_DELETE_COMPLETED_AFTER: 7,
    TQ_MAX_RSS: 536_870_912,
    TQ_MAX_TASKS: undefined,
    TQ_MAX_DATA: 1_048_576,
    TQ_WEB_TIMEOUT: 15,
    TQ_WEB_ALLOW_LINK_LOCAL: false,
    TQ_WEB_SECRET: undefined,
    TQ_HTTP: { hostname: "127.0.0.1", port: 7654 },
    TQ_HTTP_HOSTS: [],
    TQ_API_TOKENS: undefined,
    TQ_REDACT: [],
    TQ_ALERT_URL: undefined,
    TQ_ALERT_FAILURE_RATE: 0.2,
    TQ_LOG_LEVEL: "info",
    TQ_LOG_FORMAT: "text",
  });
});

Deno.test("flags go before the environment, that before tq.json, that before the default", async () => {
  await using folder = await folderWith({
    "tq.json": '{"TQ_WORKERS": 1, "TQ_LEASE": "1m", "TQ_SCHEMA": "from_file", "TQ_PREPARE": false}',
  });
  const settings = loadSettings({
    flags: { TQ_WORKERS: 3, TQ_SCHEMA: undefined },
    environment: { TQ_WORKERS: "2", TQ_LEASE: "90s" },
    folder: folder.path,
  });
  assert.deepEqual(
    [settings.TQ_WORKERS, settings.TQ_LEASE, settings.TQ_SCHEMA, settings.TQ_PREPARE, settings.TQ_PROCESSES],
    [3, 90, "from_file", false, undefined],
  );
  assert.deepEqual(settings.given, {
    TQ_ROOT: folder.path,
    TQ_WORKERS: "3",
    TQ_LEASE: "90s",
    TQ_SCHEMA: "from_file",
    TQ_PREPARE: "false",
  });
});

Deno.test("what was given, handed to a child as its environment, makes the same settings there", async () => {
  await using folder = await folderWith({ "tq.json": '{"TQ_PREPARE": false, "TQ_MAX_DATA": "2m"}' });
  const parent = loadSettings({
    flags: { TQ_SUBSCRIBE: "a:2,b", TQ_DELETE_AFTER: "12h" },
    environment: { REDIS_URL: "redis://h", TQ_VAR: "elsewhere" },
    folder: folder.path,
  });
  assert.deepEqual(loadSettings({ environment: parent.given, folder: "/" }), parent);
  // What the parent does without, the child does not pick up from the environment that both inherit.
  const own = {
    REDIS_URL: "redis://other",
    DATABASE_URL: "postgres://other/d",
    TQ_LEASE: "99",
    TQ_SCHEMA: "",
  };
  const child = loadSettings({ environment: { ...own, ...childEnvironment(parent, own) }, folder: "/" });
  assert.deepEqual({ ...child, given: {} }, { ...parent, given: {} });
});

Deno.test("settings are frozen", () => {
  const settings = fromFlags({});
  assert.throws(() => Object.assign(settings, { TQ_WORKERS: 99 }), TypeError);
  assert.throws(() => Object.assign(settings.given, { TQ_WORKERS: "99" }), TypeError);
});

Deno.test("DATABASE_URL and REDIS_URL count where the names of our own are not set", () => {
  const environment = { DATABASE_URL: "postgres://there/db", REDIS_URL: "redis://there", TQ_REDIS_URL: "" };
  const theirs = loadSettings({ environment, folder: "/" });
  assert.deepEqual([theirs.TQ_DATABASE_URL, theirs.TQ_REDIS_URL], ["postgres://there/db", "redis://there"]);
  const ours = loadSettings({
    environment: { ...environment, TQ_DATABASE_URL: "postgresql://here/db", TQ_REDIS_URL: "rediss://here" },
    folder: "/",
  });
  assert.deepEqual([ours.TQ_DATABASE_URL, ours.TQ_REDIS_URL], ["postgresql://here/db", "rediss://here"]);
});

Deno.test("DATABASE_URL, which other programs share, counts after tq.json; TQ_DATABASE_URL before it", async () => {
  await using folder = await tempFolder();
  await Deno.writeTextFile(
    join(folder.path, "tq.json"),
    JSON.stringify({ TQ_DATABASE_URL: "postgres://q/queue" }),
  );
  const urlWith = (environment: Record<string, string>) =>
    loadSettings({ environment, folder: folder.path }).TQ_DATABASE_URL;
  assert.equal(urlWith({ DATABASE_URL: "postgres://there/db" }), "postgres://q/queue");
  assert.equal(urlWith({ DATABASE_URL: "postgres://there/db", TQ_DATABASE_URL: "" }), "postgres://q/queue");
  assert.equal(urlWith({ TQ_DATABASE_URL: "postgres://here/db" }), "postgres://here/db");
});

Deno.test("an empty variable means: not set", () => {
  const settings = loadSettings({ environment: { TQ_WORKERS: "", TQ_ROOT: "", TQ_HTTP: "" }, folder: "/" });
  assert.equal(settings.TQ_WORKERS, 10);
  assert.deepEqual(settings.given, {});
});

Deno.test("durations, sizes, flags and channels are read as people write them", () => {
  const settings = fromFlags({
    TQ_RETRY_DELAY: "1.5m",
    TQ_TASK_TIMEOUT: "2h",
    TQ_LEASE: 10,
    TQ_DELETE_AFTER: "48h",
    TQ_DELETE_COMPLETED_AFTER: 3,
    TQ_MAX_DATA: "512k",
    TQ_MAX_RSS: "128m",
    TQ_PREPARE: "off",
    TQ_WEB_ALLOW_LINK_LOCAL: "1",
    TQ_SUBSCRIBE: " tq_hook:5 ,, my-app.jobs,",
    TQ_RETRY_BACKOFF_FACTOR: "1.5",
    TQ_WORKERS: " 7 ",
  });
  assert.deepEqual([settings.TQ_RETRY_DELAY, settings.TQ_TASK_TIMEOUT, settings.TQ_LEASE], [90, 7200, 10]);
  assert.deepEqual([settings.TQ_DELETE_AFTER, settings.TQ_DELETE_COMPLETED_AFTER], [2, 3]);
  assert.deepEqual([settings.TQ_MAX_DATA, settings.TQ_MAX_RSS], [524_288, 134_217_728]);
  assert.equal(settings.TQ_PREPARE, false);
  assert.equal(settings.TQ_WEB_ALLOW_LINK_LOCAL, true);
  assert.deepEqual(settings.TQ_SUBSCRIBE, [
    { channel: "tq_hook", limit: 5 },
    { channel: "my-app.jobs", limit: undefined },
  ]);
  assert.equal(settings.TQ_RETRY_BACKOFF_FACTOR, 1.5);
  assert.equal(settings.TQ_WORKERS, 7);
  const sizes = { 1: 1, "1k": 1024, "1kb": 1024, "2 MiB": 2 ** 21, "4M": 2 ** 22, "1g": 2 ** 30 };
  for (const [text, bytes] of Object.entries(sizes)) {
    assert.equal(fromFlags({ TQ_MAX_DATA: text }).TQ_MAX_DATA, bytes, text);
  }
  for (const text of ["true", "1", "on"]) assert.equal(fromFlags({ TQ_PREPARE: text }).TQ_PREPARE, true);
  for (const text of ["false", "0", "off"]) assert.equal(fromFlags({ TQ_PREPARE: text }).TQ_PREPARE, false);
});

Deno.test("a bad value is refused by name, value and what is allowed", () => {
  const cases: [string, unknown, string][] = [
    ["TQ_WORKERS", "many", '"many": allowed: a whole number from 1 to 10000'],
    ["TQ_WORKERS", "", '"": allowed: a whole number from 1 to 10000'],
    ["TQ_WORKERS", true, "true: allowed: a whole number from 1 to 10000"],
    ["TQ_RETRY_ATTEMPTS", 0, "0: allowed: a whole number from 1 to 1000"],
    ["TQ_RETRY_DELAY", "2d", '"2d": allowed: seconds from 0 to 86400'],
    ["TQ_RETRY_BACKOFF_FACTOR", "0.5", '"0.5": allowed: a number from 1 to 100'],
    ["TQ_LEASE", "1", '"1": allowed: seconds from 2 to 3600'],
    ["TQ_MAX_DATA", "1.5m", '"1.5m": allowed: a size in bytes, or 512k, 4m'],
    ["TQ_MAX_DATA", 0, "0: allowed: a size in bytes, or 512k, 4m"],
    ["TQ_MAX_RSS", "512", '"512": allowed: at least 128m: a size in bytes, or 512m, 1g'],
    ["TQ_MAX_RSS", "131071k", '"131071k": allowed: at least 128m: a size in bytes, or 512m, 1g'],
    ["TQ_PREPARE", 1, "1: allowed: true or false"],
    ["TQ_LOG_LEVEL", "loud", '"loud": allowed: debug, info, warning or error'],
    ["TQ_SCHEMA", "Tq", '"Tq": allowed: lower-case letters, digits and _, at most 63'],
    ["TQ_SCHEMA", 'x"; drop', '"x\\"; drop": allowed: lower-case letters, digits and _, at most 63'],
    [
      "TQ_SCHEMA",
      "a".repeat(64),
      `"${"a".repeat(64)}": allowed: lower-case letters, digits and _, at most 63`,
    ],
    ["TQ_REDIS_PREFIX", "a{b", '"a{b": allowed: letters, digits, _ . and -, at most 50'],
    ["TQ_VAR", 5, "5: allowed: the path of a folder"],
  ];
  for (const [name, value, rest] of cases) {
    assert.equal(refusal(() => fromFlags({ [name]: value })), `${name} is ${rest}`);
  }
  const channels = "channel names separated by commas, each with an optional limit: tq_hook:5";
  for (const value of ["", ",", "a b", "a:0", "a:-1", "a:1.5", "a:x", "a:1:2", "a,a", "1a", "a*"]) {
    assert.equal(
      refusal(() => fromFlags({ TQ_SUBSCRIBE: value })),
      `TQ_SUBSCRIBE is ${JSON.stringify(value)}: allowed: ${channels}`,
    );
  }
});

Deno.test("a bad URL is refused without showing it: it may hold a password", () => {
  for (const value of ["secret", "mysql://u:secret@h/d", "http://u:secret@h", "", 5]) {
    assert.equal(
      refusal(() => fromFlags({ TQ_DATABASE_URL: value })),
      "TQ_DATABASE_URL is not what it should be: allowed: postgres://user:password@host:5432/database",
    );
    assert.equal(
      refusal(() => fromFlags({ TQ_REDIS_URL: value })),
      "TQ_REDIS_URL is not what it should be: allowed: redis://host:6379/0",
    );
  }
});

Deno.test("TQ_HTTP is an address or off; a bad one is refused", () => {
  const read = (text: string) => fromFlags({ TQ_HTTP: text }).TQ_HTTP;
  assert.deepEqual(read("0.0.0.0:80"), { hostname: "0.0.0.0", port: 80 });
  assert.deepEqual(read("[::1]:0"), { hostname: "::1", port: 0 });
  assert.deepEqual(read("tq.example.com:7654"), { hostname: "tq.example.com", port: 7654 });
  assert.equal(read("off"), undefined);
  for (const text of ["7654", "127.0.0.1", "127.0.0.1:70000", "::1:7654", "http://127.0.0.1:7654", "a b:1"]) {
    assert.match(
      refusal(() => read(text)),
      /^TQ_HTTP is ".*": allowed: host:port, such as 127\.0\.0\.1:7654/,
    );
  }
});

Deno.test("TQ_API_TOKENS holds tokens by right; a bad one is refused without showing it", () => {
  const [view, manage] = ["v".repeat(16), "m:=/+".repeat(4)];
  assert.deepEqual(fromFlags({ TQ_API_TOKENS: `view:${view}, manage:${manage}` }).TQ_API_TOKENS, [
    { right: "view", token: view },
    { right: "manage", token: manage },
  ]);
  for (const text of [view, `admin:${view}`, "manage:fifteen-letters", `view:${view} x`, ","]) {
    const said = refusal(() => fromFlags({ TQ_API_TOKENS: text }));
    assert.match(said, /^TQ_API_TOKENS is not what it should be: allowed: view:<token> or manage:<token>/);
    assert.ok(text.length < 5 || !said.includes(text));
  }
});

Deno.test("TQ_WEB_SECRET holds keys; a bad one is refused without showing it", () => {
  const secret = (bytes: number) => `whsec_${btoa("k".repeat(bytes))}`;
  const keys = fromFlags({ TQ_WEB_SECRET: `${secret(24)}, ${secret(64)},` }).TQ_WEB_SECRET;
  assert.deepEqual(keys?.map((key) => new TextDecoder().decode(key)), ["k".repeat(24), "k".repeat(64)]);
  const texts = [",", secret(23), secret(65), secret(24).slice(6), `${secret(24)}=`, "whsec_spaces in here!"];
  for (const text of texts) {
    const said = refusal(() => fromFlags({ TQ_WEB_SECRET: text }));
    assert.match(said, /^TQ_WEB_SECRET is not what it should be: allowed: whsec_ and 24 to 64 random bytes/);
    assert.ok(text.length < 5 || !said.includes(text));
  }
});

Deno.test("TQ_ALERT_URL is refused without showing it: a hook's secret is in its path", () => {
  const said = refusal(() => fromFlags({ TQ_ALERT_URL: "ftp://hooks.example.com/secret" }));
  assert.equal(
    said,
    "TQ_ALERT_URL is not what it should be: allowed: https://hooks.slack.com/services/…",
  );
  assert.match(refusal(() => fromFlags({ TQ_ALERT_FAILURE_RATE: 20 })), /^TQ_ALERT_FAILURE_RATE is 20: /);
});

Deno.test("TQ_REDACT and TQ_HTTP_HOSTS are lists", () => {
  assert.deepEqual(fromFlags({ TQ_REDACT: "password, api key,token," }).TQ_REDACT, [
    "password",
    "api key",
    "token",
  ]);
  assert.deepEqual(fromFlags({ TQ_HTTP_HOSTS: "tq.example.com,tq" }).TQ_HTTP_HOSTS, ["tq.example.com", "tq"]);
  assert.match(refusal(() => fromFlags({ TQ_HTTP_HOSTS: "https://tq.example.com" })), /allowed: host names/);
});

Deno.test("tq.json: an unknown key, no JSON, and no object are refused by name", async () => {
  const cases: [string, RegExp][] = [
    ['{"TQ_WORKER": 5}', /tq\.json has the unknown key "TQ_WORKER": did you mean TQ_WORKERS\?$/],
    ['{"BANANA": 5}', /tq\.json has the unknown key "BANANA": see docs\/settings\.md$/],
    ['{"toString": 5}', /tq\.json has the unknown key "toString": /],
    [
      '{"TQ_ROOT": "/srv/shop"}',
      /tq\.json names TQ_ROOT, which is the folder that it lies in: remove it there/,
    ],
    ["{", /tq\.json is not JSON: /],
    ["[]", /tq\.json is not a JSON object: write /],
    ["null", /tq\.json is not a JSON object: write /],
    ['{"TQ_WORKERS": "x"}', /^TQ_WORKERS is "x": allowed: a whole number from 1 to 10000$/],
  ];
  for (const [text, message] of cases) {
    await using folder = await folderWith({ "tq.json": text });
    assert.match(refusal(() => loadSettings({ environment: {}, folder: folder.path })), message);
  }
  await using folder = await folderWith({ "tq.json/a": "", "handlers/a.ts": "" });
  assert.match(
    refusal(() => loadSettings({ environment: {}, folder: folder.path })),
    /tq\.json cannot be read/,
  );
});

Deno.test("unknown TQ_ names in the environment are reported with the nearest known one", () => {
  const { unknown } = loadSettings({
    environment: { TQ_WORKER: "5", TQ_BANANA_SPLIT: "1", TQ_INTERNAL_TOKEN: "x", TZ: "UTC", TQ_LEASE: "30" },
    folder: "/",
  });
  assert.deepEqual(unknown, [
    { name: "TQ_BANANA_SPLIT", nearest: undefined },
    { name: "TQ_WORKER", nearest: "TQ_WORKERS" },
  ]);
});

Deno.test("the root is the nearest folder upward with tq.json or handlers/, else from the executable's", async () => {
  await using project = await folderWith({ "handlers/a.ts": "", "sub/deep/x": "", "sub/tq.json": "{}" });
  await using other = await folderWith({ "x": "", "handlers": "a file, not a folder" });
  const at = (folder: string, executableFolder?: string) =>
    loadSettings({ environment: {}, folder, executableFolder }).root;
  assert.equal(at(project.path), project.path);
  assert.equal(at(join(project.path, "sub/deep")), join(project.path, "sub"));
  assert.equal(at(join(project.path, "handlers")), project.path);
  assert.equal(at(other.path), undefined);
  assert.equal(at(other.path, join(project.path, "handlers")), project.path);
  assert.equal(at(join(project.path, "sub"), other.path), join(project.path, "sub"));
});

Deno.test("folders are under the root unless they are absolute", async () => {
  await using project = await folderWith({ "tq.json": '{"TQ_HANDLERS": "src/jobs"}', "x/y": "" });
  const settings = loadSettings({ environment: { TQ_VAR: "/srv/tq" }, folder: project.path });
  assert.equal(settings.handlersFolder, join(project.path, "src/jobs"));
  assert.equal(settings.varFolder, "/srv/tq");
  const named = loadSettings({ environment: { TQ_ROOT: "../x" }, folder: join(project.path, "x") });
  assert.equal(named.root, join(project.path, "x"));
  assert.equal(named.varFolder, join(project.path, "x/var"));
  assert.match(
    refusal(() => loadSettings({ environment: { TQ_ROOT: "nowhere" }, folder: project.path })),
    /^TQ_ROOT is "nowhere", which is not a folder/,
  );
  assert.match(refusal(() => need(undefined, "var")), /^no var folder, .*: run tq inside your project/);
  assert.equal(need("/a", "var"), "/a");
});

Deno.test("every setting is documented, and nothing else", () => {
  const documented = documentSettings();
  const { given: _, unknown: __, root: ___, handlersFolder: ____, varFolder: _____, ...values } = fromFlags(
    {},
  );
  assert.deepEqual(
    documented.map((row) => row.name).sort(),
    [...Object.keys(values), "TQ_ROOT", "TQ_HANDLERS", "TQ_VAR"].sort(),
  );
  for (const { name, default: shown, help } of documented) {
    assert.ok(shown !== "" && help.endsWith("."), name);
  }
  assert.deepEqual(
    documented.filter((row) => row.fallback !== undefined).map((row) => [row.name, row.fallback]),
    [["TQ_DATABASE_URL", "DATABASE_URL"], ["TQ_REDIS_URL", "REDIS_URL"]],
  );
});
