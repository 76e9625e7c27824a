/**
 * What attackers try, each by itself.
 *
 * @module
 */

import assert from "node:assert/strict";
import { BODY_TIME } from "../../src/http/body.ts";
import { eventually, TestClock } from "../support/fixtures.ts";
import { needTest } from "../support/need.ts";
import { type Answer, MANAGE, raw, VIEW, WebSite } from "./site.ts";

const NEEDS = ["postgres"] as const;

/** An error in its envelope, with the headers that every answer has, and without a stack. */
function refused(answer: Answer, code: number, message: RegExp): void {
  assert.equal(answer.status, code, answer.text);
  assert.deepEqual(Object.keys(answer.body).sort(), ["error", "error_code", "status"]);
  assert.deepEqual([answer.body.status, answer.body.error_code], [false, code]);
  assert.match(answer.body.error, message);
  assert.doesNotMatch(answer.text, /\n|\bat .*\.ts|file:\/\//);
  hardened(answer.headers);
}

function hardened(headers: Headers): void {
  const policy = headers.get("content-security-policy") ?? "";
  assert.match(policy, /default-src 'none'/);
  assert.match(policy, /frame-ancestors 'none'/);
  assert.doesNotMatch(policy, /unsafe|https?:|\*/);
  assert.equal(headers.get("x-content-type-options"), "nosniff");
  assert.equal(headers.get("access-control-allow-origin"), null);
}

const READS = ["/task", "/task/1", "/task/log?task=1", "/task/status", "/task/stats"];
const WRITES: readonly [string, unknown][] = [
  ["/task/1", { action: "cancel" }],
  ["/task/1", { action: "retry_now" }],
  ["/task/publish", { model: "app", fname: "x" }],
  ["/restart", {}],
  ["/test", {}],
];

needTest(NEEDS, "attack: no token, a wrong token, a token in the wrong place", async () => {
  await using site = await WebSite.make();
  const ways: { headers: Record<string, string>; message: RegExp }[] = [
    { headers: {}, message: /^a token is missing/ },
    { headers: { authorization: `Bearer ${MANAGE.slice(0, -1)}` }, message: /^the token is wrong/ },
    { headers: { authorization: `Bearer ${MANAGE}x` }, message: /^the token is wrong/ },
    { headers: { authorization: "Bearer" }, message: /^the token is wrong/ },
    { headers: { authorization: `Basic ${btoa(`:${MANAGE}`)}` }, message: /^the token is wrong/ },
    { headers: { cookie: `tq_session=${MANAGE}` }, message: /^the session has ended/ },
    { headers: { "x-api-key": MANAGE }, message: /^a token is missing/ },
  ];
  for (const { headers, message } of ways) {
    for (const path of [...READS, `/task?token=${MANAGE}`]) {
      const answer = await site.ask(path, { token: null, headers });
      refused(answer, 401, message);
      assert.equal(answer.headers.get("www-authenticate"), "Bearer");
    }
    for (const [path, body] of WRITES) {
      refused(await site.post(path, body, { token: null, headers }), 401, message);
    }
  }
  assert.deepEqual([await site.record.count(), site.restarts], [0, 0]);
});

needTest(NEEDS, "attack: a token for view on a write", async () => {
  await using site = await WebSite.make();
  for (const [path, body] of WRITES) {
    refused(
      await site.post(path, body, { token: VIEW }),
      403,
      /^this needs a token for manage: yours is for view$/,
    );
  }
  refused(
    await site.post("/sign-in-link", { right: "manage" }, { token: VIEW }),
    403,
    /starts no session for manage/,
  );
  for (const path of ["/task", "/task/status", "/task/stats"]) {
    assert.equal((await site.ask(path, { token: VIEW })).status, 200);
  }
  assert.deepEqual([await site.record.count(), site.restarts], [0, 0]);
});

needTest(NEEDS, "attack: pages of other origins", async () => {
  await using site = await WebSite.make({ settings: { TQ_HTTP_HOSTS: "tq.example.com" } });
  const cookie = await signIn(site);
  const message = /^requests from pages of other origins are refused$/;
  for (
    const origin of [
      "http://evil.example",
      "null",
      "http://localhost:3000",
      `${site.url}.evil.example`,
      "http://127.0.0.1",
      "https://tq.example.com.evil.example",
      "x",
    ]
  ) {
    for (const path of READS) refused(await site.ask(path, { headers: { origin } }), 403, message);
    refused(
      await site.post("/task/publish", { model: "app", fname: "x" }, { headers: { origin } }),
      403,
      message,
    );
    const headers = { origin, cookie };
    refused(await site.post("/restart", {}, { token: null, headers }), 403, message);
    const preflight = await site.ask("/task", { method: "OPTIONS", token: null, headers: { origin } });
    refused(preflight, 403, message);
  }
  // A form of another site, in a browser that does not say where it is.
  const bare = await site.post("/restart", {}, { token: null, headers: { cookie } });
  refused(bare, 403, /^a session may act from its own pages alone/);
  assert.deepEqual([await site.record.count(), site.restarts], [0, 0]);
  // Its own pages, directly and through the proxy.
  for (const origin of [site.url, "https://tq.example.com"]) {
    assert.equal((await site.post("/restart", {}, { token: null, headers: { origin, cookie } })).status, 200);
  }
  assert.equal(site.restarts, 2);
});

needTest(NEEDS, "attack: another site's name that points here", async () => {
  await using site = await WebSite.make({ settings: { TQ_HTTP_HOSTS: "tq.example.com" } });
  const ask = (host: string, path = "/rpc/taskqueue/task") =>
    raw(
      site.url,
      `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer ${MANAGE}\r\nConnection: close\r\n\r\n`,
    );
  for (
    const host of [
      "evil.example",
      "evil.example:7654",
      "127.0.0.1.evil.example",
      "localhost.evil.example",
      "[::1].evil",
    ]
  ) {
    for (const path of ["/rpc/taskqueue/task", "/", "/sign-in", "/rpc/taskqueue/docs"]) {
      assert.match(
        await ask(host, path),
        /^HTTP\/1\.1 403 [\s\S]*this host name is not served here/,
        `${host} ${path}`,
      );
    }
  }
  for (
    const host of ["localhost", "LOCALHOST:7654", "127.0.0.1:1", "[::1]:7654", "10.1.2.3", "tq.example.com"]
  ) {
    assert.match(await ask(host), /^HTTP\/1\.1 200 /, host);
  }
  // Whoever looks whether it lives may call it anything.
  assert.match(await ask("evil.example", "/healthz"), /^HTTP\/1\.1 200 /);
});

needTest(NEEDS, "attack: paths that climb out of their folder", async () => {
  await using site = await WebSite.make();
  for (
    const path of [
      "/../../../etc/passwd",
      "/assets/../../../../../etc/passwd",
      "/assets/..%2f..%2f..%2f..%2fetc%2fpasswd",
      "/assets/%2e%2e/%2e%2e/%2e%2e/deno.json",
      "/assets/..\\..\\deno.json",
      "/assets//etc/passwd",
      "/assets/%00",
      "/assets/mod.ts",
      "/rpc/taskqueue/task/..%2f..%2fetc",
      "/rpc/taskqueue/task/1%00",
      "/%ff%fe",
      "//etc/passwd",
    ]
  ) {
    const answer = await raw(
      site.url,
      `GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`,
      /\}$/,
    );
    assert.match(answer, /^HTTP\/1\.1 (400|401|404) /, path);
    assert.doesNotMatch(answer, /root:|"exports"|import /, path);
  }
});

