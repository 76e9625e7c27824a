/**
 * The workflow of GitHub Actions does what `.ci/run` does: it cannot be run here, but what it names can be looked at.
 *
 * @module
 */

import assert from "node:assert/strict";
import { join } from "node:path";

const ROOT = join(import.meta.dirname ?? ".", "..");
const workflow = Deno.readTextFileSync(join(ROOT, ".github/workflows/ci.yml"));
const gate = Deno.readTextFileSync(join(ROOT, ".ci/run"));

/** Packages of `.ci/run` that GitHub's machines have already. */
const PREINSTALLED = ["git", "nodejs", "npm", "chromium", "systemd", "python3"];

Deno.test("workflow: it uses the Deno that .ci/run uses", () => {
  const version = /^readonly DENO_VERSION=(\S+)$/m.exec(gate)?.[1];
  assert.equal(/^ {2}DENO_VERSION: (\S+)$/m.exec(workflow)?.[1], version);
  const steps = [...workflow.matchAll(/deno-version: (.+)/g)].map(([, value]) => value);
  assert.deepEqual(steps, Array(2).fill("${{ env.DENO_VERSION }}"));
});

Deno.test("workflow: it installs what .ci/run installs, so that no test is skipped", () => {
  const needed = [...gate.matchAll(/missing\+=\(([^)]+)\)/g)].flatMap(([, names = ""]) => names.split(" "));
  assert.ok(needed.includes("postgresql"), "the packages of .ci/run were not found");
  const [, line = ""] = /apt-get install -qy --no-install-recommends (.+)/.exec(workflow) ?? [];
  const installed = [...line.split(" "), ...PREINSTALLED];
  const lacking = needed.filter((name) => !installed.includes(name));
  assert.deepEqual(lacking, [], "add them to .github/workflows/ci.yml");
});

Deno.test("workflow: every task that it runs exists, the gate, compile and release among them", () => {
  const { tasks } = JSON.parse(Deno.readTextFileSync(join(ROOT, "deno.json")));
  const run = [...workflow.matchAll(/deno task (\S+)/g)].map(([, name = ""]) => name);
  assert.deepEqual(run, ["ok", "compile", "release"]);
  assert.deepEqual(run.filter((name) => !(name in tasks)), []);
});

Deno.test("workflow: it runs the chaos test as .ci/run does", () => {
  const [, chaos] = /^step (.+ tests\/chaos)$/m.exec(gate) ?? [];
  assert.ok(chaos !== undefined, "the chaos test of .ci/run was not found");
  assert.ok(
    workflow.split("\n").includes(`      - run: ${chaos}`),
    `add ${chaos} to .github/workflows/ci.yml`,
  );
});

Deno.test("workflow: a release has every file that deno task release makes, and comes of tags alone", () => {
  const compile = Deno.readTextFileSync(join(ROOT, "tools/compile.ts"));
  const [, list = ""] = /^const TARGETS = \[(.+)\];$/m.exec(compile) ?? [];
  const targets = [...list.matchAll(/"([^"]+)"/g)].map(([, name]) => `dist/tq-${name}`);
  assert.ok(targets.length > 0, "the targets of tools/compile.ts were not found");
  const [, create = ""] = /gh release create ([\s\S]+?)\n {8}env:/.exec(workflow) ?? [];
  const attached = create.split(/\s+/).filter((word) => word.startsWith("dist/"));
  assert.deepEqual(attached, [...targets, "dist/SHA256SUMS"]);
  const [, release = ""] = /^ {2}release:\n([\s\S]*)$/m.exec(workflow) ?? [];
  assert.match(release, /^ {4}if: github\.ref_type == 'tag'\n {4}needs: ok\n/);
});
