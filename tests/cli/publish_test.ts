import assert from "node:assert/strict";
import { join } from "node:path";
import { needTest } from "../support/need.ts";
import { Project } from "../support/tq.ts";
import { forEach, printed, refusal, tq } from "./run_tq.ts";

const HANDLERS = {
  "demo/Report.js": `export default class Report {
    static run(task) { task.completed({ got: task.data }); }
    static fail(task) { task.failed("could not find \\u001b[31mtransactions\\nat all"); }
    static slow() { return new Promise(() => {}); }
  }`,
};

/** What arguments are refused with. `null` stands for stdin. */
const BAD: readonly (readonly [readonly string[], RegExp, (string | Uint8Array<ArrayBuffer>)?])[] = [
  [["demo.Report", "run", "{bad"], /^"\{bad" is not JSON: give a JSON object: '\{"id": 22\}'$/],
  [["demo.Report", "run", ""], /^"" is not JSON/],
  [["demo.Report", "run", "x".repeat(200)], /^"x{60}"… is not JSON/],
  [["demo.Report", "run", "-"], /^what came on stdin is not JSON/, "{bad"],
  [["demo.Report", "run", "-"], /^stdin is not UTF-8 text: convert it$/, new Uint8Array([123, 0xe9, 125])],
  [["demo.Report", "run", "[1, 2]"], /^data is an array: give a JSON object/],
  [["demo.Report", "run", "null"], /^data is null: /],
  [["demo.Report", "run", '"text"'], /^data is a string: /],
  [["demo.Report", "run", '{"a": 1e999}'], /^data\.a is Infinity: /],
  [["demo.Report", "run", '{"a": "\\u0000"}'], /NUL .* Postgres cannot store: /],
  [["demo.Report", "run", "-"], /^data is larger than TQ_MAX_DATA, 1048576 bytes: /, large()],
  [["demo.Report", "run", "@no such file"], /^cannot read "no such file" \(there is no such file\): /],
  [["demo.Report", "run", "@/"], /^cannot read "\/" \(it is a folder\): give a file$/],
  [["demo.Report", "run", "{}", "--delya", "5"], /^unknown option '--delya': did you mean --delay\?$/],
  [["demo.Report", "run", "{}", "--zzzzzz"], /^unknown option '--zzzzzz': see tq publish --help$/],
  [
    ["demo.Report", "run", "{}", "--delay"],
    /^option '--delay <duration>' argument missing: see tq publish --h/,
  ],
  [
    ["demo.Report", "run", '{"a":', "1}"],
    /^publish takes 3 arguments at most and got 4: quote those with spaces/,
  ],
  [[], /^a model and a function are missing: tq publish /],
  [["demo.Report"], /^a function is missing: tq publish /],
  [["../../etc/passwd", "run"], /^model is "\.\.\/\.\.\/etc\/passwd": use "app.Model" or "app"/],
  [["a.b.c", "run"], /^model is "a\.b\.c": /],
  [["a\u001b[31mb", "run"], /^model is "a\\u001b\[31mb": /],
  [["constructor", "run"], /^model is constructor: choose a name that objects do not have/],
  [["toString", "run"], /^model is toString: choose/],
  [["myapp.__proto__", "run"], /^model is "myapp\.__proto__": /],
  [["myapp.constructor", "run"], /^model is myapp\.constructor: choose/],
  [["demo.Report", "toString"], /^function is toString: choose/],
  [["demo.Report", "constructor"], /^function is constructor: choose/],
  [["demo.Report", "__proto__"], /^function is "__proto__": /],
  [["demo.Report", "call"], /^function is call: choose/],
  [["demo", "toString"], /^function is toString: choose/],
  [["demo.Report", "run", "--at", "2026-02-31"], /^--at is "2026-02-31": give a date and time: /],
  [["demo.Report", "run", "--at", "tomorrow"], /^--at is "tomorrow": /],
  [["demo.Report", "run", "--delay", "-5"], /^--delay is "-5": give a duration: /],
  [["demo.Report", "run", "--delay", "5", "--at", "2030-01-01"], /^both delay and at are given: /],
  [
    ["demo.Report", "run", "--stale-after", "soon"],
    /^--stale-after is "soon": give a duration: .* or a date/,
  ],
  [["demo.Report", "run", "--priority", "101"], /^priority is 101: give a whole number from -100 to 100$/],
  [["demo.Report", "run", "--priority", "1.5"], /^--priority is "1\.5": give a whole number$/],
  [["demo.Report", "run", "--max-attempts", "0"], /^maxAttempts is 0: give a whole number from 1 to 1000$/],
  [["demo.Report", "run", "--timeout", "0"], /^timeout is 0: /],
  [["demo.Report", "run", "--channel", "a b"], /^channel is "a b": /],
  [["demo.Report", "run", "--key", ""], /^key is "": /],
  [["demo.Report", "run", "--wait", "soon"], /^--wait is "soon": give a duration: /],
  [["demo.Report", "run", "--wait", "--spool"], /^both --spool and --wait are given: give one of them$/],
  [["demo.Report", "run", "--file", "x"], /^both a model and --file are given: give one of them$/],
];

