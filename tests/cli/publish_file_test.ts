import assert from "node:assert/strict";
import { join } from "node:path";
import { needTest } from "../support/need.ts";
import { Project } from "../support/tq.ts";
import { forEach, printed, refusal, tq } from "./run_tq.ts";

/** `count` lines, each a task with its number, the first on line 1. */
function lines(count: number): string[] {
  return Array.from(
    { length: count },
    (_, i) => JSON.stringify({ model: "demo.Report", fname: "run", data: { n: i + 1 } }),
  );
}

async function file(project: Project, content: string | Uint8Array<ArrayBuffer>): Promise<string> {
  const name = `${crypto.randomUUID()}.ndjson`;
  await Deno.writeFile(join(project.path, name), await new Blob([content]).bytes());
  return name;
}

/** How many tasks there are, and how many different numbers they carry. */
async function numbers(project: Project): Promise<[number, number]> {
  const { sql, schema } = project.record!;
  const [row] = await sql`
    select count(*)::integer as count, count(distinct data->>'n')::integer as different from ${
    sql(schema)
  }.tasks`;
  return [row?.count, row?.different];
}

needTest(["postgres"], "tq publish --file publishes every line of a file, and tells how many", async () => {
  await using project = await Project.make({ servers: "postgres", handlers: {} });
  const name = await file(project, lines(30_000).join("\n"));
  assert.match(await printed(project, ["publish", "--file", name]), /^published 30000 tasks, \d+ to \d+\n$/);
  assert.deepEqual(await numbers(project), [30_000, 30_000]);
  const { count, first, last } = JSON.parse(
    await printed(project, ["publish", "--file", "-", "--json"], { stdin: lines(5000).join("\n") + "\n" }),
  );
  assert.deepEqual([count, last - first], [5000, 4999]);
  assert.deepEqual(await numbers(project), [35_000, 30_000]);
});

needTest(
  ["postgres"],
  "tq publish --file takes blank lines, CRLF, a byte order mark, nulls and options",
  async () => {
    await using project = await Project.make({ servers: "postgres", handlers: {} });
    const name = await file(
      project,
      '\uFEFF{"model": "a.B", "fname": "run", "data": null, "priority": null}\r\n\r\n   \r\n' +
        '{"model": "a.B", "fname": "run", "data": {"text": "ü\\u00e9\u2028"}, "at": "2030-01-02T03:04:05Z",' +
        ' "timeout": "2m", "staleAfter": "2031-01-01", "priority": 3, "channel": "own", "key": "k"}\r\n' +
        '{"model": "a", "fname": "run", "delay": "1h", "maxAttempts": 2, "unique": "u", "staleAfter": 7200}\r\n',
    );
    const output = await printed(project, ["publish", "--file", name, "--channel", "common", "--json"]);
    const { count, first } = JSON.parse(output);
    assert.equal(count, 3);
    const [plain, full, late] = await Promise.all(
      [first, first + 1, first + 2].map((id) => project.queue.get(id)),
    );
    assert.deepEqual([plain?.data, plain?.priority, plain?.channel, plain?.state], [{}, 0, "common", 0]);
    assert.deepEqual(
      [full?.data, full?.priority, full?.channel, full?.publishKey, full?.timeoutSeconds],
      [{ text: "üé\u2028" }, 3, "own", "k", 120],
    );
    assert.equal(full?.scheduledFor?.toISOString(), "2030-01-02T03:04:05.000Z");
    assert.equal(late!.scheduledFor!.getTime() - late!.created.getTime(), 3_600_000);
    assert.equal(late!.staleAfter!.getTime() - late!.created.getTime(), 7_200_000);
    assert.deepEqual([late?.maxAttempts, late?.uniqueKey], [2, "u"]);
    assert.equal(
      await printed(project, ["publish", "--file", await file(project, "\n\n")]),
      "nothing to publish\n",
    );
    const one = await file(project, '{"model": "a.B", "fname": "run"}');
    assert.match(await printed(project, ["publish", "--file", one]), /^published task \d+\n$/);
  },
);

