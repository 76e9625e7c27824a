import assert from "node:assert/strict";
import { CODE_SECONDS } from "../../src/http/access.ts";
import { TestClock } from "../support/fixtures.ts";
import { needTest } from "../support/need.ts";
import { MANAGE, VIEW, WebSite } from "./site.ts";

const NEEDS = ["postgres"] as const;

async function link(site: WebSite, token = MANAGE, body: unknown = {}): Promise<string> {
  const answer = await site.post("/sign-in-link", body, { token });
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.body.data.seconds, CODE_SECONDS);
  return answer.body.data.path;
}

/** Follows a link, as a browser does that opens it. */
async function open(site: WebSite, path: string, init: RequestInit = {}) {
  const response = await fetch(site.url + path, { redirect: "manual", ...init });
  const text = await response.text();
  const set = response.headers.get("set-cookie");
  return { status: response.status, headers: response.headers, text, set, cookie: set?.split(";")[0] ?? "" };
}

needTest(
  NEEDS,
  "sign in: a link starts one session, whose cookie no script reads and no other site sends",
  async () => {
    await using site = await WebSite.make();
    const path = await link(site);
    assert.match(path, /^\/sign-in\?code=[\w-]{32}$/);
    const first = await open(site, path);
    assert.equal(first.status, 200);
    assert.match(first.set ?? "", /^tq_session=[\w.-]+; Max-Age=43200; Path=\/; HttpOnly; SameSite=Strict$/);
    // A page leads on: a redirect would be of the site that the link was on, and lose the strict cookie.
    assert.equal(first.headers.get("refresh"), "0; url=/");
    assert.equal((await site.ask("/task", { token: null, headers: { cookie: first.cookie } })).status, 200);
    const again = await open(site, path);
    assert.deepEqual([again.status, again.set], [401, null]);
    assert.match(again.text, /used already, or is too old/);
  },
);

needTest(
  NEEDS,
  "sign in: a session lives beside what a proxy asks for, but not beside a wrong token",
  async () => {
    await using site = await WebSite.make();
    const { cookie } = await open(site, await link(site, MANAGE, { right: "view" }));
    const ask = async (authorization: string, init: RequestInit = {}) =>
      (await site.ask("/task", { token: null, ...init, headers: { cookie, authorization, ...init.headers } }))
        .status;
    assert.equal(await ask(`Basic ${btoa("proxy:secret")}`), 200);
    assert.equal((await open(site, "/", { headers: { cookie, authorization: "Basic x" } })).status, 200);
    assert.equal(await ask(`Basic ${btoa("proxy:secret")}`, { headers: { cookie: "tq_session=x" } }), 401);
    for (const wrong of ["Bearer", "bearer", `Bearer ${MANAGE}x`, `Bearer ${MANAGE} x`]) {
      assert.equal(await ask(wrong), 401, wrong);
    }
  },
);

needTest(NEEDS, "sign in: whoever only looks ahead does not use a link up", async () => {
  await using site = await WebSite.make();
  const path = await link(site);
  assert.equal((await open(site, path, { method: "HEAD" })).set, null);
  assert.match((await open(site, path)).set ?? "", /^tq_session=/);
});

needTest(NEEDS, "sign in: a link is good for two minutes", async () => {
  const clock = new TestClock();
  await using site = await WebSite.make({ clock });
  const path = await link(site);
  await clock.advance(CODE_SECONDS * 1000);
  assert.equal((await open(site, path)).status, 401);
});

needTest(
  NEEDS,
  "sign in: a session has the right that was asked for, at most that of the token",
  async () => {
    await using site = await WebSite.make();
    const right = async (token: string, body: unknown) => {
      const { cookie } = await open(site, await link(site, token, body));
      const headers = { cookie, origin: site.url };
      const read = await site.ask("/task", { token: null, headers });
      const write = await site.post("/restart", {}, { token: null, headers });
      return [read.status, write.status];
    };
    assert.deepEqual(await right(MANAGE, {}), [200, 200]);
    assert.deepEqual(await right(MANAGE, { right: "view" }), [200, 403]);
    assert.deepEqual(await right(VIEW, {}), [200, 403]);
    const bad = await site.post("/sign-in-link", { right: "root" });
    assert.deepEqual([bad.status, bad.body.error], [400, "right is no right: give view or manage"]);
  },
);

needTest(NEEDS, "sign in: by a token in the form, which leads back to where one came from", async () => {
  await using site = await WebSite.make();
  const next = '/tasks?state=failed&search="><b>';
  const form = await open(site, `/sign-in?next=${encodeURIComponent(next)}`);
  assert.match(form.text, /<form method="post" action="\/sign-in">/);
  assert.match(form.text, /name="next" value="\/tasks\?state=failed&amp;search=&quot;&gt;&lt;b&gt;"/);
  const post = (fields: Record<string, string>, origin: string | undefined = site.url) =>
    open(site, "/sign-in", {
      method: "POST",
      body: new URLSearchParams(fields),
      headers: origin === undefined ? {} : { origin },
    });
  const signed = await post({ token: ` ${VIEW} `, next });
  assert.deepEqual([signed.status, signed.headers.get("refresh")], [200, `0; url=${next}`]);
  assert.match(signed.set ?? "", /^tq_session=view\./);
  const wrong = await post({ token: "wrong", next });
  assert.deepEqual([wrong.status, wrong.set], [401, null]);
  assert.match(wrong.text, /role="alert">This token is wrong/);
  assert.match(wrong.text, /name="next" value="\/tasks/);
  for (
    const one of [
      await post({ token: MANAGE }, "http://evil.example"),
      await open(site, "/sign-in", { method: "POST" }),
    ]
  ) {
    assert.deepEqual([one.status, one.set], [403, null]);
  }
});

needTest(NEEDS, "sign in: the cookie is for TLS alone where a proxy has it", async () => {
  await using site = await WebSite.make();
  const { set } = await open(site, await link(site), { headers: { "x-forwarded-proto": "https" } });
  assert.match(set ?? "", /; Secure/);
});

needTest(NEEDS, "sign out takes the cookie away", async () => {
  await using site = await WebSite.make();
  const out = await open(site, "/sign-out", { method: "POST", headers: { origin: site.url } });
  assert.deepEqual([out.status, out.headers.get("location")], [303, "/sign-in"]);
  assert.match(out.set ?? "", /^tq_session=; Max-Age=0; Path=\//);
  assert.equal((await open(site, "/sign-out", { method: "POST" })).status, 403);
});

needTest(NEEDS, "a wrong token is not made good by a session", async () => {
  await using site = await WebSite.make();
  const { cookie } = await open(site, await link(site));
  assert.equal((await site.ask("/task", { token: "wrong", headers: { cookie } })).status, 401);
});
