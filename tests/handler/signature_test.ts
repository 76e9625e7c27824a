import assert from "node:assert/strict";
// The specification's own library, in the place of a receiver.
import { Webhook } from "npm:standardwebhooks@1.0.0";
import { signed } from "../../src/handler/builtin/signature.ts";
import { WebRequester } from "../../src/handler/builtin/web_request.ts";
import type { WebClientRequest } from "../../src/handler/builtin/web_client.ts";
import type { WebRequestData } from "../../src/publish/web_request_data.ts";
import { webSecrets } from "../../src/setting_values.ts";
import { eventually } from "../support/fixtures.ts";
import { needTest } from "../support/need.ts";
import { Project } from "../support/tq.ts";

const SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OTHER_SECRET = `whsec_${btoa("another secret, 32 bytes of it..")}`;

/** What a receiver saw of a request. */
interface Seen {
  readonly method: string;
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly body: string;
}

/** A receiver on loopback. */
class Receiver implements AsyncDisposable {
  readonly seen: Seen[] = [];
  readonly #server: Deno.HttpServer<Deno.NetAddr>;

  constructor(answer: (seen: Seen) => Response = () => new Response("fine")) {
    this.#server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
      const seen = {
        method: request.method,
        path: new URL(request.url).pathname,
        headers: Object.fromEntries(request.headers),
        body: await request.text(),
      };
      this.seen.push(seen);
      return answer(seen);
    });
  }

  url(path = "/hook"): string {
    return `http://127.0.0.1:${this.#server.addr.port}${path}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

function keysOf(secrets: string): Uint8Array[] {
  const keys = webSecrets(secrets);
  assert.ok(keys !== undefined);
  return keys;
}

/** Sends one request of task 7. */
async function send(data: WebRequestData, secrets: string | null = SECRET): Promise<void> {
  await using requester = new WebRequester({
    timeoutSeconds: 15,
    allowLinkLocal: false,
    keyPrefix: "tq-0123456789ab",
    keys: secrets === null ? undefined : keysOf(secrets),
  });
  await requester.run({
    id: 7,
    data: data as never,
    signal: new AbortController().signal,
    log() {},
    completed() {},
    failed: (reason) => assert.fail(reason),
    retryLater: ({ reason } = {}) => assert.fail(reason),
  });
}

/** What a receiver does: throws unless the request is signed with the secret. */
function verify({ body, headers }: Seen | undefined = assert.fail("nothing came"), secret = SECRET): void {
  // The library takes an empty body for no JSON.
  const webhook = new Webhook(secret);
  if (body !== "") return void webhook.verify(body, headers);
  const signature = webhook.sign(
    headers["webhook-id"]!,
    new Date(Number(headers["webhook-timestamp"]) * 1000),
    "",
  );
  assert.equal(headers["webhook-signature"], signature);
}

Deno.test("signed() makes the specification's example", async () => {
  const request: WebClientRequest = {
    url: new URL("https://example.com/"),
    method: "POST",
    headers: new Headers({ "x-other": "kept" }),
    body: '{"test": 2432232314}',
  };
  const { headers } = await signed(request, {
    keys: keysOf(SECRET),
    id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
    now: 1_614_265_330_999,
  });
  assert.deepEqual(Object.fromEntries(headers), {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    "x-other": "kept",
  });
  assert.equal(request.headers.has("webhook-id"), false, "the request that was given is as it was");
});

Deno.test("a signed request is verified by the specification's library, and nothing else is", async () => {
  await using receiver = new Receiver();
  await send({ url: receiver.url(), data: { text: "Ünïcode 🦕 \u2028", list: [1, 2.5, null] } });
  const [seen] = receiver.seen;
  verify(seen);
  assert.equal(seen?.headers["webhook-id"], "tq-0123456789ab-7");
  assert.equal(seen?.headers["idempotency-key"], "tq-0123456789ab-7");
  assert.throws(() => verify(seen, OTHER_SECRET), /No matching signature/);
  assert.throws(() => verify({ ...seen!, body: seen!.body.replace("2.5", "2.6") }), /No matching signature/);
  const headers = { ...seen!.headers, "webhook-id": "tq-0123456789ab-8" };
  assert.throws(() => verify({ ...seen!, headers }), /No matching signature/);
});

Deno.test("two secrets make two signatures: a receiver may have either", async () => {
  await using receiver = new Receiver();
  await send({ url: receiver.url(), data: { a: 1 } }, `${OTHER_SECRET},${SECRET}`);
  const [seen] = receiver.seen;
  verify(seen, SECRET);
  verify(seen, OTHER_SECRET);
  assert.equal(seen?.headers["webhook-signature"]?.split(" ").length, 2);
});

Deno.test("without a secret nothing is signed", async () => {
  await using receiver = new Receiver();
  await send({ url: receiver.url(), data: { a: 1 } }, null);
  const names = Object.keys(receiver.seen[0]!.headers);
  assert.deepEqual(names.filter((name) => name.startsWith("webhook-")), []);
});

Deno.test("a request without a body is signed as empty", async () => {
  await using receiver = new Receiver();
  await send({ url: receiver.url(), method: "GET", data: { a: 1 } });
  verify(receiver.seen[0]);
});

Deno.test("a request that was signed when it was published stays as it is; other headers of ours win", async () => {
  await using receiver = new Receiver();
  const own = { "webhook-id": "mine", "webhook-signature": "v1,bWluZQ==" };
  await send({ url: receiver.url(), headers: own });
  assert.equal(receiver.seen[0]?.headers["webhook-id"], "mine");
  assert.equal(receiver.seen[0]?.headers["webhook-signature"], "v1,bWluZQ==");
  assert.equal(receiver.seen[0]?.headers["webhook-timestamp"], undefined);
  await send({ url: receiver.url(), data: {}, headers: { "Webhook-Id": "mine", "webhook-timestamp": "1" } });
  verify(receiver.seen[1]);
  assert.equal(receiver.seen[1]?.headers["webhook-id"], "tq-0123456789ab-7");
});

Deno.test("a redirect is signed anew for the same origin, and not at all for another", async () => {
  await using elsewhere = new Receiver();
  await using receiver = new Receiver(({ path }) => {
    if (path === "/done") return new Response("fine");
    const location = path === "/away" ? elsewhere.url() : path === "/get" ? "/done" : "/get";
    return new Response(null, { status: path === "/get" ? 303 : 307, headers: { location } });
  });
  await send({ url: receiver.url("/keep"), data: { a: 1 } });
  for (const seen of receiver.seen) verify(seen);
  assert.deepEqual(receiver.seen.map(({ method, body }) => [method, body]), [
    ["POST", '{"a":1}'],
    ["POST", '{"a":1}'],
    ["GET", ""],
  ]);
  await send({ url: receiver.url("/away"), data: { a: 1 } });
  const [foreign] = elsewhere.seen;
  assert.equal(foreign?.body, '{"a":1}');
  assert.deepEqual(Object.keys(foreign.headers).filter((name) => name.startsWith("webhook-")), []);
});

needTest(["postgres"], "an engine signs with TQ_WEB_SECRET; the id is the same over retries", async () => {
  await using receiver = new Receiver((): Response => {
    return receiver.seen.length === 1 ? new Response("busy", { status: 503 }) : new Response("fine");
  });
  await using project = await Project.make({
    servers: "postgres",
    handlers: { "none.js": "" },
    settings: { TQ_WEB_SECRET: SECRET },
  });
  await using tq = await project.start();
  const ids = [
    await project.queue.webRequest(receiver.url(), { invoice: 22 }),
    await project.queue.webRequest(receiver.url(), { invoice: 23 }),
  ];
  await eventually(() => receiver.seen.length === 3, { within: 15_000, what: "both, and one again" });
  for (const id of ids) assert.equal((await project.ended(id)).state, 10);
  for (const seen of receiver.seen) verify(seen);
  const sent = Map.groupBy(receiver.seen, ({ headers }) => headers["webhook-id"]);
  assert.deepEqual([...sent.values()].map((group) => group.length).sort(), [1, 2]);
  const again = [...sent.values()].find((group) => group.length === 2)!;
  assert.equal(again[0]!.body, again[1]!.body);
  const [first, second] = again.map(({ headers }) => Number(headers["webhook-timestamp"]));
  assert.ok(second! > first!, "each sending has its own time");
  assert.equal((await tq.stop()).code, 0);
});
