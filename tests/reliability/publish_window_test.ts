import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { Redispatcher } from "../../src/upkeep/redispatcher.ts";
import { captureLog } from "../support/capture_log.ts";
import { eventually, tcpProxy } from "../support/fixtures.ts";
import { needTest } from "../support/need.ts";
import { redisUrl } from "../support/servers.ts";
import { CHANNEL, NEEDS, Stage } from "./stage.ts";

/** Publishes in a process that is killed before its push gets through; returns the id that it was told. */
async function publishAndDie(stage: Stage): Promise<number> {
  await using silent = tcpProxy((await redisUrl())!);
  silent.goSilent();
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", fileURLToPath(new URL("./lone_publisher.ts", import.meta.url))],
    env: { ...stage.record.settings().given, TQ_REDIS_URL: silent.url },
    stdout: "piped",
  }).spawn();
  const [line] = await Array.fromAsync(firstLine(child.stdout));
  await eventually(() => silent.accepted > 0, { what: "its try to push" });
  child.kill("SIGKILL");
  await child.status;
  return Number(line);
}

async function* firstLine(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  let text = "";
  for await (const chunk of stream.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    if (text.includes("\n")) return yield text.slice(0, text.indexOf("\n"));
  }
}

needTest(NEEDS, "a publisher killed between commit and push: the idle sweep finds the task", async () => {
  await using stage = await Stage.make();
  const id = await publishAndDie(stage);
  assert.deepEqual(await stage.record.hints(CHANNEL), []);
  await stage.engine();
  (await stage.run(id, 1, 15_000)).resolve();
  const task = await stage.until(id, 10);
  assert.deepEqual([task.claims, task.attempts], [1, 1]);
});

needTest(
  NEEDS,
  "a push that fails is logged and changes nothing; the redispatcher pushes again",
  async () => {
    await using log = await captureLog("warning");
    await using stage = await Stage.make();
    await stage.dispatch.wasEmptied();
    await using away = tcpProxy((await redisUrl())!);
    await away.refuse();
    const queue = stage.record.queue({ TQ_REDIS_URL: away.url });
    const id = await queue.publish("rel", "run");
    await queue.idle();
    assert.equal(log.count(/Cannot push; engines will find the tasks/), 1);
    const redispatcher = new Redispatcher(stage.upkeep());
    await redispatcher.runOnce();
    assert.deepEqual(await stage.record.hints(CHANNEL), [], "it was touched a moment ago");
    await stage.age(id, 6);
    await redispatcher.runOnce();
    await redispatcher.runOnce();
    assert.deepEqual(await stage.record.hints(CHANNEL), [id]);
  },
);
