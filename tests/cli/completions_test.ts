import assert from "node:assert/strict";
import { join } from "node:path";
import { tempFolder } from "../support/fixtures.ts";
import { needTest } from "../support/need.ts";
import { cleanEnvironment, Project } from "../support/tq.ts";
import { commandNames, forEach, printed } from "./run_tq.ts";

/** What a shell prints when it runs a script. */
async function shell(name: string, args: readonly string[], script: string): Promise<string> {
  const child = new Deno.Command(name, {
    args: [...args],
    env: cleanEnvironment(),
    clearEnv: true,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  await new Blob([script]).stream().pipeTo(child.stdin);
  const { stdout, stderr } = await child.output();
  assert.equal(new TextDecoder().decode(stderr), "");
  return new TextDecoder().decode(stdout);
}

async function scriptFor(name: string): Promise<{ script: string; commands: string[] }> {
  await using folder = await tempFolder();
  const place = { path: folder.path, environment: cleanEnvironment() };
  return { script: await printed(place, ["completions", name]), commands: await commandNames(place) };
}

Deno.test("tq completions bash: a plain bash completes commands, options and words, read twice or not", async () => {
  const { script, commands } = await scriptFor("bash");
  const complete = `
    complete_line() {
      COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
      local function=$(complete -p tq | sed -E 's/.* -F ([^ ]+) .*/\\1/')
      "$function" tq "\${COMP_WORDS[COMP_CWORD]}"
      echo "\${COMPREPLY[*]}"
    }
    complete_line tq pub
    complete_line tq ''
    complete_line tq publish --ma
    complete_line tq tasks --s
    complete_line tq completions ''
    complete_line tq help task
    complete_line tq nonsense ''
    tq() { local IFS=,; echo "asked:$*"; }
    complete_line tq publish asked
    complete_line tq publish shop.Invoice asked
    complete_line tq publish shop.Invoice run --channel ''
    complete_line tq tasks --model ''
    complete_line tq retry 22 asked
    complete_line tq cancel --state ''
    complete_line tq logs --task ''
    complete_line tq task --j
    tq() { echo broken >&2; return 1; }
    complete_line tq publish x --channel ''`;
  const output = await shell("bash", ["--norc"], `set -u\n${script}\n${script}\n${complete}`);
  assert.deepEqual(output.split("\n"), [
    "publish",
    `${commands.join(" ")} --help --version`,
    "--max-attempts",
    "--state --search --size --start --sort",
    "--help bash zsh fish",
    "tasks task",
    "",
    ...[
      "models",
      "functions,shop.Invoice",
      "channels",
      "models",
      "ended",
      "states",
      "tasks",
    ].map((asked) => `asked:__complete,${asked}`),
    "--json",
    "",
    "",
  ]);
});

needTest(
  ["postgres"],
  "tq __complete names channels, handlers and ids, and starts and imports nothing",
  async () => {
    const handlers = {
      "shop/Invoice.ts": `throw new Error("imported");
export default class Invoice {
  static on_tq_total(task) {}
  static async on_tq_send<T>(task) {}
  static #hidden() {}
  own() {}
}`,
      "mail.js": "export function send() {}\nexport const later = async () => {};\nfunction own() {}\n",
    };
    await using project = await Project.make({ servers: "postgres", handlers });
    const { sql, schema } = project.record!;
    const ask = async (...args: string[]) =>
      (await printed(project, ["__complete", ...args])).split("\n").slice(0, -1);
    assert.deepEqual(await ask("tasks"), []);
    const rows = [
      { model: "mail", fname: "gone", channel: "own", state: -1 },
      { model: "$(rm -rf x)", fname: "a b", channel: "a;b", state: 0 },
      { model: "old.Model", fname: "run", channel: "own", state: 2 },
    ];
    const ids = (await sql`insert into ${sql(schema)}.tasks ${sql(rows)} returning id`).map((row) =>
      String(row.id)
    );
    const asked: readonly (readonly [readonly string[], readonly string[]])[] = [
      [["channels"], ["own", "tq_app_handler", "tq_hook", "tq_model_handler"]],
      [["models"], ["mail", "old.Model", "shop.Invoice"]],
      [["functions", "shop.Invoice"], ["on_tq_send", "on_tq_total"]],
      [["functions", "mail"], ["gone", "later", "send"]],
      [["functions", "../x"], []],
      [["functions"], ["gone", "run"]],
      [["states"], ["scheduled", "started", "retry_later", "completed", "failed", "canceled"]],
      [["tasks"], ids.toReversed()],
      [["ended"], [ids[0]!]],
      [["open"], [ids[2]!, ids[1]!]],
      [["nonsense"], []],
    ];
    await forEach(asked, async ([args, words]) => {
      assert.deepEqual(await ask(...args), words, args.join(" "));
    });
  },
);

Deno.test("tq __complete is silent and soon done whatever is broken", async () => {
  await using place = await tempFolder();
  const environment = cleanEnvironment();
  const silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const at = (name: string) => ({ TQ_DATABASE_URL: `postgres://x@127.0.0.1:${silent.addr.port}/${name}` });
  const project = { path: place.path, environment };
  const started = performance.now();
  // No project at all, a bad setting, and a database that never answers.
  assert.equal(await printed(project, ["__complete", "models"]), "");
  assert.equal(await printed(project, ["__complete", "models"], { environment: { TQ_WORKERS: "x" } }), "");
  assert.equal(await printed(project, ["__complete", "tasks"], { environment: at("x") }), "");
  silent.close();
  // A project with an embedded database that does not run: it is not started.
  await Deno.mkdir(join(place.path, "handlers"));
  await Deno.writeTextFile(join(place.path, "handlers/app.js"), "");
  assert.equal(await printed(project, ["__complete", "models"]), "app\n");
  assert.equal(await printed(project, ["__complete", "tasks"]), "");
  assert.ok(performance.now() - started < 8000);
  assert.deepEqual([...Deno.readDirSync(place.path)].map(({ name }) => name), ["handlers"]);
});

needTest(
  ["fish"],
  "tq completions fish: fish completes commands with what they do, and options",
  async () => {
    const { script } = await scriptFor("fish");
    assert.match(script, /^complete -c tq /);
    await using folder = await tempFolder();
    const path = join(folder.path, "tq.fish");
    await Deno.writeTextFile(path, script);
    const output = await shell(
      "fish",
      ["--no-config"],
      `source ${path}
function tq; echo asked,(string join , $argv); end
complete -C "tq pub"
complete -C "tq publish --uni"
complete -C "tq help canc"
complete -C "tq publish shop.Invoice asked"
complete -C "tq tasks --channel asked"
complete -C "tq retry asked"
`,
    );
    assert.deepEqual(output.trimEnd().split("\n"), [
      "publish\tpublish a task; prints its id once it is committed",
      "--unique\twhile a task with this key waits or runs, return its id",
      "cancel",
      "asked,__complete,functions,shop.Invoice",
      "asked,__complete,channels\tof this channel",
      "asked,__complete,ended",
    ]);
  },
);

needTest(["zsh"], "tq completions zsh: a script that zsh reads, with every command and option", async () => {
  const { script, commands } = await scriptFor("zsh");
  assert.match(script, /^#compdef tq\n/);
  assert.match(script, /^ {4}'publish:publish a task; prints/m);
  assert.match(
    script,
    /^ {4}publish\) _arguments .*'--max-attempts\[runs it gets before it fails\]: :_files'/m,
  );
  // `compdef` and `_describe` are zsh's completion system; here they tell what they are given.
  const system = "compdef() { print -r compdef $* }\n_describe() { print -r $1 ${(P)#2} }\n" +
    "_arguments() { print -r arguments $# }\n" +
    "compadd() { print -r offered ${(P)@[-1]} }\ntq() { print -r -- asked $* }\n";
  const output = await shell(
    "zsh",
    ["-f"],
    `${system}${script}\nwords=(tq pub) CURRENT=2\n_tq\nwords=(tq task 1) CURRENT=3\n_tq\n_tq_asked functions a.B\n`,
  );
  assert.deepEqual(output.trimEnd().split("\n"), [
    "compdef _tq tq",
    `command ${commands.length}`,
    "arguments 3",
    "offered asked __complete functions a.B",
  ]);
});
