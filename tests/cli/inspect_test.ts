import assert from "node:assert/strict";
import { needTest } from "../support/need.ts";
import { Project } from "../support/tq.ts";
import { forEach, printed, refusal, TQ, tq } from "./run_tq.ts";

/** What a hostile task may carry into a terminal. */
const HOSTILE = "\u001b]0;title\u0007\u001b[2J\u009b2J\u202e\rline\nnext \u001b[31mred\u001b[0m";
// deno-lint-ignore no-control-regex
const DANGEROUS = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]/;

async function make(): Promise<Project> {
  return await Project.make({ servers: "postgres", handlers: {} });
}

/** Puts a row as it stands, as nobody but Postgres would take it. */
async function insert(project: Project, columns: Record<string, unknown>): Promise<number> {
  const { sql, schema } = project.record!;
  const row = { model: "demo.Report", fname: "run", ...columns };
  const [inserted] = await sql`insert into ${sql(schema)}.tasks ${sql(row)} returning id`;
  return inserted?.id;
}

needTest(["postgres"], "tq tasks lists what it is asked for, the newest first", async () => {
  await using project = await make();
  assert.equal(await printed(project, ["tasks"]), "no tasks\n");
  assert.equal(await printed(project, ["tasks", "--json"]), "[]\n");
  const failed = await insert(project, { state: -1, attempts: 2, reason: "could not find transactions" });
  const other = await insert(project, { model: "mail", fname: "send", channel: "own", state: 10 });
  const ready = await insert(project, {});
  const lines = (await printed(project, ["tasks"])).trimEnd().split("\n");
  assert.match(lines[0]!, /^ID +HANDLER +STATE +ATTEMPTS +RUNTIME +AGE +REASON$/);
  assert.match(lines[1]!, new RegExp(`^${ready} +demo\\.Report run +scheduled +0/5 +\\S+ m?s$`));
  assert.match(
    lines[3]!,
    new RegExp(`^${failed} +demo\\.Report run +failed +2/5 .* could not find transactions$`),
  );
  const ids = async (...args: string[]) =>
    JSON.parse(await printed(project, ["tasks", "--json", ...args])).map((task: { id: number }) => task.id);
  const asked: readonly (readonly [readonly string[], readonly number[]])[] = [
    [[], [ready, other, failed]],
    [["--state", "failed,10"], [other, failed]],
    [["--state", "-1"], [failed]],
    [["--channel", "own"], [other]],
    [["--model", "mail", "--fname", "send"], [other]],
    [["--search", "TRANSACTIONS"], [failed]],
    [["--size", "1", "--start", "1", "--sort", "id"], [other]],
  ];
  await forEach(asked, async ([args, found]) => {
    assert.deepEqual(await ids(...args), found, args.join(" "));
  });
  const bad: readonly (readonly [string, string, RegExp])[] = [
    [
      "--state",
      "bad",
      /^--state is "bad": give one of scheduled, started, retry_later, completed, failed, canceled$/,
    ],
    ["--sort", "age", /^--sort is "age": give one of -id, id, -modified, modified$/],
    ["--size", "1001", /^--size is "1001": give a whole number from 1 to 1000$/],
    ["--start", "-1", /^--start is "-1": give a whole number from 0 to /],
  ];
  await forEach(bad, async ([option, value, message]) => {
    assert.match(await refusal(project, 2, ["tasks", option, value]), message);
  });
});