function large(): string {
  return JSON.stringify({ text: "x".repeat(1024 * 1024) });
}

needTest(["postgres"], "tq publish refuses bad input in one line, with 2, and writes no row", async () => {
  await using project = await Project.make({ servers: "postgres", handlers: {} });
  await forEach(BAD, async ([args, message, stdin]) => {
    const options = stdin === undefined ? {} : { stdin };
    assert.match(await refusal(project, 2, ["publish", ...args], options), message);
  });
  assert.equal(await project.record!.count(), 0);
});

needTest(
  ["postgres"],
  "tq web-request refuses bad input in one line, with 2, and writes no row",
  async () => {
    await using project = await Project.make({ servers: "postgres", handlers: {} });
    const bad: readonly (readonly [readonly string[], RegExp])[] = [
      [[], /^missing required argument 'url': see tq web-request --help$/],
      [["ftp://h/x"], /^url has the scheme ftp: give an http or https URL$/],
      [["no url"], /^url is not a URL: /],
      [["http://h", "{bad"], /^"\{bad" is not JSON: /],
      [["http://h", "--method", "FETCH"], /^method is "FETCH": use one of GET, /],
      [["http://h", "--header", "secret"], /^a --header has no colon: give "name: value"$/],
      [["http://h", "--header", "a:1", "--header", "a: 2"], /^--header sets "a" twice: /],
      [["http://h", "--header", "a b: 1"], /^headers has the name "a b": /],
      [["http://h", "--request-timeout", "x"], /^--request-timeout is "x": give a duration: /],
    ];
    await forEach(bad, async ([args, message]) => {
      assert.match(await refusal(project, 2, ["web-request", ...args]), message);
    });
    assert.equal(await project.record!.count(), 0);
    const id = Number(
      await printed(project, ["web-request", "http://h/x", "-", "--header", "X-A: b:c", "--method", "put"], {
        stdin: "[1]",
      }),
    );
    const task = await project.queue.get(id);
    assert.deepEqual([task?.model, task?.fname, task?.channel], ["tq_web_request", "PUT", "tq_hook"]);
    assert.deepEqual(task?.data, { url: "http://h/x", method: "PUT", data: [1], headers: { "X-A": "b:c" } });
  },
);

