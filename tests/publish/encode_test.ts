import assert from "node:assert/strict";
import fc from "npm:fast-check@4.10.2";
import { InputError } from "../../src/errors.ts";
import { encodeJson, encodeObject } from "../../src/publish/encode.ts";

const MAX = 10_000;

/** What `data` is refused with; fails when it is not. */
function refusal(data: unknown, max = MAX): string {
  try {
    encodeObject(data, "data", max);
  } catch (error) {
    assert.ok(error instanceof InputError, `not an InputError: ${error}`);
    assert.ok(error.remedy);
    assert.doesNotMatch(error.message, /\p{Cc}/u, "a message is one line");
    return error.message;
  }
  return assert.fail(`accepted: ${Deno.inspect(data)}`);
}

class Money {
  amount = 5;
}

/** `value` behind `depth` objects. */
function nested(depth: number, value: unknown): unknown {
  for (let i = 0; i < depth; i++) value = { a: value };
  return value;
}

Deno.test("what JSON would drop or change is refused, and the error names the place", () => {
  const cases: [unknown, string][] = [
    [{ a: undefined }, "data.a is undefined"],
    [{ list: [1, { x: undefined }] }, "data.list[1].x is undefined"],
    // deno-lint-ignore no-sparse-arrays
    [{ list: [1, , 3] }, "data.list[1] is undefined"],
    [{ f: () => 1 }, "data.f is a function"],
    [{ s: Symbol("s") }, "data.s is a symbol"],
    [{ n: 10n }, "data.n is a bigint"],
    [{ n: NaN }, "data.n is NaN"],
    [{ a: { b: [[Infinity]] } }, "data.a.b[0][0] is Infinity"],
    [{ n: -Infinity }, "data.n is -Infinity"],
    [{ m: new Map([[1, 2]]) }, "data.m is an instance of Map"],
    [{ m: new Set() }, "data.m is an instance of Set"],
    [{ bytes: new Uint8Array(2) }, "data.bytes is an instance of Uint8Array"],
    [{ r: /x/ }, "data.r is an instance of RegExp"],
    [{ e: new Error("x") }, "data.e is an instance of Error"],
    [{ p: Promise.resolve() }, "data.p is an instance of Promise"],
    [{ m: new Money() }, "data.m is an instance of Money"],
    [{ s: new String("x") }, "data.s is an instance of String"],
    [new Map(), "data is an instance of Map"],
    [{ "a b": { "x\ny": undefined } }, 'data["a b"]["x\\ny"] is undefined'],
    [{ t: { toJSON: () => new Map() } }, "data.t is an instance of Map"],
    [{ t: { toJSON: () => undefined } }, "data.t is undefined"],
  ];
  for (const [data, message] of cases) assert.equal(refusal(data), message);
});

Deno.test("data that is no object is refused", () => {
  const cases: [unknown, string][] = [
    [[1, 2], "data is an array"],
    [null, "data is null"],
    [undefined, "data is undefined"],
    ["text", "data is a string"],
    [5, "data is a number"],
    [true, "data is a boolean"],
    [() => 1, "data is a function"],
    [new Date(0), "data has a toJSON that gives no object"],
    [{ toJSON: () => [1] }, "data has a toJSON that gives no object"],
    [{ toJSON: () => "{}" }, "data has a toJSON that gives no object"],
  ];
  for (const [data, message] of cases) assert.equal(refusal(data), message);
});

Deno.test("a cycle and data nested too deeply are refused, and fast", () => {
  const cycle: Record<string, unknown> = {};
  cycle.self = { list: [cycle] };
  assert.match(refusal(cycle), /^data\.self\.list\[0\]\.self.* is nested too deeply, or in a cycle$/);
  const array: unknown[] = [];
  array.push(array);
  assert.match(refusal({ array }), / is nested too deeply, or in a cycle$/);
  assert.match(refusal(nested(501, 1)), / is nested too deeply, or in a cycle$/);
  assert.match(refusal(nested(100_000, 1)), / is nested too deeply, or in a cycle$/);
  assert.ok(refusal(nested(501, 1)).length < 200, "the path is not cut");
  assert.equal(encodeObject(nested(400, 1), "data", MAX).length, 400 * 6 + 1);
});

