import assert from "node:assert/strict";
import { join } from "node:path";
import { eventually } from "../support/fixtures.ts";
import { needTest } from "../support/need.ts";
import { Project } from "../support/tq.ts";

/** Each engine counts in memory, and writes its count down soon after, and as its last act. */
const COUNTER = `
  const path = Deno.cwd() + "/counts/" + Deno.pid;
  let count = 0, timer;
  const write = () => { timer = undefined; Deno.writeTextFileSync(path, String(count)); };
  globalThis.addEventListener("unload", write);
  export function noop() { count++; timer ??= setTimeout(write, 50); }`;

const PUBLISHER = `
  import { TaskQueue } from "@tq/tq";
  await using queue = new TaskQueue();
  const ids: number[] = [];
  for (let i = 0; i < 10; i++) {
    ids.push(...await Promise.all(
      Array.from({ length: 1000 }, (_, n) => queue.publish("counter", "noop", { n: i * 1000 + n })),
    ));
  }
  console.log(JSON.stringify(ids));`;

needTest(
  ["postgres", "redis"],
  "40,000 tasks of four programs at once are each run once by two engines",
  async () => {
    await using project = await Project.make({
      servers: "redis",
      handlers: { "counter.js": COUNTER },
      settings: { TQ_PROCESSES: 2, TQ_WORKERS: 50 },
    });
    const counts = join(project.path, "counts");
    await Deno.mkdir(counts);
    const counted = () =>
      [...Deno.readDirSync(counts)].map(({ name }) => Number(Deno.readTextFileSync(join(counts, name))));
    await using tq = await project.start();
    const programs = await Promise.all([1, 2, 3, 4].map(() => project.program(PUBLISHER)));
    const ids = programs.flatMap(({ code, stdout, stderr }) => {
      assert.equal(code, 0, stderr);
      return JSON.parse(stdout) as number[];
    });
    assert.equal(new Set(ids).size, 40_000);
    await eventually(async () => (await project.states())[10] === 40_000, {
      within: 30_000,
      what: "all to be completed",
    });
    const { sql, schema } = project.record!;
    const wrong = await sql`
      select id, state, attempts, claims from ${sql(schema)}.tasks
      where state <> 10 or attempts <> 1 or claims <> 1 limit 10`;
    assert.deepEqual([...wrong], []);
    const known = await sql`select id::integer from ${sql(schema)}.tasks order by id`;
    assert.deepEqual(known.map(({ id }) => id), ids.toSorted((a, b) => a - b));
    const { code } = await tq.stop();
    assert.equal(code, 0);
    const each = counted();
    assert.equal(each.length, 2);
    assert.equal(each.reduce((sum, one) => sum + one, 0), 40_000);
    assert.ok(Math.min(...each) > 0, "both engines have worked");
    // So many at once may well be reported as a backlog.
    assert.equal(tq.count(/ (WARNING|ERROR) (?!settings|.*upkeep: Backlog )/), 0, tq.log.join("\n"));
  },
);