needTest(["postgres"], "tq task shows a task whole, with its log", async () => {
  await using project = await make();
  const id = await insert(project, {
    state: -1,
    reason: "first line\nsecond line",
    result: { lines: 3 },
    data: { id: 22, kind: "HOURLY" },
    attempts: 2,
    progress: 0.5,
    priority: 7,
    publish_key: "k",
    created: "2026-01-02T03:04:05Z",
    started_at: "2026-01-02T03:04:06Z",
    completed_at: "2026-01-02T03:04:08.5Z",
  });
  await project.record!.run(
    `insert into :schema.task_logs (task_id, created, kind, text)
     values (${id}, '2026-01-02T03:04:07Z', 'error', E'Error: no\\n    at run')`,
  );
  const text = (await printed(project, ["task", String(id)])).replaceAll(/ {2}\d+ d \d+ h ago$/gm, "  … ago");
  assert.deepEqual(text.split("\n"), [
    `task        ${id}`,
    "handler     demo.Report run",
    "state       failed",
    "reason      first line",
    "            second line",
    "attempts    2 of 5",
    "runtime     2.5 s",
    "progress    50 %",
    "channel     tq_model_handler",
    "priority    7",
    "created     2026-01-02T03:04:05.000Z  … ago",
    "started     2026-01-02T03:04:06.000Z  … ago",
    "ended       2026-01-02T03:04:08.500Z  … ago",
    "key         k",
    'data        {"id":22,"kind":"HOURLY"}',
    'result      {"lines":3}',
    "",
    "log",
    "2026-01-02T03:04:07.000Z error: Error: no",
    "        at run",
    "",
  ]);
  const json = JSON.parse(await printed(project, ["task", String(id), "--json"]));
  assert.deepEqual([json.id, json.state, json.data.id, json.log[0].kind], [id, -1, 22, "error"]);
  assert.equal(json.completedAt, "2026-01-02T03:04:08.500Z");
  await forEach(["0", "abc", "1.5", "-1", "99999999999999999999", ""], async (bad) => {
    const message = await refusal(project, 2, ["task", bad]);
    assert.equal(message, `${JSON.stringify(bad)} is not a task's id: give whole numbers from 1`);
  });
  assert.equal(await refusal(project, 2, ["task", "1,2"]), "several ids are given: give one");
  assert.equal(await refusal(project, 1, ["task", "999999"]), "there is no task 999999: see tq tasks");
});