Deno.test("NUL and halves of surrogate pairs are refused wherever they stand", () => {
  const which = "with NUL or half a surrogate pair, which Postgres cannot store";
  const cases: [unknown, string][] = [
    [{ a: "x\0y" }, `data.a is a string ${which}`],
    [{ a: "\ud83d" }, `data.a is a string ${which}`],
    [{ a: ["ok", { b: "\ude00\ud83d" }] }, `data.a[1].b is a string ${which}`],
    [{ "\0": 1 }, `data has a key ${which}`],
    [{ a: [{ "x\udc00": 1 }] }, `data.a[0] has a key ${which}`],
    [{ a: "\\\0" }, `data.a is a string ${which}`],
    [{ a: "\\\\\ud800" }, `data.a is a string ${which}`],
  ];
  for (const [data, message] of cases) assert.equal(refusal(data), message);
  assert.throws(() => encodeJson("\0", "result", MAX), /^InputError: result is a string with NUL/);
});

Deno.test("text that merely looks like such an escape is accepted, as are whole pairs", () => {
  for (
    const text of [
      "\\u0000",
      "\\\\u0000",
      "\\ud83d",
      "C:\\users\\u0000",
      "\u{1f600}",
      "\\\u{1f600}",
      "\u0001\u2028",
    ]
  ) {
    assert.deepEqual(JSON.parse(encodeObject({ text, [text]: 1 }, "data", MAX)), { text, [text]: 1 });
  }
});

Deno.test("toJSON is honoured, objects without a prototype are plain, null is a value", () => {
  const bare = Object.assign(Object.create(null), { x: null });
  const data = { at: new Date(0), bare, money: { toJSON: () => ({ amount: 5 }) }, empty: {}, list: [] };
  assert.equal(
    encodeObject(data, "data", MAX),
    '{"at":"1970-01-01T00:00:00.000Z","bare":{"x":null},"money":{"amount":5},"empty":{},"list":[]}',
  );
  assert.equal(encodeObject({ toJSON: () => ({ a: 1 }) }, "data", MAX), '{"a":1}');
});

Deno.test("a getter or a toJSON that throws is an error of the input, with its cause", () => {
  const cause = new RangeError("broken");
  for (
    const data of [
      {
        toJSON() {
          throw cause;
        },
      },
      {
        a: {
          get b() {
            throw cause;
          },
        },
      },
    ]
  ) {
    assert.throws(() => encodeObject(data, "data", MAX), (error) => {
      assert.ok(error instanceof InputError);
      assert.equal(error.message, "data cannot be serialised (broken)");
      assert.equal(error.cause, cause);
      return true;
    });
  }
});

Deno.test("size is counted in bytes of JSON, and exactly", () => {
  for (const text of ["a", "é", "€", "\u{1f600}", "\n", '"']) {
    const size = new TextEncoder().encode(JSON.stringify({ a: text.repeat(100) })).length;
    assert.equal(encodeObject({ a: text.repeat(100) }, "data", size).length > 0, true);
    assert.equal(
      refusal({ a: text.repeat(100) }, size - 1),
      `data is larger than TQ_MAX_DATA, ${size - 1} bytes`,
    );
  }
});

Deno.test("results may be any JSON value", () => {
  for (const value of [null, 0, "", false, [], ["a"], { a: 1 }]) {
    assert.equal(encodeJson(value, "result", MAX), JSON.stringify(value));
  }
  assert.throws(() => encodeJson(undefined, "result", MAX), /^InputError: result is undefined/);
  assert.throws(() => encodeJson([1, NaN], "result", MAX), /^InputError: result\[1\] is NaN/);
});

/** Strings of what escapes are made of. */
const tricky = fc.string({
  unit: fc.constantFrom("\\", "u", "0000", "d83d", "\0", "\ud83d", "\ude00", '"'),
  maxLength: 6,
});

Deno.test("a string is refused exactly when it holds NUL or half a pair, else it is written as JSON has it", () => {
  let refused = 0;
  fc.assert(
    fc.property(tricky, tricky, (key, text) => {
      const data = { list: [text], [key]: 1 };
      if ([key, text].every((one) => one.isWellFormed() && !one.includes("\0"))) {
        // Not parsed again: V8 15.0 reads the key "\"" as "\\" when it has just read one (a bug of
        // JSON.parse, not of the text).
        assert.equal(encodeObject(data, "data", MAX), JSON.stringify(data));
      } else {
        refused++;
        assert.match(
          refusal(data),
          /^data(\.list\[0\] is a string| has a key| has a string) with NUL or half a surrogate pair/,
        );
      }
    }),
    { numRuns: 1000, examples: [["\\", ""], ["\0", ""]] },
  );
  assert.ok(refused > 100 && refused < 900, `${refused} of 1000 refused`);
});
