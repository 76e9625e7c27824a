import assert from "node:assert/strict";
import { join } from "node:path";
import { readCommit } from "../../src/commit.ts";
import { tempFolder } from "../support/fixtures.ts";
import { cleanEnvironment, REPOSITORY } from "../support/tq.ts";
import { commandNames, forEach, printed, refusal } from "./run_tq.ts";

const COMMANDS = "publish web-request tasks task retry cancel run migrate handlers prune demo completions"
  .split(" ");

async function nowhere() {
  const folder = await tempFolder();
  return { ...folder, path: folder.path, environment: cleanEnvironment() };
}

Deno.test("tq --help, tq help and tq alone print the help on stdout", async () => {
  await using place = await nowhere();
  const help = await printed(place, ["--help"]);
  assert.match(help, /^Usage: tq \[options\] \[command\]\n/);
  const names = await commandNames(place);
  for (const name of COMMANDS) assert.ok(names.includes(name), `${name} is not among ${names}`);
  for (const name of ["engine", "database"]) assert.ok(!names.includes(name), `${name} is hidden`);
  for (const name of names) assert.match(help, new RegExp(`^  ${name} +[a-z].`, "m"));
  assert.match(help, /\nExamples:\n {2}tq run\n/);
  assert.equal(await printed(place, ["help"]), help);
  assert.equal(await printed(place, []), help);
  assert.equal(await printed(place, ["-h"]), help);
});

Deno.test("every command's help has an example, and fits 80 columns", async () => {
  await using place = await nowhere();
  await forEach((await commandNames(place)).filter((name) => name !== "help"), async (name) => {
    const help = await printed(place, [name, "--help"]);
    assert.match(help, new RegExp(`^Usage: tq ${name} `));
    assert.match(help, new RegExp(`\nExamples?:\n(.*\n)*.*tq ${name}`));
    for (const line of help.split("\n")) assert.ok(line.length <= 80, line);
    assert.equal(await printed(place, ["help", name]), help);
  });
});

Deno.test("tq --version prints the version of deno.json, the commit, Deno and V8", async () => {
  await using place = await nowhere();
  const { version } = JSON.parse(await Deno.readTextFile(join(REPOSITORY, "deno.json")));
  const commit = readCommit(REPOSITORY);
  const { deno, v8 } = Deno.version;
  const line = `tq ${version} (commit ${(commit ?? "unknown").slice(0, 12)}, Deno ${deno}, V8 ${v8})\n`;
  assert.equal(await printed(place, ["--version"]), line);
  assert.equal(await printed(place, ["-V"]), line);
});

Deno.test("bad usage is told in one line, with 2", async () => {
  await using place = await nowhere();
  const bad: readonly (readonly [readonly string[], RegExp])[] = [
    [["publih"], /^unknown command 'publih': did you mean publish\?$/],
    [["zzzzzzzz"], /^unknown command 'zzzzzzzz': see tq --help$/],
    [["help", "publih"], /^unknown command 'publih': did you mean publish\?$/],
    [["help", "zzzzzzzz"], /^unknown command 'zzzzzzzz': see tq --help$/],
    [["pub\u001b[31mlish"], /^unknown command 'pub\\u001b\[31mlish': /],
    [["--versio"], /^unknown option '--versio': did you mean --version\?$/],
    [["tasks", "--jsn"], /^unknown option '--jsn': did you mean --json\?$/],
    [
      ["tasks", "extra"],
      /^tasks takes no arguments and got 1: quote those with spaces, or see tq tasks --help$/,
    ],
    [["task", "1", "2"], /^task takes 1 argument and got 2: /],
    [["task"], /^missing required argument 'id': see tq task --help$/],
    [["retry"], /^missing required argument 'id': see tq retry --help$/],
    [["cancel"], /^missing required argument 'id': see tq cancel --help$/],
    [["completions"], /^missing required argument 'shell': see tq completions --help$/],
    [["completions", "tcsh"], /^there are no completions for "tcsh": give one of bash, zsh, fish$/],
    [["completions", "toString"], /^there are no completions for "toString": /],
    [["engine"], /^an engine is started by a supervisor: use tq run$/],
  ];
  await forEach(bad, async ([args, message]) => {
    assert.match(await refusal(place, 2, args), message);
  });
});

/** What is loaded when `path` is imported, before any of it runs: files and packages. */
async function loadedBy(path: string): Promise<string[]> {
  const { stdout, success } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", "--no-lock", path],
    cwd: REPOSITORY,
  }).output();
  assert.ok(success);
  interface Dependency {
    code?: { specifier?: string };
    isDynamic?: boolean;
  }
  const { modules, roots } = JSON.parse(new TextDecoder().decode(stdout)) as {
    roots: string[];
    modules: { specifier: string; dependencies?: Dependency[] }[];
  };
  const found = new Set(roots);
  for (const specifier of found) {
    const { dependencies = [] } = modules.find((one) => one.specifier === specifier) ?? {};
    for (const { code, isDynamic } of dependencies) {
      if (code?.specifier !== undefined && !isDynamic) found.add(code.specifier);
    }
  }
  return [...found];
}

// Their times on a busy machine say little, what they load says much.
Deno.test("tq --help loads no package but those that parse arguments and colour", async () => {
  const packages = (await loadedBy("main.ts")).filter((specifier) => specifier.startsWith("npm:"));
  assert.deepEqual(packages.map((specifier) => specifier.replace(/@[\d.]+$/, "")).sort(), [
    "npm:commander",
    "npm:picocolors",
  ]);
});

Deno.test("tq publish loads no Redis client, no embedded database and no HTTP client before it needs one", async () => {
  const loaded = await loadedBy("src/publish/queue.ts");
  assert.ok(loaded.some((specifier) => /\/src\/dispatch\/redis\.ts$/.test(specifier)));
  const packages = loaded.filter((specifier) => specifier.startsWith("npm:"));
  assert.deepEqual(packages.map((specifier) => specifier.replace(/@[\d.]+$/, "")).sort(), [
    "npm:@logtape/logtape",
    "npm:postgres",
    "npm:zod",
  ]);
});