needTest(["postgres"], "nothing that a task carries reaches the terminal but as text", async () => {
  await using project = await make();
  const id = await insert(project, {
    state: -1,
    model: HOSTILE,
    fname: HOSTILE,
    channel: HOSTILE,
    reason: HOSTILE,
    code_version: HOSTILE,
    publish_key: HOSTILE,
    unique_key: HOSTILE,
    data: { [HOSTILE]: HOSTILE },
    result: { [HOSTILE]: HOSTILE },
  });
  const { sql, schema } = project.record!;
  await sql`insert into ${sql(schema)}.task_logs ${sql({ task_id: id, kind: HOSTILE, text: HOSTILE })}`;
  for (const args of [["tasks"], ["task", String(id)], ["tasks", "--json"], ["task", String(id), "--json"]]) {
    const text = await printed(project, args);
    assert.doesNotMatch(text, DANGEROUS, args.join(" "));
    assert.match(text, /\\u001b\[2J\\u009b2J\\u202e/, args.join(" "));
    if (args.includes("--json")) {
      const [task] = [JSON.parse(text)].flat();
      assert.deepEqual([task.reason, task.data, task.model], [HOSTILE, { [HOSTILE]: HOSTILE }, HOSTILE]);
    }
  }
  assert.equal((await printed(project, ["tasks"])).split("\n").length, 3, "a row is a line");
});

needTest(
  ["postgres"],
  "tq cancel and tq retry say what became of each task, and exit with 1 for the rest",
  async () => {
    await using project = await make();
    const [ready, running, done] = [
      await insert(project, {}),
      await insert(project, { state: 1, started_at: new Date(), engine_id: crypto.randomUUID() }),
      await insert(project, { state: 10 }),
    ];
    const canceled = await tq(project, [
      "cancel",
      `${ready},${running}`,
      `${done}`,
      "--reason",
      "wrong\u001b[2Jmonth",
    ]);
    assert.equal(canceled.code, 1);
    assert.equal(canceled.stdout, `task ${ready} is canceled\ntask ${running} was asked to stop\n`);
    assert.equal(canceled.stderr, `tq: not canceled: task ${done}: ended already, or not there\n`);
    assert.equal((await project.queue.get(ready))?.reason, "wrong\u001b[2Jmonth");
    assert.equal((await project.queue.get(running))?.cancelRequested, true);

    assert.equal(await printed(project, ["retry", String(ready)]), `task ${ready} is ready again\n`);
    assert.equal((await project.queue.get(ready))?.state, 0);
    const retried = await tq(project, ["retry", String(running), String(done), "999999", "--json"]);
    assert.equal(retried.code, 1);
    assert.deepEqual(JSON.parse(retried.stdout), { retried: [done] });
    assert.match(
      retried.stderr,
      new RegExp(`^tq: not retried: tasks ${running}, 999999: not ended, not there, `),
    );
    assert.deepEqual(JSON.parse(await printed(project, ["cancel", String(ready), "--json"])), {
      canceled: [{ id: ready, state: -2 }],
    });
    for (const command of ["cancel", "retry"]) {
      assert.match(await refusal(project, 2, [command, "1", "x"]), /^"x" is not a task's id: /);
    }
  },
);

needTest(
  ["postgres"],
  "tq retry and tq cancel with --state act on every task that is meant, in batches",
  async () => {
    await using project = await make();
    const { sql, schema } = project.record!;
    await sql`insert into ${sql(schema)}.tasks (model, fname, channel, state, attempts, reason)
      select 'mail', 'send', case when i <= 2500 then 'mail' else 'other' end, -1, 5, 'no server'
      from generate_series(1, 2600) as i`;
    const done = await insert(project, { state: 10, channel: "mail" });
    const [first, second] = [
      await insert(project, { state: -1, channel: "keys", unique_key: "u" }),
      await insert(project, { state: -1, channel: "keys", unique_key: "u" }),
    ];
    const failed = ["retry", "--state", "failed"];
    assert.equal(
      await printed(project, [...failed, "--channel", "mail", "--search", "SERVER", "--yes"]),
      "retried 2,500 tasks\n",
    );
    assert.deepEqual(await project.states(), { "0": 2500, "-1": 102, "10": 1 });
    const { stdout, stderr, code } = await tq(project, [...failed, "--channel", "keys", "--yes", "--json"]);
    assert.deepEqual([stdout, code], ['{"count":1}\n', 1]);
    assert.equal(
      stderr,
      "tq: not retried: 1 task: changed meanwhile, or another with its unique key waits\n",
    );
    assert.deepEqual(
      [(await project.queue.get(first))?.state, (await project.queue.get(second))?.state],
      [0, -1],
    );
    assert.equal(
      await printed(project, [
        "cancel",
        "--state",
        "scheduled,retry_later",
        "--model",
        "mail",
        "--reason",
        "w",
        "--yes",
      ]),
      "canceled 2,500 tasks\n",
    );
    assert.deepEqual(await project.states(), { "-2": 2500, "0": 1, "-1": 101, "10": 1 });
    assert.equal((await project.queue.get(done - 1000))?.reason, "w");
    assert.equal(await printed(project, [...failed, "--channel", "none", "--yes"]), "retried 0 tasks\n");
  },
);

needTest(["postgres"], "tq cancel with --state says how many running tasks were asked to stop", async () => {
  await using project = await make();
  const { sql, schema } = project.record!;
  await sql`insert into ${sql(schema)}.tasks (model, fname, state) select 'mail', 'send', i % 2
    from generate_series(1, 3) as i`;
  const cancel = ["cancel", "--yes", "--state"];
  assert.equal(
    await printed(project, [...cancel, "scheduled,started"]),
    "canceled 1 task, asked 2 to stop\n",
  );
  assert.deepEqual(await project.states(), { "-2": 1, "1": 2 });
  assert.equal(await printed(project, [...cancel, "started", "--json"]), '{"count":0,"asked":2}\n');
});

needTest(
  ["postgres"],
  "tq retry and tq cancel refuse what does not say which tasks, and whether",
  async () => {
    await using project = await make();
    const id = await insert(project, { state: -1 });
    const bad: readonly (readonly [readonly string[], RegExp])[] = [
      [["retry"], /^missing required argument 'id': see tq retry --help$/],
      [["retry", "--channel", "mail", "--yes"], /^--state is missing: see tq retry --help$/],
      [
        ["cancel", "1", "--state", "scheduled", "--yes"],
        /^both ids and a filter are given: give one of them$/,
      ],
      [
        ["retry", "--state", "started", "--yes"],
        /^tasks that are started cannot be retried: give --state completed,/,
      ],
      [
        ["cancel", "--state", "failed", "--yes"],
        /^tasks that are failed cannot be canceled: give --state scheduled,/,
      ],
      [["retry", "--state", "bad", "--yes"], /^--state is "bad": give one of scheduled, /],
      [
        ["retry", "--state", "failed"],
        /^nobody is here to be asked whether many tasks are to be retried: give --yes$/,
      ],
      [
        ["cancel", "--state", "scheduled"],
        /^nobody is here to be asked whether many tasks are to be canceled: /,
      ],
    ];
    await forEach(bad, async ([args, message]) => {
      assert.match(await refusal(project, 2, args), message);
    });
    assert.equal((await project.queue.get(id))?.state, -1);
  },
);

needTest(["postgres"], "tq prune deletes ended tasks past their age", async () => {
  await using project = await make();
  const daysAgo = (days: number) => new Date(Date.now() - days * 86_400_000);
  await insert(project, { state: 10, modified: daysAgo(8) });
  await insert(project, { state: -1, modified: daysAgo(8) });
  await insert(project, { state: 0, modified: daysAgo(99) });
  assert.match(
    await refusal(project, 2, ["prune", "--after", "soon"]),
    /^--after is "soon": give a duration: 7d/,
  );
  assert.equal(await printed(project, ["prune"]), "deleted 1 task\n");
  assert.equal(await printed(project, ["prune", "--after", "9"]), "deleted 0 tasks\n");
  assert.equal(await printed(project, ["prune", "--after", "7d", "--json"]), '{"deleted":1}\n');
  assert.equal(await project.record!.count(), 1);
});

needTest(["postgres"], "tq migrate tells what it did", async () => {
  await using project = await make();
  assert.equal(await printed(project, ["migrate"]), "the schema is up to date\n");
  assert.equal(await printed(project, ["migrate", "--json"]), '{"migrated":[]}\n');
});

needTest(["postgres"], "a reader that goes away ends a command without a word", async () => {
  await using project = await make();
  const { sql, schema } = project.record!;
  await sql`insert into ${sql(schema)}.tasks (model, fname, reason)
    select 'demo.Report', 'run', repeat('x', 900) from generate_series(1, 1000)`;
  const command = [Deno.execPath(), ...TQ, "tasks", "--size", "1000"].map((part) => `'${part}'`).join(" ");
  const { TQ_TEST_RUN_MARK: _, ...env } = project.environment;
  const { stdout, stderr } = await new Deno.Command("bash", {
    args: [
      "-c",
      `${command} | head -1; echo $PIPESTATUS; ${command} --json | head -c 5; echo " $PIPESTATUS"`,
    ],
    cwd: project.path,
    env,
    clearEnv: true,
  }).output();
  assert.equal(new TextDecoder().decode(stderr), "");
  const lines = new TextDecoder().decode(stdout).split("\n");
  assert.match(lines[0]!, /^ID +HANDLER /);
  assert.deepEqual(lines.slice(1), ["0", '[{"id 0', ""]);
});
