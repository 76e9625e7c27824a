import assert from "node:assert/strict";
import { InputError } from "../../src/errors.ts";
import { checkWebRequest } from "../../src/publish/web_request_data.ts";

const url = "https://user:secret@example.com/hook?token=secret";

Deno.test("checkWebRequest() returns what it accepts", () => {
  const full = { url, method: "PATCH", data: { a: [null] }, headers: { "X-A": "é" }, timeout: 0.5 };
  assert.deepEqual(checkWebRequest(full), full);
  assert.deepEqual(checkWebRequest({ url, method: undefined, headers: undefined }), { url });
  assert.deepEqual(checkWebRequest({ url, data: null }), { url, data: null });
  assert.deepEqual(checkWebRequest({ url, method: "GET", data: { a: [1, null] } }).data, { a: [1, null] });
});

Deno.test("checkWebRequest() names the bad field, and tells no secret", () => {
  const cases: [unknown, RegExp][] = [
    [undefined, /^the data of a web request is not an object/],
    [[url], /^the data of a web request is not an object/],
    [{}, /^url is not a URL/],
    [{ url: "/secret" }, /^url is not a URL/],
    [{ url: 1 }, /^url is not a URL/],
    [{ url: "javascript:secret" }, /^url has the scheme javascript$/],
    [{ url, methd: "GET" }, /^a web request has no field "methd"/],
    [{ url, method: "get" }, /^method is "get"/],
    [{ url, method: "CONNECT" }, /^method is "CONNECT"/],
    [{ url, method: null }, /^method is null/],
    [{ url, headers: "secret" }, /^headers is not an object/],
    [{ url, headers: { "a b": "secret" } }, /^headers has the name "a b"/],
    [{ url, headers: { "": "secret" } }, /^headers has the name ""/],
    [{ url, headers: { a: "secret\r\nb: c" } }, /^headers has a bad value for "a"/],
    [{ url, headers: { a: "secret\0" } }, /^headers has a bad value for "a"/],
    [{ url, headers: { a: "secret\u0100" } }, /^headers has a bad value for "a"/],
    [{ url, headers: { a: 1 } }, /^headers has a bad value for "a"/],
    [{ url, headers: { Accept: "a", accept: "b" } }, /^headers sets "accept" twice/],
    [{ url, headers: { Host: "secret" } }, /^headers sets "Host"/],
    [{ url, headers: { "content-length": "1" } }, /^headers sets "content-length"/],
    [{ url, headers: { "Transfer-Encoding": "chunked" } }, /^headers sets "Transfer-Encoding"/],
    [{ url, headers: { CONNECTION: "close" } }, /^headers sets "CONNECTION"/],
    [{ url, timeout: 0 }, /^timeout is 0/],
    [{ url, timeout: -1 }, /^timeout is -1/],
    [{ url, timeout: "5" }, /^timeout is "5"/],
    [{ url, timeout: Infinity }, /^timeout is null/],
    [{ url, method: "GET", data: "secret" }, /^data of a GET or HEAD is not an object/],
    [{ url, method: "HEAD", data: { a: { b: "secret" } } }, /^data of a GET or HEAD has a nested "a"/],
    [{ url, method: "GET", data: { a: [["secret"]] } }, /^data of a GET or HEAD has a nested "a"/],
  ];
  for (const [data, message] of cases) {
    assert.throws(() => checkWebRequest(data), (error) => {
      assert.ok(error instanceof InputError);
      assert.match(error.message, message);
      assert.doesNotMatch(`${error.message} ${error.remedy}`, /secret/);
      assert.ok(error.remedy);
      return true;
    });
  }
});
