import assert from "node:assert/strict";
import { disconnect } from "../../src/dispatch/connection.ts";
import type { RedisServer } from "../../src/dispatch/server.ts";
import { readInfo } from "../../src/dispatch/server.ts";
import type { Finding } from "../../src/doctor/finding.ts";
import { examineRedis, judgeRedis } from "../../src/doctor/redis.ts";
import { Redis } from "npm:ioredis@6.0.0";
import { FakeRedis } from "../dispatch/fake_redis.ts";
import { needTest } from "../support/need.ts";
import { PrivateRedis, redisUrl } from "../support/servers.ts";

async function examined(url: string | undefined): Promise<Finding[]> {
  const findings: Finding[] = [];
  await examineRedis({ TQ_REDIS_URL: url }, (...found) => void findings.push(...found));
  return findings;
}

const SERVER: RedisServer = {
  product: "Redis",
  version: "7.2.4",
  policy: "noeviction",
  usedMemory: 10,
  maxMemory: 0,
  isReplica: false,
};

needTest(["redis"], "redis: the one of the tests is as it should be", async () => {
  const findings = await examined(await redisUrl());
  assert.deepEqual(findings.map(({ check, level }) => `${check} ${level}`), [
    "redis ok",
    "eviction ok",
    "redis memory ok",
  ]);
  assert.match(findings[0]!.found, /^(Redis|Valkey) \d+\.\d+/);
});

needTest(["redis-binaries"], "redis: one that evicts is bad, and one that is full is warned of", async () => {
  await using server = await PrivateRedis.started({ "maxmemory-policy": "allkeys-lru", maxmemory: "1100kb" });
  const findings = await examined(server.url());
  assert.deepEqual(findings.map(({ check, level }) => `${check} ${level}`), [
    "redis ok",
    "eviction bad",
    "redis memory warning",
  ]);
  assert.match(findings[1]!.found, /^maxmemory-policy is allkeys-lru: from 1\.1 MiB on /);
  assert.equal(findings[1]!.remedy, "set maxmemory-policy noeviction");
});

needTest(
  ["redis-binaries"],
  "redis: one that follows another is bad, and so is one that refuses",
  async () => {
    await using server = await PrivateRedis.started();
    const client = new Redis(server.url());
    try {
      await client.replicaof("127.0.0.1", 1);
      const [replica, ...more] = await examined(server.url());
      assert.deepEqual(more, []);
      assert.equal(replica?.level, "bad");
      assert.match(replica.found, /is a replica: nothing can be written$/);
      await client.call("ACL", "SETUSER", "shop", "on", ">secret", "~*", "+@all", "-info");
      const [refused] = await examined(server.url().replace("//", "//shop:secret@"));
      assert.equal(refused?.level, "bad");
      assert.match(refused.found, /^it refuses: NOPERM/);
      assert.match(refused.remedy ?? "", /TQ_REDIS_URL/);
      await client.config("SET", "requirepass", "secret");
      await assert.rejects(examined(server.url()), /UnreachableError: Redis is unreachable \(NOAUTH /);
    } finally {
      await disconnect(client);
    }
  },
);

Deno.test("redis: none is fine, and one that is away is told within some seconds", async () => {
  assert.deepEqual((await examined(undefined)).map(({ level }) => level), ["ok"]);
  const started = performance.now();
  await assert.rejects(examined("redis://127.0.0.1:1"), /Redis is unreachable \(connect ECONNREFUSED/);
  assert.ok(performance.now() - started < 6000);
});

Deno.test("redis: one without BZMPOP is refused by name and version", async () => {
  await using old = new FakeRedis("redis_version:6.2.14\r\nrole:master\r\n");
  await assert.rejects(examined(old.url), /SettingsError: Redis 6\.2\.14 is too old/);
});

Deno.test("redis: judges what the server says", () => {
  const judge = (more: Partial<RedisServer>) =>
    judgeRedis({ ...SERVER, ...more }).map(({ level }) => level).join(" ");
  assert.equal(judge({}), "ok ok ok");
  assert.equal(judge({ policy: "volatile-ttl" }), "ok bad ok");
  assert.equal(judge({ policy: undefined }), "ok note ok");
  assert.equal(judge({ maxMemory: 100, usedMemory: 89 }), "ok ok ok");
  assert.equal(judge({ maxMemory: 100, usedMemory: 90 }), "ok ok warning");
  assert.equal(judge({ isReplica: true }), "bad");
  assert.match(judgeRedis({ ...SERVER, policy: "allkeys-lru" })[1]!.found, /once a maxmemory is set/);
});

Deno.test("readInfo() knows Redis from Valkey, and refuses what lacks BZMPOP", () => {
  const info = (...lines: string[]) => ["# Server", ...lines, ""].join("\r\n");
  const valkey = readInfo(info("redis_version:7.2.4", "valkey_version:8.0.1", "maxmemory_policy:noeviction"));
  assert.equal(`${valkey.product} ${valkey.version} ${valkey.policy}`, "Valkey 8.0.1 noeviction");
  assert.deepEqual(
    readInfo(info("redis_version:7.2.4", "used_memory:5", "maxmemory:9", "role:slave")),
    { ...SERVER, policy: undefined, usedMemory: 5, maxMemory: 9, isReplica: true },
  );
  assert.throws(() => readInfo(info("redis_version:6.2.14")), /Redis 6\.2\.14 is too old/);
  assert.throws(() => readInfo(info()), /Redis unknown is too old/);
});
