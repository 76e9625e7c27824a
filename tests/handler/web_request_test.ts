import assert from "node:assert/strict";
import { type Clock, systemClock } from "../../src/clock.ts";
import { type Note, Task, type TaskHost, type Verdict } from "../../src/handler/context.ts";
import { WebRequester, type WebRequesterOptions } from "../../src/handler/builtin/web_request.ts";
import type { WebRequestData } from "../../src/publish/web_request_data.ts";

/** What a server saw of a request. */
interface Seen {
  readonly method: string;
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly body: string;
  /** The client's port: one a connection. */
  readonly port: number;
}

type Answerer = (seen: Seen) => Response | Promise<Response>;

/** A server on loopback that notes what it is asked. */
class Server implements AsyncDisposable {
  readonly seen: Seen[] = [];
  readonly #server: Deno.HttpServer<Deno.NetAddr>;

  constructor(answer: Answerer = () => new Response("fine")) {
    this.#server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request, info) => {
      const url = new URL(request.url);
      const seen = {
        method: request.method,
        path: url.pathname + url.search,
        headers: Object.fromEntries(request.headers),
        body: await request.text(),
        port: info.remoteAddr.port,
      };
      this.seen.push(seen);
      return await answer(seen);
    });
  }

  /** A URL of this server; names end in `.test`, and all lead here. */
  url(path = "/hook", host = "127.0.0.1", userinfo = ""): string {
    return `http://${userinfo}${host}:${this.#server.addr.port}${path}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

/** A clock that stands still until its timers are fired by hand. */
class StillClock implements Clock {
  readonly timers = new Map<() => void, number>();
  now(): number {
    return Date.UTC(2026, 0, 1, 12, 0, 0);
  }
  monotonic(): number {
    return 0;
  }
  sleep(): Promise<void> {
    return Promise.resolve();
  }
  after(ms: number, fn: () => void): () => void {
    this.timers.set(fn, ms);
    return () => this.timers.delete(fn);
  }
  fire(ms: number): void {
    for (const [fn, at] of this.timers) if (at === ms) fn();
  }
}

/** A task outside any engine. */
function makeTask(data: unknown, id = 7) {
  const notes: Note[] = [];
  const abort = new AbortController();
  const host: TaskHost = {
    queue: {} as TaskHost["queue"],
    maxResultBytes: 1 << 20,
    signal: () => abort.signal,
    note: (_id, note) => notes.push(note),
  };
  const task = new Task({
    id,
    model: "tq_web_request",
    fname: "POST",
    channel: "tq_hook",
    attempts: 1,
    data: JSON.stringify(data),
  }, host);
  return { task, notes, abort };
}

function makeRequester(options: Partial<WebRequesterOptions> = {}): WebRequester {
  return new WebRequester({
    timeoutSeconds: 15,
    allowLinkLocal: false,
    lookup: () => Promise.resolve([{ address: "127.0.0.1", family: 4 }]),
    ...options,
  });
}

/** Runs one request to its verdict. */
async function run(
  data: WebRequestData,
  options: Partial<WebRequesterOptions> = {},
): Promise<{ verdict: Verdict | undefined; log: string[] }> {
  await using requester = makeRequester(options);
  const { task, notes } = makeTask(data);
  await requester.run(task);
  assert.ok(notes.every(({ kind }) => kind === "web"));
  return { verdict: task.verdict, log: notes.map(({ text }) => text) };
}

/** A resolver that never answers, and what tells that it was asked. */
function endlessLookup() {
  const asked = Promise.withResolvers<void>();
  const lookup = () => {
    asked.resolve();
    return new Promise<never>(() => {});
  };
  return { lookup, resolving: asked.promise };
}

function failure(verdict: Verdict | undefined): string {
  assert.equal(verdict?.kind, "failed");
  return verdict.reason;
}

function retry(verdict: Verdict | undefined): { reason: string; delay: number | undefined } {
  assert.equal(verdict?.kind, "retry");
  return { reason: verdict.reason ?? "", delay: verdict.delaySeconds };
}

Deno.test("a web request posts its data as JSON and completes with status and time", async () => {
  await using server = new Server();
  const { verdict, log } = await run({ url: server.url(), data: { a: [1, "é"] } });
  assert.equal(verdict?.kind, "completed");
  const result = JSON.parse(verdict.result ?? "");
  assert.equal(result.status, 200);
  assert.ok(Number.isInteger(result.ms));
  const [seen] = server.seen;
  assert.equal(seen?.method, "POST");
  assert.equal(seen?.body, '{"a":[1,"é"]}');
  assert.equal(seen?.headers["content-type"], "application/json");
  assert.equal(seen?.headers["user-agent"], "tq");
  assert.equal(seen?.headers["idempotency-key"], "tq-7");
  assert.match(log[0] ?? "", /^POST http:\/\/127\.0\.0\.1:\d+\/hook: 200 OK in \d+ ms$/);
  assert.deepEqual(log.slice(1), ["fine"]);
});

Deno.test("a web request without data has no body, and its own headers win", async () => {
  await using server = new Server(() => new Response(null, { status: 204 }));
  const headers = { "Idempotency-Key": "mine", "User-Agent": "me", "X-Two": "2", Authorization: "Bearer x" };
  const url = server.url("/hook", "127.0.0.1", "user:secret@");
  const { verdict, log } = await run({ url, method: "PUT", headers });
  assert.equal(verdict?.kind, "completed");
  const [seen] = server.seen;
  assert.equal(seen?.method, "PUT");
  assert.equal(seen?.body, "");
  assert.equal(seen?.headers["content-type"], undefined);
  assert.equal(seen?.headers["idempotency-key"], "mine");
  assert.equal(seen?.headers["user-agent"], "me");
  assert.equal(seen?.headers["x-two"], "2");
  assert.equal(seen?.headers["authorization"], "Bearer x");
  assert.equal(log.length, 1);
});

Deno.test("data of a GET or HEAD goes behind the query that is there", async () => {
  await using server = new Server();
  const data = { n: 1, list: ["x y", true], none: null };
  await run({ url: server.url("/p?old=a%20b&flag"), method: "GET", data });
  await run({ url: server.url("/p"), method: "HEAD", data });
  assert.deepEqual(server.seen.map(({ method, path, body }) => [method, path, body]), [
    ["GET", "/p?old=a%20b&flag&n=1&list=x+y&list=true", ""],
    ["HEAD", "/p?n=1&list=x+y&list=true", ""],
  ]);
});

Deno.test("an answer that may pass is retried, as late as Retry-After asks", async () => {
  const date = "Thu, 01 Jan 2026 00:00:00 GMT";
  const cases: [number, Record<string, string>, number | undefined][] = [
    [408, {}, undefined],
    [425, {}, undefined],
    [429, { "retry-after": "120" }, 120],
    [500, { "retry-after": "soon" }, undefined],
    [502, { "retry-after": "0" }, undefined],
    [503, { "retry-after": "9999999" }, 86_400],
    [503, { "retry-after": "Thu, 01 Jan 2026 00:01:00 GMT", date }, 60],
    [503, { "retry-after": "Thu Jan  1 00:02:00 2026", date }, 120],
    [503, { "retry-after": "Thursday, 01-Jan-26 00:03:00 GMT", date }, 180],
    [503, { "retry-after": "Wed, 31 Dec 2025 00:00:00 GMT", date }, undefined],
    // A Date that is none: the clock, which stands at noon.
    [503, { "retry-after": "Thu, 01 Jan 2026 12:00:30 GMT", date: "today" }, 30],
  ];
  for (const [status, headers, delay] of cases) {
    await using server = new Server(() => new Response("busy", { status, headers }));
    const { verdict, log } = await run({ url: server.url() }, { clock: new StillClock() });
    const got = retry(verdict);
    assert.equal(got.delay, delay, JSON.stringify([status, headers]));
    assert.match(got.reason, new RegExp(`^${status} .+: busy$`));
    assert.equal(log[1], "busy");
  }
});

Deno.test("another answer fails with the first 200 characters of its body", async () => {
  for (const status of [400, 401, 404, 410, 300, 304]) {
    const body = status === 304 ? null : "no\0" + "x".repeat(300);
    await using server = new Server(() => new Response(body, { status }));
    const reason = failure((await run({ url: server.url() })).verdict);
    assert.match(
      reason,
      status === 304 ? /^304 Not Modified$/ : new RegExp(`^${status} .+: no\uFFFDx{197}$`),
    );
  }
});

Deno.test("no more than 64 KiB of a body are read", async () => {
  let pulled = 0;
  const canceled = Promise.withResolvers<void>();
  await using server = new Server(() =>
    new Response(
      new ReadableStream({
        pull(controller) {
          pulled++;
          controller.enqueue(new Uint8Array(16 * 1024).fill(97));
        },
        cancel: () => canceled.resolve(),
      }),
    )
  );
  const { verdict, log } = await run({ url: server.url() });
  assert.equal(verdict?.kind, "completed");
  assert.match(log[0] ?? "", /, the body's first 64 KiB follow$/);
  assert.equal(log[1], "a".repeat(65_536));
  await canceled.promise;
  assert.ok(pulled < 2000, `${pulled} pieces were sent`);
});

Deno.test("a body of exactly 64 KiB is not called cut", async () => {
  await using server = new Server(() => new Response("b".repeat(65_536)));
  const { log } = await run({ url: server.url() });
  assert.match(log[0] ?? "", /ms$/);
  assert.equal(log[1]?.length, 65_536);
});

Deno.test("a network error is retried, and neither credentials nor query are told", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  const { verdict, log } = await run({ url: `http://user:secret@127.0.0.1:${port}/p?token=secret#secret` });
  const { reason, delay } = retry(verdict);
  assert.ok(reason.startsWith(`POST http://127.0.0.1:${port}/p: `), reason);
  assert.match(reason, /ECONNREFUSED/);
  assert.equal(delay, undefined);
  assert.doesNotMatch(reason + log.join(), /secret|user/);
  assert.equal(log.length, 1);
});

