import assert from "node:assert/strict";
import { join } from "node:path";
import type { Need } from "../support/need.ts";
import { needTest } from "../support/need.ts";
import { Project, REPOSITORY, type Servers } from "../support/tq.ts";

const REPORT = Deno.readTextFileSync(join(REPOSITORY, "handlers/demo/Report.ts"));

const GROUNDS: readonly { servers: Servers; needs: readonly Need[]; name: string }[] = [
  { servers: "redis", needs: ["postgres", "redis"], name: "with Postgres and Redis" },
  { servers: "postgres", needs: ["postgres"], name: "with Postgres alone" },
  { servers: "embedded", needs: [], name: "embedded" },
];

for (const { servers, needs, name } of GROUNDS) {
  needTest(needs, `tq publish prints an id, and soon tq task shows it completed, ${name}`, async () => {
    await using project = await Project.make({ servers, handlers: { "demo/Report.ts": REPORT } });
    await using tq = await project.start();
    const published = await project.command(
      "publish",
      "demo.Report",
      "on_tq_run_summary",
      '{"id":22,"kind":"HOURLY"}',
    );
    const since = performance.now();
    assert.match(published.stdout, /^\d+\n$/, published.stderr);
    assert.equal(published.code, 0);
    const id = published.stdout.trim();
    let shown = "";
    while (!/^state +completed$/m.test(shown)) {
      // A second is promised; each look at it costs some hundred milliseconds on a busy machine.
      assert.ok(performance.now() - since < 3_000, `after 3 s:\n${shown}\n${tq.log.join("\n")}`);
      shown = (await project.command("task", id)).stdout;
    }
    assert.match(shown, /^handler +demo\.Report on_tq_run_summary$/m);
    assert.match(shown, /^attempts +1 of 5$/m);
    assert.match(shown, /^result +\{"kind":"HOURLY","lines":3,"report":22\}$/m);
    const task = await project.queue.get(Number(id));
    const waited = task!.startedAt!.getTime() - task!.created.getTime();
    assert.ok(waited < 1_000, `it started ${waited} ms after it was published`);
    const { code } = await tq.stop();
    assert.equal(code, 0, tq.log.join("\n"));
  });
}