needTest(["postgres"], "tq publish --file publishes nothing of a file with a bad line", async () => {
  await using project = await Project.make({ servers: "postgres", handlers: {} });
  const bad: readonly (readonly [string | Uint8Array<ArrayBuffer>, RegExp])[] = [
    ['{"model": "a.B", "fname":', /^line 2500: not JSON: write \{"model": …/],
    ["[]", /^line 2500: not a JSON object: write /],
    ['{"fname": "run"}', /^line 2500: model is missing: write /],
    ['{"model": "a.B", "fname": null}', /^line 2500: fname is missing: write /],
    ['{"model": 5, "fname": "run"}', /^line 2500: model is 5: use /],
    ['{"model": "../x", "fname": "run"}', /^line 2500: model is "\.\.\/x": /],
    ['{"model": "a.B", "fname": "toString"}', /^line 2500: function is toString: /],
    ['{"model": "a.B", "fname": "run", "data": [1]}', /^line 2500: data is an array: /],
    [
      '{"model": "a.B", "fname": "run", "max_attempts": 1}',
      /^line 2500: there is no option max_attempts: did you m/,
    ],
    ['{"model": "a.B", "fname": "run", "__proto__": 1}', /^line 2500: there is no option __proto__: known: /],
    ['{"model": "a.B", "fname": "run", "at": "2026-02-31"}', /^line 2500: at is "2026-02-31": give a date /],
    ['{"model": "a.B", "fname": "run", "delay": "soon"}', /^line 2500: delay is "soon": give a duration: /],
    ['{"model": "a.B", "fname": "run", "delay": -1}', /^line 2500: delay is -1: /],
    ['{"model": "a.B", "fname": "run", "data": {"a": "\\u0000"}}', /^line 2500: .* Postgres cannot store: /],
    [
      `{"model": "a.B", "fname": "run", "data": {"a": "${"x".repeat(1 << 20)}"}}`,
      /^line 2500: data is larger than/,
    ],
    ["x".repeat(7 << 20), /^line 2500: longer than any task can be: see TQ_MAX_DATA$/],
    [new Uint8Array([0xe9]), /^line 2500: not UTF-8 text: convert it$/],
  ];
  const [before, after] = [lines(2499).join("\n") + "\n", "\n" + lines(500).join("\n")];
  await forEach(bad, async ([line, message]) => {
    const name = await file(project, await new Blob([before, line, after]).bytes());
    assert.match(await refusal(project, 2, ["publish", "--file", name]), message);
  });
  const arguments_: readonly (readonly [readonly string[], RegExp])[] = [
    [["no such file"], /^cannot read "no such file" \(there is no such file\): /],
    [["/"], /^cannot read "\/" \(it is a folder\): give a file$/],
    [["x", "--wait"], /^--key, --unique, --wait and --spool do not go with --file: /],
    [["x", "--delay", "soon"], /^--delay is "soon": /],
    [[], /^option '--file <path>' argument missing: see tq publish --help$/],
  ];
  await forEach(arguments_, async ([args, message]) => {
    assert.match(await refusal(project, 2, ["publish", "--file", ...args]), message);
  });
  assert.equal(await project.record!.count(), 0);
});

needTest(
  ["postgres"],
  "tq publish --file - publishes what stands before a bad line, and tells how far",
  async () => {
    await using project = await Project.make({ servers: "postgres", handlers: {} });
    const stdin = [...lines(2499), "", "{bad", ...lines(500)].join("\n");
    const message = await refusal(project, 2, ["publish", "--file", "-"], { stdin });
    assert.match(message, /^line 2501: not JSON; 2499 tasks are published, up to line 2499: write \{/);
    assert.deepEqual(await numbers(project), [2499, 2499]);
    assert.match(
      await refusal(project, 2, ["publish", "--file", "-"], { stdin: "{bad" }),
      /^line 1: not JSON: write \{/,
    );
  },
);

needTest(["postgres"], "tq publish --file reads a pipe that has a path once", async () => {
  await using project = await Project.make({ servers: "postgres", handlers: {} });
  const pipe = join(project.path, "pipe");
  const { success } = await new Deno.Command("mkfifo", { args: [pipe] }).output();
  assert.ok(success);
  const [ended] = await Promise.all([
    tq(project, ["publish", "--file", pipe]),
    Deno.writeTextFile(pipe, lines(3).join("\n")),
  ]);
  assert.match(ended.stdout, /^published 3 tasks, /, ended.stderr);
  assert.deepEqual(await numbers(project), [3, 3]);
});