needTest(NEEDS, "attack: a body of 10 MB, with its size told and without", async () => {
  await using site = await WebSite.make();
  const large = new Uint8Array(10 * 1024 * 1024).fill(32);
  const message = /^the body is larger than 2097152 bytes/;
  refused(await site.ask("/task/publish", { method: "POST", body: large }), 413, message);
  const stream = new Blob([large]).stream();
  refused(await site.ask("/task/publish", { method: "POST", body: stream }), 413, message);
  // As much as is allowed comes through, and is refused for what it is.
  const data = { text: "x".repeat(1024 * 1024 + 1) };
  refused(
    await site.post("/task/publish", { model: "app", fname: "x", data }),
    400,
    /^data is larger than TQ_MAX_DATA/,
  );
  // Without a right nothing is read at all.
  refused(await site.ask("/task/publish", { method: "POST", body: large, token: null }), 401, /missing/);
});

needTest(NEEDS, "attack: a body that never ends", async () => {
  const clock = new TestClock();
  await using site = await WebSite.make({ clock });
  const head =
    `POST /rpc/taskqueue/task/publish HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${MANAGE}\r\n`;
  const answering = raw(site.url, `${head}Content-Length: 100\r\n\r\n{"model":`, /\}$/);
  await eventually(() => clock.waiting > 0, { what: "the body to be waited for" });
  await clock.advance(BODY_TIME - 1);
  assert.equal(clock.waiting, 1);
  await clock.advance(1);
  assert.match(
    await answering,
    /^HTTP\/1\.1 408 [\s\S]*"error":"the body did not arrive within 10 s: send it again"/,
  );
  // Others are answered meanwhile, and afterwards.
  assert.equal((await site.ask("/task")).status, 200);
});

