import assert from "node:assert/strict";
import { join } from "node:path";
import { loadSettings, type Settings, type SettingsInput } from "../../src/config.ts";
import { describe, SettingsError } from "../../src/errors.ts";
import { Access, CODE_SECONDS, SESSION_SECONDS, suffices } from "../../src/http/access.ts";
import { tempFolder, TestClock } from "../support/fixtures.ts";

const TOKENS = [
  { right: "view", token: "view-token-of-the-test" },
  { right: "manage", token: "manage-token-of-the-test" },
] as const;

function make(
  clock = new TestClock(),
  tokens: readonly { right: "view" | "manage"; token: string }[] = TOKENS,
) {
  return Access.make(tokens, "the secret", clock);
}

function settingsOf(root: string, more: SettingsInput = {}): Settings {
  return loadSettings({ flags: { TQ_ROOT: root, ...more }, environment: {}, folder: "/" });
}

Deno.test("access: a token has its right, and nothing like it has any", async () => {
  const access = await make();
  assert.equal(await access.rightOf("view-token-of-the-test"), "view");
  assert.equal(await access.rightOf("manage-token-of-the-test"), "manage");
  for (
    const wrong of ["", "view", "view-token-of-the-tes", "view-token-of-the-test ", "VIEW-TOKEN-OF-THE-TEST"]
  ) {
    assert.equal(await access.rightOf(wrong), undefined, wrong);
  }
  assert.deepEqual([suffices("manage", "view"), suffices("view", "manage")], [true, false]);
});

Deno.test("access: a session lasts for its time", async () => {
  const clock = new TestClock();
  const access = await make(clock);
  const cookie = await access.startSession("view");
  assert.match(cookie, /^[\w.-]+$/);
  assert.notEqual(await access.startSession("view"), cookie);
  await clock.advance((SESSION_SECONDS - 1) * 1000);
  assert.equal(await access.sessionRight(cookie), "view");
  await clock.advance(1000);
  assert.equal(await access.sessionRight(cookie), undefined);
});

Deno.test("access: a session that was changed, or made elsewhere, is none", async () => {
  const access = await make();
  const cookie = await access.startSession("view");
  const [, until, nonce, mac] = cookie.split(".");
  const changed = [
    `manage.${until}.${nonce}.${mac}`,
    `view.${Number(until) + 1}.${nonce}.${mac}`,
    `view.${until}.${nonce}.`,
    `view.${until}.${nonce}`,
    cookie.slice(0, -1),
    `${cookie}x`,
    mac ?? "",
    "",
    ".",
  ];
  for (const one of changed) assert.equal(await access.sessionRight(one), undefined, one);
  // Whoever holds one token cannot make sessions: a secret signs them. Other tokens end them.
  assert.equal(
    await (await Access.make(TOKENS, "another secret", new TestClock())).sessionRight(cookie),
    undefined,
  );
  assert.equal(await (await make(new TestClock(), TOKENS.slice(1))).sessionRight(cookie), undefined);
  // The next supervisor knows it.
  assert.equal(await (await make(new TestClock(), [...TOKENS].reverse())).sessionRight(cookie), "view");
});

Deno.test("access: a code is used once, within its time", async () => {
  const clock = new TestClock();
  const access = await make(clock);
  const [first, second] = [access.makeCode("manage"), access.makeCode("view")];
  assert.equal(access.useCode(first), "manage");
  assert.equal(access.useCode(first), undefined);
  await clock.advance(CODE_SECONDS * 1000);
  assert.equal(access.useCode(second), undefined);
  assert.equal(access.useCode("x"), undefined);
});

Deno.test("access: only so many codes wait at once", async () => {
  const access = await make();
  const codes = Array.from({ length: 101 }, () => access.makeCode("view"));
  assert.equal(access.useCode(codes[0]!), undefined);
  assert.deepEqual(codes.slice(1).map((code) => access.useCode(code)), Array(100).fill("view"));
});

Deno.test("access: without a token of the user's own one is made, which nobody else reads", async () => {
  await using folder = await tempFolder();
  const settings = settingsOf(folder.path);
  await Access.open(settings, new TestClock());
  const path = join(folder.path, "var/api_token");
  const token = (await Deno.readTextFile(path)).trim();
  assert.match(token, /^[\w-]{43}$/);
  for (const name of ["api_token", "session_secret"]) {
    assert.equal((await Deno.stat(join(folder.path, "var", name))).mode! & 0o777, 0o600, name);
  }
  // It stays, and is kept from others again should they have been let in.
  await Deno.chmod(path, 0o644);
  const again = await Access.open(settings, new TestClock());
  assert.equal(await again.rightOf(token), "manage");
  assert.equal((await Deno.stat(path)).mode! & 0o777, 0o600);
});

Deno.test("access: with tokens of the user's own none is made, and one from before is none", async () => {
  await using folder = await tempFolder();
  await Access.open(settingsOf(folder.path), new TestClock());
  const made = (await Deno.readTextFile(join(folder.path, "var/api_token"))).trim();
  const own = await Access.open(
    settingsOf(folder.path, { TQ_API_TOKENS: "view:1234567890123456" }),
    new TestClock(),
  );
  assert.deepEqual([await own.rightOf(made), await own.rightOf("1234567890123456")], [undefined, "view"]);
});

Deno.test("access: beyond loopback it is refused without a token of the user's own, in one line", async () => {
  await using folder = await tempFolder();
  const open = (address: string, more: SettingsInput = {}) =>
    Access.open(settingsOf(folder.path, { TQ_HTTP: address, ...more }), new TestClock());
  for (
    const address of ["0.0.0.0:7654", "[::]:7654", "10.0.0.1:7654", "tq.example.com:7654", "128.0.0.1:1"]
  ) {
    await assert.rejects(open(address), (error) => {
      assert.ok(error instanceof SettingsError);
      assert.equal(
        describe(error),
        `TQ_HTTP is ${address}, which other machines reach, without a token of your own: ` +
          "set TQ_API_TOKENS=manage:<token>, or TQ_HTTP=127.0.0.1:7654",
      );
      return true;
    });
    await open(address, { TQ_API_TOKENS: "manage:1234567890123456" });
  }
  for (const address of ["127.0.0.1:7654", "127.1.2.3:1", "[::1]:7654", "localhost:7654"]) {
    await open(address);
  }
});
