/**
 * What the documentation says is true: its settings, its snippets, its links, and the commands, tasks, settings and
 * files that it names.
 *
 * @module
 */

import assert from "node:assert/strict";
import { dirname, join, relative } from "node:path";
import { settingsPage } from "../docs/generate.ts";
import { COMMANDS } from "../src/cli/commands.ts";
import { documentSettings } from "../src/config.ts";
import { Command } from "npm:commander@15.1.0";
import {
  dropPrefix,
  dropSchema,
  eventually,
  tempFolder,
  testPrefix,
  testSchema,
} from "./support/fixtures.ts";
import { needTest } from "./support/need.ts";
import { postgresUrl } from "./support/servers.ts";

const ROOT = join(import.meta.dirname ?? ".", "..");

/** A page, without the section of what is not there yet. */
interface Page {
  /** Relative to the root. */
  readonly path: string;
  readonly text: string;
}

const pages = ["README.md", "CHANGELOG.md", ...walkDocs()].map(readPage);

function page(path: string): Page {
  const found = pages.find((one) => one.path === path);
  assert.ok(found !== undefined, `there is no ${path}`);
  return found;
}

Deno.test("docs: settings.md is as the settings are declared", () => {
  assert.equal(page("docs/settings.md").text, settingsPage(), "run deno task docs");
});

Deno.test("docs: every TypeScript snippet type-checks against mod.ts", async () => {
  const paths = pages.map(({ path }) => path);
  const { success, stdout, stderr } = await deno(["check", "--frozen", "--doc-only", ...paths]);
  assert.ok(success, stdout + stderr);
  for (const path of ["README.md", "docs/handlers.md"]) {
    assert.ok(snippets(page(path).text, "ts").length > 1, `${path} has no snippets that could be checked`);
  }
});

Deno.test("docs: every link leads somewhere", () => {
  const broken: string[] = [];
  for (const { path, text } of pages) {
    for (const [, target = ""] of withoutCode(text).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(target)) continue;
      const [file = "", anchor] = target.split("#");
      const to = file === "" ? path : relative(ROOT, join(ROOT, dirname(path), file));
      if (!exists(to)) broken.push(`${path}: ${target}`);
      else if (anchor !== undefined && !anchorsOf(to).has(anchor)) broken.push(`${path}: ${target}`);
    }
  }
  assert.deepEqual(broken, []);
});

Deno.test("docs: every command and option that is named exists", () => {
  const help = commandLine();
  const unknown: string[] = [];
  for (const { path, text } of pages) {
    for (const [line, name, rest] of commandsIn(text)) {
      const command = help.get(name);
      if (command === undefined) unknown.push(`${path}: ${line}`);
      for (const [option] of rest.matchAll(/(?<=\s)--[a-z][a-z-]*/g)) {
        if (command !== undefined && option !== "--help" && !command.has(option)) {
          unknown.push(`${path}: ${line}`);
        }
      }
    }
  }
  assert.deepEqual(unknown, []);
});

Deno.test("docs: the README names every command", () => {
  const { text } = page("README.md");
  const missing = [...commandLine().keys()].filter((name) => !new RegExp(`\\btq ${name}\\b`).test(text));
  assert.deepEqual(missing, []);
});

Deno.test("docs: every setting that is named exists", () => {
  const known = new Set(documentSettings().map(({ name }) => name));
  const unknown: string[] = [];
  for (const { path, text } of pages) {
    for (const [name] of text.matchAll(/\bTQ_[A-Z_]*[A-Z]\b/g)) {
      if (!known.has(name) && !isOfTests(name)) unknown.push(`${path}: ${name}`);
    }
  }
  assert.deepEqual(unknown, []);
});

Deno.test("docs: every task of deno.json and every file that is named exists", () => {
  const { tasks } = JSON.parse(Deno.readTextFileSync(join(ROOT, "deno.json")));
  const unknown: string[] = [];
  for (const { path, text } of pages) {
    for (const [, name = ""] of text.matchAll(/\b(?:deno|deno@\S+) task ([a-z]+)/g)) {
      if (!(name in tasks)) unknown.push(`${path}: deno task ${name}`);
    }
    // A path under src/ may be given without it.
    for (const [, name = ""] of text.matchAll(/`([\w./-]+\/[\w./-]*\w\.(?:ts|md|sql|json))`/g)) {
      // Files of a user's own, and those that are made while tq runs.
      if (/^(handlers\/|var\/|\.)/.test(name)) continue;
      if (!exists(name) && !exists(`src/${name}`)) unknown.push(`${path}: ${name}`);
    }
  }
  assert.deepEqual(unknown, []);
});

Deno.test("docs: the README's two commands use the Deno that CI uses", () => {
  const version = /^readonly DENO_VERSION=(\S+)$/m.exec(Deno.readTextFileSync(join(ROOT, ".ci/run")))?.[1];
  const commands = snippets(page("README.md").text, "sh")[0];
  assert.equal(commands, `npx -y deno@${version} task demo\nnpx -y deno@${version} task test\n`);
});