needTest(["postgres"], "tq publish stores what its options say, and prints the id", async () => {
  await using project = await Project.make({ servers: "postgres", handlers: {} });
  const plain = await printed(project, ["publish", "demo.Report", "run"]);
  assert.match(plain, /^\d+\n$/);
  const bare = await project.queue.get(Number(plain));
  assert.deepEqual([bare?.state, bare?.data, bare?.channel], [0, {}, "tq_model_handler"]);

  await Deno.writeTextFile(join(project.path, "data.json"), '\uFEFF{"from": "a file"}');
  const sources: readonly (readonly [string, string | undefined, unknown])[] = [
    ['{"from": "an argument"}', undefined, { from: "an argument" }],
    ["@data.json", undefined, { from: "a file" }],
    ["-", '{"from": "stdin"}', { from: "stdin" }],
  ];
  for (const [argument, stdin, data] of sources) {
    const options = stdin === undefined ? {} : { stdin };
    const id = Number(await printed(project, ["publish", "demo", "run", argument], options));
    const task = await project.queue.get(id);
    assert.deepEqual([task?.data, task?.channel], [data, "tq_app_handler"]);
  }

  const json = await printed(project, [
    ...["publish", "demo.Report", "run", "--channel", "late", "--at", "2030-01-02T03:04:05Z", "--json"],
    ...["--priority", "-7", "--max-attempts", "3", "--timeout", "2m", "--stale-after", "2031-01-01T00:00Z"],
    ...["--key", "k", "--unique", "u"],
  ]);
  const { id } = JSON.parse(json);
  const task = await project.queue.get(id);
  assert.equal(json, `{"id":${id}}\n`);
  assert.equal(task?.state, 2);
  assert.equal(task?.scheduledFor?.toISOString(), "2030-01-02T03:04:05.000Z");
  assert.equal(task?.staleAfter?.toISOString(), "2031-01-01T00:00:00.000Z");
  const { channel, priority, maxAttempts, timeoutSeconds, publishKey, uniqueKey } = task!;
  assert.deepEqual([channel, priority, maxAttempts, timeoutSeconds], ["late", -7, 3, 120]);
  assert.deepEqual([publishKey, uniqueKey], ["k", "u"]);

  const again = await printed(project, ["publish", "demo.Report", "run", "--key", "k"]);
  const unique = await printed(project, ["publish", "demo.Report", "run", "--unique", "u"]);
  assert.deepEqual([again, unique], [`${id}\n`, `${id}\n`]);

  const delayed = await printed(project, [
    "publish",
    "demo.Report",
    "run",
    "--delay",
    "90s",
    "--stale-after",
    "3m",
  ]);
  const { scheduledFor, staleAfter, created } = (await project.queue.get(Number(delayed)))!;
  assert.equal(scheduledFor!.getTime() - created.getTime(), 90_000);
  assert.equal(staleAfter!.getTime() - created.getTime(), 180_000);
});

needTest(
  ["postgres"],
  "tq publish --wait tells how the task ended, and exits with 1 unless it completed",
  async () => {
    const settings = { TQ_DRAIN_TIMEOUT: 0 };
    await using project = await Project.make({ servers: "postgres", handlers: HANDLERS, settings });
    await using engine = await project.start();
    const done = await tq(project, ["publish", "demo.Report", "run", '{"a": 1}', "--wait"]);
    assert.deepEqual([done.code, done.stderr], [0, ""]);
    assert.match(done.stdout, /^\d+\ncompleted\n$/);
    const json = await printed(project, [
      "publish",
      "demo.Report",
      "run",
      '{"a": 1}',
      "--wait",
      "30s",
      "--json",
    ]);
    const task = JSON.parse(json);
    assert.deepEqual([task.state, task.result], [10, { got: { a: 1 } }]);
    const failed = await tq(project, ["publish", "demo.Report", "fail", "--wait"]);
    assert.deepEqual([failed.code, failed.stderr], [1, ""]);
    // A colour says nothing, and a line is a line.
    assert.match(failed.stdout, /^\d+\nfailed: could not find transactions at all\n$/);
    const slow = await tq(project, ["publish", "demo.Report", "slow", "--wait", "100ms"]);
    assert.equal(slow.code, 1);
    assert.match(slow.stdout, /^\d+\n$/);
    assert.match(slow.stderr, /^tq: task \d+ has not ended within 0\.1 s: it goes on\n$/);
    engine.signal("SIGINT");
    engine.signal("SIGINT");
    await engine.ended();
  },
);
