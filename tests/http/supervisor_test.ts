/**
 * The server as part of `tq run`: while engines are replaced, while tq itself is, and how `tq dashboard` finds it.
 *
 * @module
 */

import assert from "node:assert/strict";
import { join } from "node:path";
import type { SupervisorStatus } from "../../src/supervisor/status_file.ts";
import { eventually } from "../support/fixtures.ts";
import { freePort } from "../support/free_port.ts";
import { needTest } from "../support/need.ts";
import { Project, REPOSITORY, Tq } from "../support/tq.ts";
import { refusal, tq as command } from "../cli/run_tq.ts";

const NEEDS = ["postgres"] as const;
const HANDLERS = { "app.js": "export const run = () => {};" };

async function project(settings: Record<string, string> = {}): Promise<Project> {
  return await Project.make({
    servers: "postgres",
    handlers: HANDLERS,
    settings: { TQ_HTTP: `127.0.0.1:${freePort()}`, ...settings },
  });
}

function status(one: Project): SupervisorStatus {
  return JSON.parse(one.read("var/status.json"));
}

function token(one: Project): string {
  return one.read("var/api_token").trim();
}

/** One connection, kept open, over which requests go one after the other. */
class Line implements Disposable {
  readonly #connection: Deno.TcpConn;
  readonly #request: string;

  constructor(connection: Deno.TcpConn, bearer: string) {
    this.#connection = connection;
    this.#request =
      `GET /rpc/taskqueue/task?size=1 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${bearer}\r\n\r\n`;
  }

  async ask(): Promise<string> {
    await this.#connection.write(new TextEncoder().encode(this.#request));
    const buffer = new Uint8Array(16_384);
    let text = "";
    while (!/\r\n\r\n\{.*\}$/s.test(text)) {
      const count = await this.#connection.read(buffer);
      if (count === null) throw new Error(`the connection was closed after ${JSON.stringify(text)}`);
      text += new TextDecoder().decode(buffer.subarray(0, count));
    }
    return text;
  }

  [Symbol.dispose](): void {
    this.#connection.close();
  }
}

needTest(NEEDS, "a reload of the engines drops no connection", async () => {
  await using one = await project();
  await using tq = await one.start();
  const { http } = status(one);
  const { hostname, port } = new URL(http ?? "");
  using line = new Line(await Deno.connect({ hostname, port: Number(port) }), token(one));
  assert.match(await line.ask(), /^HTTP\/1\.1 200 /);
  tq.signal("SIGHUP");
  while (tq.count(/ Engine is ready /) < 2) assert.match(await line.ask(), /^HTTP\/1\.1 200 /);
  await eventually(async () => (await tq.engines()).length === 1, {
    what: "the old engine's end",
    within: 20_000,
  });
  assert.match(await line.ask(), /^HTTP\/1\.1 200 /);
  const ready = await fetch(`${http}/readyz`);
  assert.deepEqual(await ready.json(), { status: true, postgres: true, engines: true, consumption: true });
  assert.equal((await tq.stop()).code, 0);
  await assert.rejects(fetch(`${http}/healthz`));
});

needTest(
  NEEDS,
  "a new tq that takes the place of the old one serves soon, and knows its sessions",
  async () => {
    await using one = await project();
    const source = join(one.path, "source");
    await Deno.mkdir(source);
    const parts = ["src", "migrations", "main.ts", "mod.ts", "deno.json", "deno.lock"];
    const copied = await new Deno.Command("cp", {
      args: ["-R", ...parts.map((part) => join(REPOSITORY, part)), source],
    }).output();
    assert.ok(copied.success);
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--quiet", join(source, "main.ts"), "run"],
      cwd: one.path,
      env: one.environment,
      clearEnv: true,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    await using tq = new Tq(child);
    await tq.logged(/ Engine is ready /, { within: 60_000 });
    const { http, pid } = status(one);
    const cookie = await signIn(one, http ?? "");
    await Deno.writeTextFile(join(source, "mod.ts"), "// Changed.\n", { append: true });
    let lastGood = performance.now();
    let longest = 0;
    await eventually(async () => {
      const { ok, status } = await fetch(`${http}/rpc/taskqueue/task`, { headers: { cookie } }).then(
        async (response) => (await response.body?.cancel(), response),
        () => ({ ok: false, status: 0 }),
      );
      assert.ok(ok || status === 0 || status === 503, `answered with ${status}`);
      if (ok) {
        longest = Math.max(longest, performance.now() - lastGood);
        lastGood = performance.now();
      }
      return ok && tq.count(/ Listening /) === 2 && tq.count(/ Engine is ready /) === 2;
    }, { what: "the new tq", within: 60_000 });
    console.log(`note: the port was away for ${Math.round(longest)} ms`);
    // 0.8 s on two cores with a load of 12 (2026-11-24).
    assert.ok(longest < 5000, `away for ${longest} ms`);
    assert.deepEqual([status(one).pid, status(one).http], [pid, http]);
    assert.equal((await tq.stop()).code, 0);
  },
);

