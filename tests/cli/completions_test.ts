import assert from "node:assert/strict";
import { join } from "node:path";
import { tempFolder } from "../support/fixtures.ts";
import { cleanEnvironment } from "../support/tq.ts";
import { commandNames, printed } from "./run_tq.ts";

/** What a shell prints when it runs a script; undefined where the shell is not installed. */
async function shell(name: string, args: readonly string[], script: string): Promise<string | undefined> {
  try {
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
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
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
    complete_line tq nonsense ''`;
  const output = await shell("bash", ["--norc"], `set -u\n${script}\n${script}\n${complete}`);
  assert.deepEqual(output?.split("\n"), [
    "publish",
    `${commands.join(" ")} --help --version`,
    "--max-attempts",
    "--state --search --size --start --sort",
    "--help bash zsh fish",
    "tasks task",
    "",
    "",
  ]);
});

Deno.test("tq completions fish: fish completes commands with what they do, and options", async (t) => {
  const { script } = await scriptFor("fish");
  assert.match(script, /^complete -c tq /);
  await using folder = await tempFolder();
  const path = join(folder.path, "tq.fish");
  await Deno.writeTextFile(path, script);
  const output = await shell(
    "fish",
    ["--no-config"],
    `source ${path}\ncomplete -C "tq pub"\ncomplete -C "tq publish --uni"\ncomplete -C "tq help canc"\n`,
  );
  if (output === undefined) return console.log(`SKIPPED in part ${t.name}: no fish on this machine`);
  assert.deepEqual(output.trimEnd().split("\n"), [
    "publish\tpublish a task; prints its id once it is committed",
    "--unique\twhile a task with this key waits or runs, return its id",
    "cancel",
  ]);
});

Deno.test("tq completions zsh: a script that zsh reads, with every command and option", async (t) => {
  const { script, commands } = await scriptFor("zsh");
  assert.match(script, /^#compdef tq\n/);
  assert.match(script, /^ {4}'publish:publish a task; prints/m);
  assert.match(
    script,
    /^ {4}publish\) _arguments .*'--max-attempts\[runs it gets before it fails\]: :_files'/m,
  );
  // `compdef` and `_describe` are zsh's completion system; here they tell what they are given.
  const stubs = "compdef() { print -r compdef $* }\n_describe() { print -r $1 ${(P)#2} }\n" +
    "_arguments() { print -r arguments $# }\n";
  const output = await shell(
    "zsh",
    ["-f"],
    `${stubs}${script}\nwords=(tq pub) CURRENT=2\n_tq\nwords=(tq task 1) CURRENT=3\n_tq\n`,
  );
  if (output === undefined) return console.log(`SKIPPED in part ${t.name}: no zsh on this machine`);
  assert.deepEqual(output.trimEnd().split("\n"), [
    "compdef _tq tq",
    `command ${commands.length}`,
    "arguments 3",
  ]);
});
