import assert from "node:assert/strict";
import { join } from "node:path";
import columnsOf from "npm:string-width@9.0.0";
import { needTest } from "../support/need.ts";
import { Project } from "../support/tq.ts";
import { onTerminal } from "./run_tq.ts";

// deno-lint-ignore no-control-regex
const COLOR = /\x1b\[\d+m/;

needTest(
  ["postgres"],
  "on a terminal, lines fit, states have colours, and NO_COLOR takes them away",
  async (t) => {
    await using project = await Project.make({ servers: "postgres", handlers: {} });
    const { sql, schema } = project.record!;
    await sql`insert into ${sql(schema)}.tasks (model, fname, state, reason) values
    ('demo.Report', 'on_tq_run_summary', -1, ${"日本語 " + "could not find transactions ".repeat(20)}),
    ('demo.Report', 'on_tq_run_summary', 10, null)`;
    for (const columns of [40, 80, 200]) {
      const lines = await onTerminal(project, columns, ["tasks"]);
      if (lines === undefined) {
        return console.log(
          `SKIPPED ${t.name}: no script of util-linux on this machine`,
        );
      }
      assert.equal(lines.length, 4, lines.join("\n"));
      for (const line of lines) assert.ok(columnsOf(line) <= columns, `${columns}: ${line}`);
      assert.match(lines[1]!, COLOR);
      assert.match(lines.join("\n"), /demo\.Report on_tq_/);
      assert.equal(lines.join("\n").includes("日本語 could"), columns > 40);
      const plain = await onTerminal(project, columns, ["tasks"], { NO_COLOR: "1" });
      assert.doesNotMatch(plain!.join("\n"), COLOR);
    }
    const [line] = await onTerminal(project, 80, ["task", "0"]) ?? [];
    // deno-lint-ignore no-control-regex
    assert.match(line!, /^\x1b\[31mtq:\x1b\[39m "0" is not a task's id: /);
    const json = await onTerminal(project, 80, ["tasks", "--json", "--size", "1"]);
    assert.deepEqual(json!.slice(0, 2), ["[", "  {"]);
    assert.doesNotMatch(json!.join("\n"), COLOR);
  },
);

needTest(
  ["postgres"],
  "tq publish --file shows how far it is on a terminal, and leaves one line",
  async (t) => {
    await using project = await Project.make({ servers: "postgres", handlers: {} });
    const line = JSON.stringify({ model: "demo.Report", fname: "run" });
    await Deno.writeTextFile(join(project.path, "many.ndjson"), `${line}\n`.repeat(10_000));
    const lines = await onTerminal(project, 80, ["publish", "--file", "many.ndjson"]);
    if (lines === undefined) return console.log(`SKIPPED ${t.name}: no script of util-linux on this machine`);
    assert.match(lines.join("\n"), /\d+\/10000 tasks, /);
    assert.match(lines.at(-2)!, /published 10000 tasks, \d+ to \d+$/);
    assert.equal(await project.record!.count(), 10_000);
  },
);

needTest(
  ["postgres"],
  "what changes many tasks asks on a terminal first, and shows how far it is",
  async (t) => {
    await using project = await Project.make({ servers: "postgres", handlers: {} });
    const { sql, schema } = project.record!;
    await sql`insert into ${sql(schema)}.tasks (model, fname, state, modified)
      select 'demo.Report', 'run', -1, now() - interval '40 days' from generate_series(1, 2500)`;
    const failed = { "-1": 2500 };
    const type = async (typed: string, ...args: string[]) =>
      (await onTerminal(project, 80, args, {}, typed))?.join("\n");
    for (const args of [["retry", "--state", "failed"], ["prune"]]) {
      const lines = await type("n\n", ...args);
      if (lines === undefined) {
        return console.log(`SKIPPED ${t.name}: no script of util-linux on this machine`);
      }
      const question = args[0] === "prune" ? "Delete 2,500 ended" : "Retry 2,500 failed";
      assert.ok(lines.includes(`${question} tasks? [y/N] `), lines);
      assert.match(lines, /nothing is (retried|deleted): the answer was no/);
      assert.deepEqual(await project.states(), failed);
    }
    const retried = await type("y\n", "retry", "--state", "failed");
    assert.match(retried!, /\d+\/2500 tasks, /);
    assert.match(retried!, /retried 2,500 tasks\n$/);
    assert.deepEqual(await project.states(), { "0": 2500 });
    await sql`update ${sql(schema)}.tasks set state = 10, modified = now() - interval '40 days'`;
    const pruned = await type("", "prune", "--yes");
    assert.doesNotMatch(pruned!, /\[y\/N\]/);
    assert.match(pruned!, /\d+\/2500 tasks, /);
    assert.match(pruned!, /deleted 2500 tasks\n$/);
    assert.equal(await project.record!.count(), 0);
  },
);