needTest(
  ["postgres", "redis"],
  "a restart that is asked of one host restarts the others too, once",
  async () => {
    await using one = await Project.make({ servers: "redis", handlers: HANDLERS });
    const hosts = ["a", "b"].map((name) =>
      one.start({ TQ_HTTP: `127.0.0.1:${freePort()}`, TQ_VAR: join(one.path, `var_${name}`) })
    );
    await using first = await hosts[0]!;
    await using second = await hosts[1]!;
    const { http } = JSON.parse(one.read("var_a/status.json"));
    const response = await fetch(`${http}/rpc/taskqueue/restart`, {
      method: "POST",
      headers: { authorization: `Bearer ${one.read("var_a/api_token").trim()}` },
    });
    assert.deepEqual(await response.json(), { status: true, data: { restarting: true } });
    for (const tq of [first, second]) {
      await tq.logged(/New code was taken/, { within: 30_000 });
      await eventually(async () => (await tq.engines()).length === 1, {
        what: "the old engine's end",
        within: 20_000,
      });
      assert.deepEqual([tq.count(/New code was taken/), tq.count(/ Engine is ready /)], [1, 2]);
    }
    await Promise.all([first.stop(), second.stop()]);
  },
);

needTest(NEEDS, "beyond loopback tq run refuses to start without a token of the user's own", async () => {
  await using one = await project({ TQ_HTTP: "0.0.0.0:7654" });
  assert.equal(
    await refusal(one, 2, ["run"]),
    "TQ_HTTP is 0.0.0.0:7654, which other machines reach, without a token of your own: " +
      "set TQ_API_TOKENS=manage:<token>, or TQ_HTTP=127.0.0.1:7654",
  );
});

needTest(NEEDS, "beyond loopback tq start refuses as well", async () => {
  await using one = await project({ TQ_HTTP: "0.0.0.0:7654" });
  const ended = await command(one, ["start"]);
  assert.deepEqual([ended.code, ended.stdout], [2, ""]);
  assert.match(
    ended.stderr,
    /^tq: the engine did not start: TQ_HTTP is 0\.0\.0\.0:7654, .*: set TQ_API_TOKENS=.*\n$/,
  );
});

needTest(NEEDS, "beyond loopback it serves with one, and tq dashboard finds it", async () => {
  const own = "a-token-of-the-users-own";
  await using one = await project({
    TQ_HTTP: `0.0.0.0:${freePort()}`,
    TQ_API_TOKENS: `view:view-${own},manage:${own}`,
  });
  await using tq = await one.start();
  const { code, stdout } = await command(one, ["dashboard", "--no-open"]);
  assert.equal(code, 0);
  assert.match(stdout, /^http:\/\/127\.0\.0\.1:\d+\/sign-in\?code=[\w-]{32}\n$/);
  assert.match(await follow(stdout.trim()), /^tq_session=manage\./);
  assert.equal(one.read("var/api_token"), "");
  await tq.stop();
});

needTest(NEEDS, "tq dashboard prints a link that signs in, once, for as much as was asked", async () => {
  await using one = await project();
  await using tq = await one.start();
  const { http } = status(one);
  const first = await command(one, ["dashboard"]);
  assert.equal(first.code, 0, first.stderr);
  assert.ok(first.stdout.startsWith(`${http}/sign-in?code=`));
  assert.equal(first.stderr, "It signs in once, within 2 minutes.\n");
  assert.match(await follow(first.stdout.trim()), /^tq_session=manage\./);
  assert.equal(await follow(first.stdout.trim()), "");
  const view = await command(one, ["dashboard", "--view", "--url", "https://tq.example.com/x"]);
  const [, path] = /^https:\/\/tq\.example\.com(\/sign-in\?code=[\w-]+)\n$/.exec(view.stdout) ?? [];
  assert.match(await follow(http + path!), /^tq_session=view\./);
  assert.match(
    await refusal(one, 2, ["dashboard", "--url", "tq.example.com"]),
    /^--url is "tq\.example\.com": give http/,
  );
  await tq.stop();
  assert.equal(await refusal(one, 1, ["dashboard"]), "the engine does not run: use tq start");
});

needTest(NEEDS, "tq dashboard shows its token to no proxy", async () => {
  await using one = await project();
  await using tq = await one.start();
  const nobody = `http://127.0.0.1:${freePort()}`;
  const environment = { HTTP_PROXY: nobody, http_proxy: nobody, NODE_USE_ENV_PROXY: "1" };
  const { code, stderr } = await command(one, ["dashboard"], { environment });
  assert.equal(code, 0, stderr);
  await tq.stop();
});

needTest(NEEDS, "with TQ_HTTP=off nothing is served", async () => {
  await using one = await project({ TQ_HTTP: "off" });
  await using tq = await one.start();
  assert.equal("http" in status(one), false);
  assert.equal(tq.count(/ http: /), 0);
  assert.equal(one.read("var/api_token"), "");
  assert.match(
    await refusal(one, 1, ["dashboard"]),
    /^TQ_HTTP is off: nothing serves a dashboard: set TQ_HTTP=/,
  );
  await tq.stop();
});

/** The cookie that a link gives, or nothing. */
async function follow(link: string): Promise<string> {
  const response = await fetch(link, { redirect: "manual" });
  await response.body?.cancel();
  return response.headers.get("set-cookie")?.split(";")[0] ?? "";
}

async function signIn(one: Project, http: string): Promise<string> {
  const response = await fetch(`${http}/rpc/taskqueue/sign-in-link`, {
    method: "POST",
    headers: { authorization: `Bearer ${token(one)}` },
  });
  return await follow(http + (await response.json()).data.path);
}
