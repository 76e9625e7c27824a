import assert from "node:assert/strict";
import type { AlertMessage } from "../../src/supervisor/alerts.ts";
import { eventually } from "../support/fixtures.ts";
import { needTest } from "../support/need.ts";
import { signal } from "../support/processes.ts";
import { Project } from "../support/tq.ts";

const HANDLER = "export function fails(task) { task.failed('as it should'); }";

needTest(
  ["postgres"],
  "TQ_ALERT_URL gets one message for a dead engine, refused code, failures and a backlog, and for the end of it",
  async () => {
    const posted: AlertMessage[] = [];
    let answers = 0;
    await using hook = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
      const message = await request.json();
      // The first is not taken at first: it comes again.
      if (answers++ === 0) return new Response("busy", { status: 503 });
      posted.push(message);
      return new Response("ok");
    });
    const arrived = (key: string, status: AlertMessage["status"]) =>
      eventually(() => posted.find((one) => one.key === key && one.status === status), {
        within: 40_000,
        what: `${key} ${status}`,
      });
    {
      await using project = await Project.make({
        servers: "postgres",
        handlers: { "app.js": HANDLER },
        settings: {
          TQ_ALERT_URL: `http://127.0.0.1:${hook.addr.port}/services/secret`,
          TQ_REPORT_BACKLOG: 5,
        },
      });
      const write = (text: string) => Deno.writeTextFile(`${project.path}/handlers/app.js`, text);
      await using tq = await project.start();
      for (let i = 0; i < 6; i++) await project.queue.publish("app", "none", {}, { channel: "nobody" });

      const [engine] = await tq.engines();
      signal(engine!.pid, "SIGKILL");
      const death = await arrived("engine", "raised");
      assert.equal(
        death.text,
        `tq on ${Deno.hostname()}: engine ${engine!.pid} died (SIGKILL); another takes its place`,
      );
      assert.deepEqual(death.facts, { pid: engine!.pid, how: "SIGKILL" });
      await tq.logged(/ Engine is ready /, { count: 2, within: 30_000 });

      await write("this is no code");
      tq.signal("SIGHUP");
      const refusal = await arrived("deploy", "raised");
      assert.match(refusal.text, /^tq on \S+: new code was refused, the old code goes on: .*app\.js/);
      await write(HANDLER);
      tq.signal("SIGHUP");
      assert.match((await arrived("deploy", "recovered")).text, /: new code was taken$/);

      const failing = Array.from({ length: 12 }, () => ({ model: "app", fname: "fails" }));
      for (const id of await project.queue.publishMany(failing)) await project.ended(id);
      const failures = await arrived("failures", "raised");
      assert.equal(
        failures.text,
        `tq on ${Deno.hostname()}: 12 of the 12 tasks that ended here within 5 minutes failed, 12 of them of app.fails`,
      );
      const backlog = await arrived("backlog:nobody", "raised");
      assert.deepEqual(backlog.facts, { channel: "nobody", ready: 6, limit: 5 });
      assert.equal((await tq.stop()).code, 0);
      assert.doesNotMatch(tq.log.join("\n"), /secret/);
    }
    assert.deepEqual(posted.map(({ key, status }) => `${key} ${status}`).sort(), [
      "backlog:nobody raised",
      "deploy raised",
      "deploy recovered",
      "engine raised",
      "failures raised",
    ], "each once");
    for (const { host, at, event } of posted) {
      assert.equal(host, Deno.hostname());
      assert.ok(Math.abs(Date.parse(at) - Date.now()) < 120_000);
      assert.ok(["backlog", "deploy", "engine", "failures"].includes(event));
    }
  },
);
