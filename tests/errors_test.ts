import assert from "node:assert/strict";
import { describe, InputError, messageOf, stackOf, TqError } from "../src/errors.ts";

/** What people throw. */
class Hostile {
  toString(): string {
    throw new Error("no text");
  }
}

const withoutStack = Object.assign(new Error("bare"), { stack: undefined });
const badStack = Object.defineProperty(new Error("bare"), "stack", {
  get() {
    throw new Error("no stack");
  },
});

Deno.test("messageOf() has a text for whatever was thrown, and never throws", () => {
  assert.equal(messageOf(new Error("went wrong")), "went wrong");
  assert.equal(messageOf("text"), "text");
  assert.equal(messageOf(undefined), "undefined");
  assert.equal(messageOf(10n), "10");
  assert.equal(messageOf(Symbol("s")), "Symbol(s)");
  assert.equal(messageOf({ name: "ExitStatus", message: "exit(1)" }), "exit(1)");
  for (const thrown of [new Hostile(), Object.create(null)]) {
    assert.equal(messageOf(thrown), "something without a text was thrown");
  }
  assert.equal(messageOf(Object.assign(new Error(), { message: { toString: () => "odd" } })), "odd");
});

Deno.test("stackOf() is the stack where there is one, else the message", () => {
  assert.match(stackOf(new TypeError("went wrong")), /^TypeError: went wrong\n {4}at /);
  assert.equal(stackOf("text"), "text");
  assert.equal(stackOf(withoutStack), "bare");
  assert.equal(stackOf(badStack), "bare");
  assert.equal(stackOf(new Hostile()), "something without a text was thrown");
});

Deno.test("describe() says what is wrong and how to mend it", () => {
  assert.equal(describe(new InputError("model is x", { remedy: "use y" })), "model is x: use y");
  assert.equal(describe(new TqError("model is x")), "model is x");
  assert.equal(describe(new Error("went wrong")), "went wrong");
  assert.equal(describe("text"), "text");
});
