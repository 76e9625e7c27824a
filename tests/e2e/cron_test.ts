import assert from "node:assert/strict";
import { join } from "node:path";
import { CAN_COMPILE } from "../compiled/binary.ts";
import { Server } from "../compiled/server.ts";
import { cronDaemon, crontab } from "../support/cron.ts";
import { eventually, tempFolder } from "../support/fixtures.ts";
import { needTest } from "../support/need.ts";
import { MARK } from "../support/processes.ts";
import { REPOSITORY } from "../support/tq.ts";
import { TestRecord } from "../support/test_record.ts";

const HANDLERS = { "app.js": `export function pid(task) { task.completed(Deno.pid); }` };
const EVERY_MINUTE = "* * * * *";
/** Milliseconds from a line's being written to the engine's being ready: a minute, and a start. */
const FIRST_MINUTE = 110_000;
/** Milliseconds to the end of the next minute's `tq periodic`. */
const SECOND_MINUTE = 90_000;

/** tq from source, as one file, where it cannot be compiled. */
async function wrapper(folder: string): Promise<string> {
  const path = join(folder, "tq");
  const main = join(REPOSITORY, "main.ts");
  await Deno.writeTextFile(path, `#!/bin/sh\nexec '${Deno.execPath()}' run -A --quiet '${main}' "$@"\n`, {
    mode: 0o755,
  });
  return path;
}

needTest(
  ["cron", "postgres", "redis"],
  "cron's daemon starts the engine within a minute, and once",
  async () => {
    await using folder = await tempFolder();
    const source = CAN_COMPILE ? {} : { executable: await wrapper(folder.path) };
    console.log(CAN_COMPILE ? "with the executable" : "from source: it cannot be compiled here");

    // What a person writes who has read nothing: no setting, no PATH, no HOME. The runner's mark alone passes.
    await using bare = await Server.make({ ...source, handlers: HANDLERS });
    await bare.write("tq.json", '{"TQ_HTTP": "off"}');
    const root = CAN_COMPILE ? "" : `TQ_ROOT=${bare.path} `;
    const bareLine = `${EVERY_MINUTE} env -i ${MARK}="$${MARK}" ${root}${bare.tq} periodic`;

    // What tq prints, with all that a crontab makes hard.
    await using record = await TestRecord.make({ redis: "shared" });
    const { given } = record.settings();
    const url = new URL(given.TQ_DATABASE_URL!);
    url.password ||= "it's%20%22secret%22";
    await using told = await Server.make({
      ...source,
      handlers: HANDLERS,
      settings: { ...given, TQ_DATABASE_URL: url.href, TQ_PROCESSES: "1" },
      name: "it's 100% mine",
    });
    const printed = await told.good("periodic", "--install");
    assert.match(
      printed,
      /^TQ_DATABASE_URL=".*"\n\*\/5 \* \* \* \* (?!.*secret).* periodic\nTQ_DATABASE_URL=""\n$/,
    );
    const toldLines = printed.trimEnd().replace("*/5 * * * *", EVERY_MINUTE).split("\n");

    const servers = [told, bare];
    const outputs = servers.map((_, i) => join(folder.path, `output_${i}`));
    const said = (i: number) => Deno.readTextFile(outputs[i]!).catch(() => "");
    await using _crontab = await crontab(
      // The bare one comes last: it is not to see what the other has.
      [toldLines, [bareLine]].flatMap((lines, i) =>
        lines.map((line) =>
          line.startsWith(EVERY_MINUTE)
            ? `${line} >>${outputs[i]} 2>&1; echo "ended $?" >>${outputs[i]}`
            : line
        )
      ),
    );
    await using _daemon = await cronDaemon();

    for (const [i, server] of servers.entries()) {
      const { pid } = await eventually(async () => {
        const { supervisor } = await server.status();
        return supervisor?.ready && supervisor;
      }, { within: FIRST_MINUTE, what: `line ${i} to have the engine running` });
      const task = await server.ended(await server.publish("app", "pid"));
      assert.equal(task.state, 10);
      await eventually(async () => (await said(i)).split("ended").length > 2, {
        within: SECOND_MINUTE,
        what: `the second minute of line ${i}`,
      });
      // On a machine that is very slow the minutes overlap: then these lines are in another order.
      const lines = (await said(i)).trimEnd().split("\n").sort();
      const ends = lines.splice(0, lines.findLastIndex((line) => line === "ended 0") + 1);
      assert.ok(ends.length >= 2, "both minutes went well");
      assert.deepEqual(lines, [`the engine did not run; started, as process ${pid}`], "and one started it");
      assert.equal((await server.supervisor()).pid, pid);
    }
  },
);