Deno.test("a name without address, and one whose addresses all refuse, are retried", async () => {
  const unknown = await run({ url: "http://nowhere.test/" }, {
    lookup: () => Promise.reject(new Error("getaddrinfo ENOTFOUND nowhere.test")),
  });
  assert.equal(
    retry(unknown.verdict).reason,
    "POST http://nowhere.test/: getaddrinfo ENOTFOUND nowhere.test",
  );
  const empty = await run({ url: "http://nowhere.test/" }, { lookup: () => Promise.resolve([]) });
  assert.equal(retry(empty.verdict).reason, "POST http://nowhere.test/: nowhere.test has no address");
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  listener.close();
  const refused = await run({ url: `http://two.test:${listener.addr.port}/` }, {
    lookup: () => Promise.resolve([{ address: "::1", family: 6 }, { address: "127.0.0.1", family: 4 }]),
  });
  assert.match(retry(refused.verdict).reason, /^POST http:\/\/two\.test:\d+\/: .+/);
});

Deno.test("the next address is tried when the first one refuses", async () => {
  await using server = new Server();
  const { verdict } = await run({ url: server.url("/", "two.test") }, {
    lookup: () => Promise.resolve([{ address: "::1", family: 6 }, { address: "127.0.0.1", family: 4 }]),
  });
  assert.equal(verdict?.kind, "completed");
});

