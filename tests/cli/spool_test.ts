import assert from "node:assert/strict";
import { join } from "node:path";
import { freePort } from "../support/free_port.ts";
import { needTest } from "../support/need.ts";
import { Project } from "../support/tq.ts";
import { forEach, printed, refusal, tq } from "./run_tq.ts";

needTest(
  ["postgres"],
  "tq publish --spool keeps tasks while Postgres is away, and the next tq publish publishes them",
  async () => {
    await using project = await Project.make({ servers: "postgres", handlers: { "demo.js": "" } });
    const away = { environment: { TQ_DATABASE_URL: `postgres://127.0.0.1:${freePort()}/x` } };
    await forEach([1, 2, 3], async (n) => {
      const args = [
        "publish",
        "demo.Report",
        "run",
        JSON.stringify({ n }),
        "--spool",
        "--priority",
        String(n),
      ];
      const { code, stdout, stderr } = await tq(project, n === 3 ? [...args, "--json"] : args, away);
      assert.equal(code, 0, stderr);
      assert.equal(stdout, n === 3 ? '{"spooled":true}\n' : "");
      assert.match(
        stderr,
        /^tq: warning: Postgres is unreachable \(.*\): the task is spooled, the next engine or tq p/,
      );
    });
    // What would never be taken is not kept.
    assert.match(
      await refusal(project, 2, ["publish", "demo.Report", "toString", "--spool"], away),
      /^function is /,
    );
    const spool = () => [...Deno.readDirSync(join(project.varFolder, "spool"))].map(({ name }) => name);
    assert.equal(spool().filter((name) => name.endsWith(".json")).length, 3, spool().join());
    assert.equal(await project.record!.count(), 0);

    assert.match(await printed(project, ["publish", "demo.Report", "run", '{"n": 4}', "--spool"]), /^\d+\n$/);
    assert.deepEqual(spool(), []);
    const { sql, schema } = project.record!;
    const rows = await sql`select (data->>'n')::integer as n, priority::integer from ${
      sql(schema)
    }.tasks order by 1`;
    assert.deepEqual(rows.map(({ n, priority }) => [n, priority]), [[1, 1], [2, 2], [3, 3], [4, 0]]);
  },
);