needTest(NEEDS, "attack: bodies that are none", async () => {
  await using site = await WebSite.make();
  const send = (body: BodyInit, type = "application/json") =>
    site.ask("/task/publish", { method: "POST", body, headers: { "content-type": type } });
  refused(await send("{"), 400, /^the body is not JSON/);
  refused(await send("[1]"), 400, /^the body is not a JSON object/);
  refused(await send("null"), 400, /^the body is not a JSON object/);
  refused(await send(new Uint8Array([0x7b, 0xff, 0x7d])), 400, /^the body is not UTF-8/);
  refused(await send('{"model": '.repeat(50_000)), 400, /^the body is not JSON/);
  refused(
    await send(`{"model":"app","fname":"x","data":${"[".repeat(600)}${"]".repeat(600)}}`),
    400,
    /^data is \[/,
  );
  const deep = `${'{"a":'.repeat(600)}1${"}".repeat(600)}`;
  refused(await send(`{"model":"app","fname":"x","data":${deep}}`), 400, /nested too deeply/);
  refused(await send(`{"model":"app","fname":"x","data":{"a":"\\u0000"}}`), 400, /NUL/);
  refused(await send("", "text/plain"), 400, /^model is missing/);
  assert.equal(await site.record.count(), 0);
  const odd = await send(
    '{"__proto__":{"model":"app"},"model":"app","fname":"x","data":{"__proto__":{"a":1}}}',
  );
  assert.equal(odd.status, 200, odd.text);
  assert.match(odd.text, /"data":\{"__proto__":\{"a":1\}\}/);
});

const SQL = `'; drop table tasks; -- " \\ $1 %`;
const HTML = `<script>alert(1)</script>"><img src=x onerror=alert(1)>&amp;`;

needTest(NEEDS, "attack: SQL and HTML in every field", async () => {
  await using site = await WebSite.make();
  const { run } = site.record;
  for (const text of [SQL, HTML]) {
    for (
      const name of [
        "size",
        "start",
        "sort",
        "search",
        "state",
        "channel",
        "model",
        "fname",
        "dr_start",
        "dr_end",
      ]
    ) {
      const answer = await site.ask(`/task?${name}=${encodeURIComponent(text)}`);
      if (answer.status === 200) assert.deepEqual(answer.body.data, [], name);
      else refused(answer, 400, new RegExp(`^${name} is `));
    }
    for (const path of ["/task/log?task=", "/task/status?minutes_back=", "/task/stats?days=", "/task/"]) {
      refused(await site.ask(path + encodeURIComponent(text)), 400, / is ".*: give /);
    }
    for (
      const field of [
        "model",
        "fname",
        "channel",
        "delay",
        "at",
        "priority",
        "max_attempts",
        "timeout",
        "stale_after",
      ]
    ) {
      refused(await site.post("/task/publish", { model: "app", fname: "x", [field]: text }), 400, / is /);
    }
    refused(await site.post("/task/1", { action: text }), 400, /^action is /);
    for (const field of ["test_count", "sleep_time"]) {
      refused(await site.post("/test", { [field]: text }), 400, / is /);
    }
  }
  assert.equal(await site.record.count(), 0);
  // Where text may be anything it comes back as it was, as JSON that no browser takes for a page.
  const data = { [HTML]: HTML, sql: SQL };
  const published = await site.post("/task/publish", {
    model: "app",
    fname: "x",
    data,
    key: SQL,
    unique: HTML,
  });
  assert.equal(published.status, 200, published.text);
  const { id } = published.body.data;
  const canceled = await site.post(`/task/${id}`, { action: "cancel", reason: SQL + HTML });
  await run.call(
    site.record,
    `insert into :schema.task_logs (task_id, kind, text) values (${id}, '${HTML}', '${HTML}')`,
  );
  const log = await site.ask(`/task/log?task=${id}`);
  const found = await site.ask(`/task?search=${encodeURIComponent(HTML)}`);
  assert.deepEqual(published.body.data.data, data);
  assert.equal(canceled.body.data.reason, SQL + HTML);
  assert.deepEqual([log.body.data[0].kind, log.body.data[0].text], [HTML, HTML]);
  assert.equal(found.body.count, 1);
  for (const { headers } of [published, canceled, log, found]) {
    assert.match(headers.get("content-type") ?? "", /^application\/json\b/);
    hardened(headers);
  }
});

needTest(NEEDS, "attack: lines of headers in what a handler says", async () => {
  await using site = await WebSite.make();
  const evil = "x\r\nSet-Cookie: evil=1\r\n\r\n<script>";
  const id = await site.queue.publish("app", "x", { [evil]: evil });
  await site.record.run(
    `insert into :schema.task_logs (task_id, kind, text) values (${id}, 'log', E'${escape(evil)}')`,
  );
  await site.record.run(
    `update :schema.tasks set state = -1, reason = E'${escape(evil)}', result = '${JSON.stringify([evil])}',
       code_version = E'${escape(evil)}', completed_at = now() where id = ${id}`,
  );
  for (const path of [`/task/${id}`, "/task", `/task/log?task=${id}`]) {
    const head =
      `GET /rpc/taskqueue${path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${MANAGE}\r\n\r\n`;
    const [headers = ""] = (await raw(site.url, head)).split("\r\n\r\n");
    assert.match(headers, /^HTTP\/1\.1 200 /);
    assert.doesNotMatch(headers, /evil|<script/);
  }
  const { body } = await site.ask(`/task/${id}`);
  assert.deepEqual([body.data.reason, body.data.result, body.data.data], [evil, [evil], { [evil]: evil }]);
  // Nor in what a request says.
  for (
    const next of [
      "/x\r\nSet-Cookie: evil=1",
      "//evil.example",
      "/\\evil.example",
      "https://evil.example",
      "javascript:x",
    ]
  ) {
    const form = new URLSearchParams({ token: MANAGE, next });
    const answer = await fetch(`${site.url}/sign-in`, {
      method: "POST",
      body: form,
      headers: { origin: site.url },
    });
    assert.deepEqual([answer.status, answer.headers.get("refresh")], [200, "0; url=/"], next);
    assert.doesNotMatch(await answer.text(), /evil|javascript/);
    assert.doesNotMatch(answer.headers.get("set-cookie") ?? "", /evil/);
  }
});

needTest(NEEDS, "TQ_REDACT keeps values from every answer, wherever they are", async () => {
  await using site = await WebSite.make({ settings: { TQ_REDACT: "password,Authorization" } });
  const secret = "hunter2hunter2";
  const data = {
    user: "ann",
    PASSWORD: secret,
    list: [{ password: { nested: secret } }, 1, null],
    headers: { authorization: `Bearer ${secret}`, accept: "x" },
  };
  const shown = {
    user: "ann",
    PASSWORD: "[redacted]",
    list: [{ password: "[redacted]" }, 1, null],
    headers: { authorization: "[redacted]", accept: "x" },
  };
  const published = await site.post("/task/publish", { model: "app", fname: "x", data });
  const { id } = published.body.data;
  await site.record.run(`update :schema.tasks set result = data where id = ${id}`);
  const one = await site.ask(`/task/${id}`);
  const list = await site.ask("/task");
  const canceled = await site.post(`/task/${id}`, { action: "cancel" });
  assert.deepEqual([published.body.data.data, one.body.data.data, one.body.data.result], [
    shown,
    shown,
    shown,
  ]);
  assert.deepEqual([list.body.data[0].data, list.body.data[0].result, canceled.body.data.data], [
    shown,
    shown,
    shown,
  ]);
  for (const answer of [published, one, list, canceled]) assert.ok(!answer.text.includes(secret));
  assert.deepEqual((await site.queue.get(id))?.data, data, "handlers get all of it");
});

/** A session for `manage`, by a link. */
async function signIn(site: WebSite): Promise<string> {
  const { path } = (await site.post("/sign-in-link", {})).body.data;
  const answer = await fetch(site.url + path);
  await answer.body?.cancel();
  const [cookie = ""] = (answer.headers.get("set-cookie") ?? "").split(";");
  assert.match(cookie, /^tq_session=/);
  return cookie;
}

function escape(text: string): string {
  return text.replaceAll("\r", "\\r").replaceAll("\n", "\\n");
}