Deno.test("the system's resolver knows localhost", async () => {
  await using server = new Server();
  await using requester = new WebRequester({ timeoutSeconds: 15, allowLinkLocal: false, clock: systemClock });
  const { task } = makeTask({ url: server.url("/", "localhost") });
  await requester.run(task);
  assert.equal(task.verdict?.kind, "completed");
});

Deno.test("an answer that does not come, or does not end, in time is retried", async () => {
  for (const headersFirst of [false, true]) {
    const clock = new StillClock();
    const end = Promise.withResolvers<Response>();
    const asked = Promise.withResolvers<void>();
    const unending = () =>
      new ReadableStream({
        start(controller) {
          controller.enqueue(new Uint8Array(5));
          asked.resolve();
        },
      });
    await using server = new Server(() => {
      if (headersFirst) return new Response(unending());
      asked.resolve();
      return end.promise;
    });
    await using requester = makeRequester({ clock });
    const { task, notes } = makeTask({ url: server.url(), timeout: 2.5 });
    const running = requester.run(task);
    await asked.promise;
    clock.fire(2500);
    await running;
    assert.match(retry(task.verdict).reason, /^POST http:.+\/hook: no full answer within 2\.5 s$/);
    assert.match(notes[0]?.text ?? "", /no full answer within 2\.5 s, after 0 ms$/);
    end.resolve(new Response("late"));
  }
});

Deno.test("redirects keep or change the method as browsers do", async () => {
  await using server = new Server(({ path, headers }) => {
    const status = Number(path.slice(1));
    if (path === "/done") return new Response(headers["content-type"] ?? "no type");
    return new Response("moved", { status, headers: { location: "/done" } });
  });
  const after = async (status: number, method: string) => {
    const data = method === "HEAD" ? {} : { data: { a: 1 } };
    const { verdict, log } = await run({ url: server.url(`/${status}`), method, ...data });
    assert.equal(verdict?.kind, "completed");
    assert.match(log[0] ?? "", new RegExp(`^${method} .+/${status}: ${status} .+, to http://.+/done$`));
    const last = server.seen.at(-1);
    assert.equal(last?.path, "/done");
    if (last?.body === "") assert.equal(last.headers["content-type"], undefined);
    return [last?.method, last?.body];
  };
  const body = '{"a":1}';
  assert.deepEqual(await after(301, "POST"), ["GET", ""]);
  assert.deepEqual(await after(302, "POST"), ["GET", ""]);
  assert.deepEqual(await after(303, "POST"), ["GET", ""]);
  assert.deepEqual(await after(307, "POST"), ["POST", body]);
  assert.deepEqual(await after(308, "POST"), ["POST", body]);
  assert.deepEqual(await after(301, "PUT"), ["PUT", body]);
  assert.deepEqual(await after(302, "DELETE"), ["DELETE", body]);
  assert.deepEqual(await after(303, "PUT"), ["GET", ""]);
  assert.deepEqual(await after(303, "HEAD"), ["HEAD", ""]);
});

