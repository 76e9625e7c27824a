/**
 * The rules of DESIGN.md's "Shape of the code", proved from the import graph and the syntax trees.
 *
 * @module
 */

import assert from "node:assert/strict";
import { join, relative } from "node:path";
import { tempFolder } from "./support/fixtures.ts";

const ROOT = join(import.meta.dirname ?? ".", "..");

/** Imports go from a higher rank to a lower one. `leaf` is whatever lies directly in src/. */
const RANKS: Readonly<Record<string, number>> = {
  leaf: 0,
  ...{ store: 1, dispatch: 1 },
  ...{ publish: 2, metrics: 2 },
  handler: 3,
  ...{ engine: 4, upkeep: 4 },
  ...{ http: 5, supervisor: 5, service_files: 5, doctor: 5 },
  ...{ cli: 6, "mod.ts": 6 },
  "main.ts": 7,
};

/** Packages that may appear in these files alone; elsewhere in `types` only their types may. */
const PLACES: readonly { packages: RegExp; files: RegExp; types?: RegExp }[] = [
  { packages: /^postgres$/, files: /^src\/store\/pool\.ts$/, types: /^src\/store\// },
  { packages: /^ioredis$/, files: /^src\/dispatch\// },
  { packages: /^@electric-sql\//, files: /^src\/store\/embedded[^/]*\.ts$/ },
];

const SQL = [
  /\bselect\b[\s\S]*\bfrom\b/i,
  /\bupdate\s+\S+\s+(?:(?:as\s+)?\w+\s+)?set\b/i,
  /\binsert\s+into\b/i,
  /\bdelete\s+from\b/i,
];
const REDIS_METHODS = new Set(
  ("zadd zrem zrange zrangebyscore zcard zscore zmscore zmpop bzmpop zpopmin bzpopmin lpush rpush blpop brpop hset hget " +
    "hgetall sadd srem smembers xadd xread psubscribe evalsha defineCommand flushall flushdb scanStream")
    .split(" "),
);
const CLOCK_CALLS = new Set(["Date.now", "performance.now", "setTimeout", "setInterval"]);

const NOTED_LINES = 300;
const MOST_LINES = 400;
const MOST_MAIN_LINES = 30;

interface Import {
  readonly specifier: string;
  readonly typeOnly: boolean;
}

/** What the rules ask of one file. */
interface Source {
  /** Relative to the root. */
  readonly path: string;
  readonly lines: number;
  readonly imports: readonly Import[];
  /** The text of string and template literals; a template's gaps are spaces. */
  readonly strings: readonly string[];
  /** What is called, as written: `Date.now`, `client.zadd`; `new Date` when it has no arguments. */
  readonly calls: readonly string[];
}

const sources = (await Promise.all([...walk("src"), ...files("mod.ts", "main.ts")].map(readSource)))
  .sort((a, b) => a.path.localeCompare(b.path));
const { edges, broken } = await readGraph(sources.map(({ path }) => path));

function rule(name: string, broken: () => Iterable<string>): void {
  Deno.test(`architecture: ${name}`, () => {
    const found = [...new Set(broken())];
    assert.equal(found.length, 0, `${name}:\n  ${found.join("\n  ")}`);
  });
}

rule("every import is there", () => broken);

rule("imports run one way", function* () {
  const between = new Map<string, string>();
  for (const { from, to } of edges) {
    if (part(from) !== part(to)) between.set(`${part(from)} ${part(to)}`, `${from} imports ${to}`);
  }
  for (const { from, to } of edges) {
    const [own, other] = [RANKS[part(from)], RANKS[part(to)]];
    const edge = `${from} imports ${to}`;
    if (own === undefined) yield `${from} is in no part that has a rank: name its folder in RANKS`;
    else if (part(from) === part(to)) continue;
    else if (other === undefined) {
      if (!to.endsWith(".json")) yield `${edge}, which is no part of the program`;
    } else if (own < other) yield edge;
    else if (own > other) continue;
    else if (own === RANKS.store) yield edge;
    else {
      const back = between.get(`${part(to)} ${part(from)}`);
      if (back !== undefined) yield `${edge}, and ${back}`;
    }
  }
});

rule("no file imports itself through others", function* () {
  const done = new Set<string>();
  const path: string[] = [];
  function* visit(file: string): Iterable<string> {
    if (path.includes(file)) yield [...path.slice(path.indexOf(file)), file].join(" → ");
    if (done.has(file) || path.includes(file)) return;
    path.push(file);
    for (const { from, to } of edges) if (from === file) yield* visit(to);
    path.pop();
    done.add(file);
  }
  for (const { path: file } of sources) yield* visit(file);
});

rule("task.ts imports nothing", () => edges.filter(({ from }) => from === "src/task.ts").map(({ to }) => to));

rule("imports are relative, node: or npm:name@version", function* () {
  for (const { path, imports } of sources) {
    for (const { specifier } of imports) {
      if (/^(\.\.?\/|node:)/.test(specifier) || packageOf(specifier) !== undefined) continue;
      yield `${path} imports "${specifier}"`;
    }
  }
});

Deno.test("architecture: every package has one version", async () => {
  const tests = await Promise.all(
    [...walk("tests")].filter((path) => !path.startsWith("tests/bench/")).map(readSource),
  );
  const versions = new Map<string, Map<string, string>>();
  for (const { path, imports } of [...sources, ...tests]) {
    for (const { specifier } of imports) {
      const { name, version } = packageOf(specifier) ?? {};
      if (name === undefined || version === undefined) continue;
      versions.set(name, (versions.get(name) ?? new Map()).set(version, path));
    }
  }
  const several = [...versions].filter(([, found]) => found.size > 1);
  assert.deepEqual(several.map(([name, found]) => ({ name, found: Object.fromEntries(found) })), []);
});

rule("a driver is known to its own files alone", function* () {
  for (const { path, imports } of sources) {
    for (const { specifier, typeOnly } of imports) {
      const { name = "" } = packageOf(specifier) ?? {};
      const place = PLACES.find(({ packages }) => packages.test(name));
      if (place === undefined || place.files.test(path) || typeOnly && place.types?.test(path)) continue;
      yield `${path} imports ${specifier}`;
    }
  }
});

rule("SQL is in src/store/ alone", function* () {
  for (const { path, strings } of sources) {
    if (path.startsWith("src/store/")) continue;
    for (const text of strings) if (SQL.some((form) => form.test(text))) yield `${path}: ${shorten(text)}`;
  }
});

rule("Redis commands are in src/dispatch/ alone", function* () {
  for (const { path, strings, calls } of sources) {
    if (path.startsWith("src/dispatch/")) continue;
    for (const call of calls) {
      const method = call.split(".").slice(1).at(-1);
      if (method !== undefined && REDIS_METHODS.has(method)) yield `${path} calls ${call}()`;
    }
    for (const text of strings) if (/\bredis\.p?call\(/.test(text)) yield `${path}: ${shorten(text)}`;
  }
});

rule("only clock.ts reads a clock or sets a timer", function* () {
  for (const { path, calls } of sources) {
    if (path === "src/clock.ts") continue;
    for (const call of calls) {
      const plain = call.replace(/^globalThis\./, "");
      if (CLOCK_CALLS.has(plain) || plain === "new Date") yield `${path} calls ${call}()`;
    }
  }
});

rule("only main.ts exits", function* () {
  for (const { path, calls } of sources) {
    if (path === "main.ts") continue;
    for (const call of calls) if (/^(Deno|process)\.exit$/.test(call)) yield `${path} calls ${call}()`;
  }
});

rule(`main.ts is there, and under ${MOST_MAIN_LINES} lines`, function* () {
  const main = sources.find(({ path }) => path === "main.ts");
  if (main === undefined) yield "main.ts is missing";
  else if (main.lines >= MOST_MAIN_LINES) yield `main.ts has ${main.lines} lines`;
});

rule(`no file has more than ${MOST_LINES} lines`, function* () {
  for (const { path, lines } of sources) {
    if (lines > MOST_LINES) yield `${path} has ${lines} lines`;
    else if (lines > NOTED_LINES) {
      console.log(`note: ${path} has ${lines} lines; over ${NOTED_LINES}, has it one duty?`);
    }
  }
});

/** The part of the program a file belongs to: a folder of src/, `leaf`, `mod.ts` or `main.ts`. */
function part(path: string): string {
  const [first = "", second, third] = path.split("/");
  if (first !== "src" || second === undefined) return path;
  return third === undefined ? "leaf" : second;
}

function packageOf(specifier: string): { name: string; version: string } | undefined {
  const match = /^npm:((?:@[\w.-]+\/)?[\w.-]+)@(\d+\.\d+\.\d+(?:-[\w.]+)?)(?:\/.+)?$/.exec(specifier);
  const [, name, version] = match ?? [];
  return name === undefined || version === undefined ? undefined : { name, version };
}

interface Graph {
  readonly edges: readonly { from: string; to: string }[];
  /** What Deno says of modules that it cannot load. */
  readonly broken: readonly string[];
}

/** Who imports whom, types and dynamic imports included, as Deno resolves them. Packages are left out. */
async function readGraph(paths: readonly string[]): Promise<Graph> {
  await using folder = await tempFolder();
  const roots = join(folder.path, "roots.ts"); // `deno info` takes one file.
  await Deno.writeTextFile(roots, paths.map((path) => `import "file://${join(ROOT, path)}";\n`).join(""));
  const { stdout, success } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", "--no-npm", "--no-lock", roots],
    cwd: ROOT,
    stderr: "inherit",
  }).output();
  assert.ok(success, "deno info failed");
  interface Module {
    specifier: string;
    error?: string;
    dependencies?: { code?: { specifier?: string }; type?: { specifier?: string } }[];
  }
  const { modules } = JSON.parse(new TextDecoder().decode(stdout)) as { modules: Module[] };
  const files = modules.filter(({ specifier }) =>
    specifier.startsWith("file:") && specifier !== `file://${roots}`
  );
  return {
    broken: files.flatMap(({ error }) => error ?? []),
    edges: files.flatMap(({ specifier, dependencies = [] }) =>
      dependencies
        .flatMap(({ code, type }) => [code?.specifier ?? [], type?.specifier ?? []].flat())
        .filter((to) => to.startsWith("file:"))
        .map((to) => ({ from: local(specifier), to: local(to) }))
    ),
  };
}

function local(specifier: string): string {
  return relative(ROOT, new URL(specifier).pathname);
}

async function readSource(path: string): Promise<Source> {
  const text = await Deno.readTextFile(join(ROOT, path));
  const [imports, strings, calls] = [[] as Import[], [] as string[], [] as string[]];
  const see = (specifier: unknown, typeOnly: boolean) => {
    if (typeof specifier === "string") imports.push({ specifier, typeOnly });
  };
  // Deno's own parser, by way of a lint rule that reports nothing.
  const visitor: Deno.lint.LintVisitor = {
    ImportDeclaration(node) {
      const kinds = node.specifiers.map((one) => one.type === "ImportSpecifier" ? one.importKind : "value");
      see(
        node.source.value,
        node.importKind === "type" || kinds.length > 0 && kinds.every((kind) => kind === "type"),
      );
    },
    ExportNamedDeclaration: (node) => see(node.source?.value, node.exportKind === "type"),
    ExportAllDeclaration: (node) => see(node.source.value, node.exportKind === "type"),
    ImportExpression: (node) => see(node.source.type === "Literal" ? node.source.value : undefined, false),
    TSImportType: (node) => see(/^import\(\s*["'](.+?)["']/.exec(text.slice(...node.range))?.[1], true),
    Literal(node) {
      if (typeof node.value === "string") strings.push(node.value);
    },
    TemplateLiteral: (node) =>
      void strings.push(node.quasis.map(({ cooked, raw }) => cooked ?? raw).join(" ")),
    CallExpression: (node) => void calls.push(text.slice(...node.callee.range).replaceAll(/[?!\s]/g, "")),
    NewExpression(node) {
      if (node.arguments.length === 0) calls.push(`new ${text.slice(...node.callee.range)}`);
    },
  };
  const plugin = { name: "look", rules: { look: { create: () => visitor } } };
  Deno.lint.runPlugin(plugin, path, text);
  return { path, lines: text.split("\n").length - 1, imports, strings, calls };
}

/** The TypeScript files below a folder. */
function* walk(folder: string): Iterable<string> {
  for (const entry of Deno.readDirSync(join(ROOT, folder))) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) yield* walk(path);
    else if (/\.tsx?$/.test(entry.name)) yield path;
  }
}

/** Those of `paths` that exist. */
function files(...paths: string[]): string[] {
  const there = new Set([...Deno.readDirSync(ROOT)].map((entry) => entry.name));
  return paths.filter((path) => there.has(path));
}

function shorten(text: string): string {
  return JSON.stringify(text.replaceAll(/\s+/g, " ").slice(0, 80));
}