needTest(["postgres"], "docs: the README's handler runs what the README's program publishes", async () => {
  await using folder = await tempFolder();
  const [schema, prefix] = [testSchema(), testPrefix()];
  const [handler, program] = snippets(page("README.md").text, "ts");
  await Deno.mkdir(join(folder.path, "handlers/shop"), { recursive: true });
  await Deno.writeTextFile(join(folder.path, "handlers/shop/Invoice.ts"), handler ?? "");
  await Deno.writeTextFile(join(folder.path, "publish.ts"), program ?? "");
  const mod = new URL("../mod.ts", import.meta.url).href;
  await Deno.writeTextFile(join(folder.path, "deno.json"), JSON.stringify({ imports: { "@tq/tq": mod } }));
  const options = {
    cwd: folder.path,
    env: {
      TQ_ROOT: folder.path,
      TQ_DATABASE_URL: await postgresUrl() ?? "",
      TQ_REDIS_URL: "",
      REDIS_URL: "",
      TQ_SCHEMA: schema,
      TQ_REDIS_PREFIX: prefix,
      TQ_HTTP: "off",
    },
  };
  const main = join(ROOT, "main.ts");
  const engine = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", main, "run", "--processes", "1"],
    stdin: "null",
    stdout: "null",
    stderr: "null",
    ...options,
  });
  try {
    const migrated = await deno(["run", "-A", main, "migrate"], options);
    assert.ok(migrated.success, migrated.stderr);
    const running = engine.spawn();
    try {
      const published = await deno(["run", "-A", "--no-lock", "publish.ts"], options);
      assert.ok(published.success, published.stderr);
      assert.match(
        published.stdout,
        /^published task \d+\ntask \d+ ended in state -1: there is nothing to add up\n$/,
      );
      const completed = async () => {
        const { stdout } = await deno(
          ["run", "-A", main, "tasks", "--state", "completed", "--json"],
          options,
        );
        return JSON.parse(stdout)[0]?.result?.total;
      };
      assert.equal(await eventually(completed, { what: "the other task's result", within: 15_000 }), 7);
    } finally {
      running.kill("SIGTERM");
      await running.status;
    }
  } finally {
    await dropSchema(schema);
    await dropPrefix(prefix);
  }
});

Deno.test("docs: the test of a handler passes", async () => {
  await using folder = await tempFolder();
  const test = snippets(page("docs/handlers.md").text, "ts").find((code) => code.includes("Deno.test("));
  await Deno.writeTextFile(join(folder.path, "Reminder_test.ts"), test ?? "");
  const mod = new URL("../mod.ts", import.meta.url).href;
  await Deno.writeTextFile(join(folder.path, "deno.json"), JSON.stringify({ imports: { "@tq/tq": mod } }));
  const options = { cwd: folder.path, env: { NO_COLOR: "1" } };
  const { success, stdout, stderr } = await deno(["test", "-A", "--no-lock", "--no-check"], options);
  assert.ok(success, stdout + stderr);
  assert.match(stdout, /2 passed/);
});

/** Every command but the hidden ones, with its options. */
function commandLine(): Map<string, Set<string>> {
  const program = new Command("tq");
  for (const add of COMMANDS) add(program, () => {});
  const visible = program.createHelp().visibleCommands(program).filter((one) => one.name() !== "help");
  return new Map(visible.map((one) => [one.name(), new Set(one.options.map(({ long }) => long ?? ""))]));
}

/** The calls of `tq` in code: the whole of each, its command, and what follows. */
function commandsIn(text: string): [line: string, name: string, rest: string][] {
  const found: [string, string, string][] = [];
  const spans = [...withoutCode(text).matchAll(/`([^`\n]+)`/g)].map(([, span = ""]) => span);
  const code = [...snippets(text, "sh"), ...snippets(text, ""), ...spans];
  for (const part of code) {
    for (const [line, name = "", rest = ""] of part.matchAll(/(?<![\w/@.-])tq ([a-z][a-z-]*)([^\n]*)/g)) {
      found.push([line, name, rest]);
    }
  }
  return found;
}

const BLOCK = /^ *```(\w*)\n([\s\S]*?)^ *```$/gm;

/** The code blocks of a language, or of none. */
function snippets(text: string, language: string): string[] {
  return [...text.matchAll(BLOCK)].filter(([, own]) => own === language).map(([, , code = ""]) => code);
}

function withoutCode(text: string): string {
  return text.replaceAll(BLOCK, "");
}

/** The anchors that GitHub makes of a page's headings. */
function anchorsOf(path: string): Set<string> {
  const headings = withoutCode(Deno.readTextFileSync(join(ROOT, path))).matchAll(/^#+ (.+)$/gm);
  return new Set(
    [...headings].map(([, heading = ""]) =>
      heading.toLowerCase().replaceAll(/[^\p{L}\p{N} _-]/gu, "").replaceAll(" ", "-")
    ),
  );
}

/** Whether the test support reads this variable. */
function isOfTests(name: string): boolean {
  return name.startsWith("TQ_TEST_") &&
    ["servers.ts", "run.ts"].some((file) =>
      Deno.readTextFileSync(join(ROOT, "tests/support", file)).includes(`"${name}"`)
    );
}

function* walkDocs(): Iterable<string> {
  for (const { name } of Deno.readDirSync(join(ROOT, "docs"))) if (name.endsWith(".md")) yield `docs/${name}`;
}

function readPage(path: string): Page {
  const whole = Deno.readTextFileSync(join(ROOT, path));
  const notYet = /^## Not there yet\n[\s\S]*?(?=^## )/m.exec(whole)?.[0] ?? "";
  return { path, text: whole.replace(notYet, "") };
}

function exists(path: string): boolean {
  try {
    Deno.statSync(join(ROOT, path));
    return true;
  } catch {
    return false;
  }
}

async function deno(
  args: string[],
  options: Deno.CommandOptions = { cwd: ROOT },
): Promise<{ success: boolean; stdout: string; stderr: string }> {
  const command = new Deno.Command(Deno.execPath(), { stdin: "null", ...options, args });
  const { success, stdout, stderr } = await command.output();
  const decoder = new TextDecoder();
  return { success, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}