Deno.test("credentials are sent to their own origin only", async () => {
  await using server = new Server(({ path, headers }) => {
    const location = {
      "/a": "/b",
      "/b": `http://other.test:${headers["host"]?.split(":")[1]}/c`,
      "/c": `http://me:%C3%A9@third.test:${headers["host"]?.split(":")[1]}/d?token=secret`,
    }[path];
    return location === undefined
      ? new Response("there")
      : new Response(null, { status: 307, headers: { location } });
  });
  const headers = { cookie: "a=1", "Proxy-Authorization": "x", "X-Kept": "yes" };
  const { log } = await run({ url: server.url("/a", "one.test", "user:p%40ss@"), headers });
  const told = server.seen.map(({ headers }) => [
    headers["authorization"],
    headers["cookie"],
    headers["proxy-authorization"],
    headers["x-kept"],
  ]);
  const mine = [`Basic ${btoa("user:p@ss")}`, "a=1", "x", "yes"];
  const theirs = [`Basic ${btoa("me:\xC3\xA9")}`, undefined, undefined, "yes"];
  assert.deepEqual(told, [mine, mine, [undefined, undefined, undefined, "yes"], theirs]);
  assert.equal(log.length, 5);
  assert.doesNotMatch(log.join(), /user|p@ss|p%40ss|secret|me:/);
});

Deno.test("five redirects are followed, and a sixth fails the task", async () => {
  await using server = new Server(({ path }) => {
    const left = Number(path.slice(1));
    if (left === 0) return new Response("there");
    return new Response(null, { status: 302, headers: { location: `/${left - 1}` } });
  });
  assert.equal((await run({ url: server.url("/5") })).verdict?.kind, "completed");
  assert.match(failure((await run({ url: server.url("/6") })).verdict), /302 Found: more than 5 redirects$/);
});

Deno.test("a redirect to what is no http URL, or to a link-local address, fails the task", async () => {
  for (
    const [location, reason] of [
      ["ftp://example.com/", /302 Found: a redirect to what is no http or https URL$/],
      ["file:///etc/passwd", /302 Found: a redirect to what is no http or https URL$/],
      ["http://[", /302 Found: a redirect to what is no http or https URL$/],
      ["http://169.254.169.254/latest/meta-data", /^169\.254\.169\.254 is a link-local address$/],
    ] as const
  ) {
    await using server = new Server(() => new Response(null, { status: 302, headers: { location } }));
    assert.match(failure((await run({ url: server.url() })).verdict), reason);
  }
});

Deno.test("link-local addresses are refused in every spelling", async () => {
  for (
    const host of [
      "169.254.169.254",
      "169.254.0.1.",
      "2852039166",
      "0xa9fea9fe",
      "0251.0376.0251.0376",
      "169.254.43518",
      "100.100.100.200",
      "[fe80::1]",
      "[febf:ffff::1]",
      "[::ffff:169.254.1.2]",
      "[::169.254.1.2]",
      "[::ffff:0:169.254.1.2]",
      "[64:ff9b::169.254.1.2]",
      "[64:ff9b::100.100.100.200]",
      "[64:ff9b:1::a9fe:a9fe]",
      "[2002:a9fe:a9fe::1]",
      "[fd00:ec2::254]",
      "[fd00:ec2:0:0:0:0:0:254]",
    ]
  ) {
    const { verdict } = await run({ url: `http://${host}/latest/meta-data` });
    assert.match(failure(verdict), /is a .*link-local address$/, host);
    const secure = await run({ url: `https://${host}/` });
    assert.match(failure(secure.verdict), /is a .*link-local address$/, host);
  }
});

