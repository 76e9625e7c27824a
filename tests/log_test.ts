import assert from "node:assert/strict";
import { configureLog, disposeLog, type LogFormat, logger, type LogLevel } from "../src/log.ts";

/** What `fn` logs, line by line. */
async function logged(options: { level?: LogLevel; format?: LogFormat }, fn: () => void): Promise<string[]> {
  const lines: string[] = [];
  await configureLog({ level: "debug", format: "text", write: (line) => lines.push(line), ...options });
  try {
    fn();
  } finally {
    await disposeLog();
  }
  return lines;
}

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

Deno.test("a line of text has time, level, part, message and fields", async () => {
  const [line = ""] = await logged({}, () => logger("engine").info("Task is done", { task: 7, ok: true }));
  const [time = "", ...rest] = line.split(" ");
  assert.match(time, TIME);
  assert.equal(rest.join(" "), "INFO    engine: Task is done task=7 ok=true");
});

Deno.test("fields that could be misread are quoted, and one record is one line", async () => {
  const lines = await logged({}, () =>
    logger("engine").warn("Handler said", {
      empty: "",
      words: "two words",
      quote: 'a"b',
      equals: "a=b",
      lines: "a\nb\r\tc",
      nothing: null,
      left: undefined,
      list: [1, "a b"],
      plain: "a-b_c/d:e",
      error: new Error("went wrong"),
    }));
  assert.equal(lines.length, 1);
  assert.equal(
    lines[0]?.slice(25),
    'WARNING engine: Handler said empty="" words="two words" quote="a\\"b" equals="a=b" lines="a\\nb\\r\\tc" ' +
      'nothing=null list="[1,\\"a b\\"]" plain=a-b_c/d:e error="went wrong"',
  );
});

Deno.test("no control character of a value reaches who reads the log, in text or in JSON", async () => {
  const value = "a\u001b[2J\u007f\u009b2J\u0007é";
  for (const format of ["text", "json"] as const) {
    const [line = ""] = await logged({ format }, () => logger("engine").info("Said", { value, b: "\u0085" }));
    assert.doesNotMatch(line, /\p{Cc}/u);
    assert.ok(line.includes('"a\\u001b[2J\\u007f\\u009b2J\\u0007é"'), line);
  }
});

Deno.test("a line of JSON has the same, as one object", async () => {
  const lines = await logged(
    { format: "json" },
    () => logger("store").error("Lost", { text: 'a "b"\n', n: 1, error: new TypeError("went wrong") }),
  );
  assert.equal(lines.length, 1);
  const { time, ...rest } = JSON.parse(lines[0] ?? "");
  assert.match(time, TIME);
  assert.deepEqual(rest, {
    level: "error",
    part: "store",
    message: "Lost",
    text: 'a "b"\n',
    n: 1,
    error: "went wrong",
  });
});

Deno.test("values that JSON does not know do not lose the line", async () => {
  for (const format of ["text", "json"] as const) {
    const lines = await logged({ format }, () => logger("engine").info("Odd", { big: 10n, after: 1 }));
    assert.equal(lines.length, 1, format);
    assert.match(lines[0] ?? "", /10/);
  }
});

Deno.test("only records of the level and above are written", async () => {
  const all = () => {
    const log = logger("engine");
    log.debug("debug");
    log.info("info");
    log.warn("warning");
    log.error("error");
  };
  const words = async (level: LogLevel) =>
    (await logged({ level }, all)).map((line) => line.split(" ").at(-1));
  assert.deepEqual(await words("debug"), ["debug", "info", "warning", "error"]);
  assert.deepEqual(await words("info"), ["info", "warning", "error"]);
  assert.deepEqual(await words("warning"), ["warning", "error"]);
  assert.deepEqual(await words("error"), ["error"]);
});

Deno.test("the last configuration stands", async () => {
  const first: string[] = [];
  await configureLog({ level: "debug", format: "text", write: (line) => first.push(line) });
  const second = await logged({ format: "json" }, () => logger("a").info("once"));
  assert.deepEqual([first.length, second.length], [0, 1]);
});

Deno.test("the library writes nothing where nobody configured a log", async () => {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "eval",
      `import { logger } from ${JSON.stringify(import.meta.resolve("../src/log.ts"))};
       logger("engine").error("nobody hears this", {});`,
    ],
    stdin: "null",
  }).output();
  assert.equal(code, 0);
  assert.equal(new TextDecoder().decode(stdout), "");
  assert.equal(new TextDecoder().decode(stderr), "");
});