Deno.test("a name that resolves to a link-local address is refused, unless they are allowed", async () => {
  await using server = new Server();
  const lookup = () =>
    Promise.resolve([{ address: "127.0.0.1", family: 4 }, { address: "169.254.169.254", family: 4 }]);
  const url = server.url("/", "sly.test");
  const refused = await run({ url }, { lookup });
  assert.equal(failure(refused.verdict), "sly.test (169.254.169.254) is a link-local address");
  assert.match(
    refused.log.join(),
    /^sly\.test \(169\.254\.169\.254\) is a link-local address, after \d+ ms$/,
  );
  assert.equal(server.seen.length, 0);
  const allowed = await run({ url }, { lookup, allowLinkLocal: true });
  assert.equal(allowed.verdict?.kind, "completed");
});

Deno.test("run() throws the reason of the task's signal", async () => {
  const end = Promise.withResolvers<Response>();
  const asked = Promise.withResolvers<void>();
  await using server = new Server(() => {
    asked.resolve();
    return end.promise;
  });
  await using requester = makeRequester();
  const { task, abort } = makeTask({ url: server.url() });
  const running = requester.run(task);
  await asked.promise;
  const reason = new Error("canceled");
  abort.abort(reason);
  await assert.rejects(running, (error) => error === reason);
  assert.equal(task.verdict, undefined);
  await assert.rejects(requester.run(task), (error) => error === reason);
  assert.equal(server.seen.length, 1);
  end.resolve(new Response("late"));
});

Deno.test("runs share connections that are kept alive", async () => {
  await using server = new Server();
  await using requester = makeRequester();
  for (let id = 1; id <= 8; id++) await requester.run(makeTask({ url: server.url() }, id).task);
  // Seldom just one: undici counts a connection as busy for a moment after its answer.
  assert.ok(new Set(server.seen.map(({ port }) => port)).size < server.seen.length);
  const keys = server.seen.map(({ headers }) => headers["idempotency-key"]);
  assert.deepEqual(keys, [1, 2, 3, 4, 5, 6, 7, 8].map((id) => `tq-${id}`));
});

Deno.test("disposing of the requester ends runs that wait for an answer or a name", async () => {
  const end = Promise.withResolvers<Response>();
  const asked = Promise.withResolvers<void>();
  await using server = new Server(() => {
    asked.resolve();
    return end.promise;
  });
  const { lookup, resolving } = endlessLookup();
  const requester = makeRequester({ lookup });
  const tasks = [makeTask({ url: server.url() }).task, makeTask({ url: "http://endless.test/" }).task];
  const running = tasks.map((task) => requester.run(task));
  await Promise.all([asked.promise, resolving]);
  await requester[Symbol.asyncDispose]();
  await Promise.all(running);
  for (const task of tasks) retry(task.verdict);
  end.resolve(new Response("late"));
});

Deno.test({
  name: "disposing of the requester ends runs that wait for a TLS handshake",
  // There, destroying a TLS socket within its handshake leaves it open until the other side closes it.
  ignore: Deno.version.deno.startsWith("2.4."),
  async fn() {
    using silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const requester = makeRequester();
    const { task } = makeTask({ url: `https://127.0.0.1:${silent.addr.port}/` });
    const running = requester.run(task);
    using connection = await silent.accept();
    await requester[Symbol.asyncDispose]();
    await running;
    retry(task.verdict);
    const hello = new Uint8Array(16_384);
    while (await connection.read(hello) !== null);
  },
});

Deno.test("a connection that never is ready is given up", async () => {
  const clock = new StillClock();
  const { lookup, resolving } = endlessLookup();
  await using requester = makeRequester({ clock, lookup, timeoutSeconds: 100 });
  const { task } = makeTask({ url: "http://endless.test/" });
  const running = requester.run(task);
  await resolving;
  clock.fire(60_000);
  await running;
  assert.match(retry(task.verdict).reason, /no connection within 60 s$/);
});

Deno.test("a run that ends while its name is being resolved leaves no timer", async () => {
  const clock = new StillClock();
  const { lookup, resolving } = endlessLookup();
  const requester = makeRequester({ clock, lookup });
  const { task, abort } = makeTask({ url: "http://endless.test/" });
  const running = requester.run(task);
  await resolving;
  abort.abort(new Error("canceled"));
  await assert.rejects(running, /canceled/);
  await requester[Symbol.asyncDispose]();
  assert.equal(clock.timers.size, 0);
});

Deno.test("data that cannot be sent fails the task before anything is sent", async () => {
  await using requester = makeRequester();
  const { task } = makeTask({ url: "ftp://example.com/" });
  await requester.run(task);
  assert.equal(failure(task.verdict), "url has the scheme ftp: give an http or https URL");
});
