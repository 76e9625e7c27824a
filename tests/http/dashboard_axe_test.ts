/**
 * Every page of the dashboard, in both themes, on a desktop and on a phone: axe finds nothing, nothing is wider than
 * the window, and nothing that a task says becomes part of the page.
 *
 * @module
 */

import assert from "node:assert/strict";
import axe from "npm:axe-core@4.14.1";
import { needTest } from "../support/need.ts";
import { startBrowser, Visitor } from "./browser.ts";
import { seedHour } from "./seed_hour.ts";
import { MANAGE, STATUS, VIEW, WebSite } from "./site.ts";

const NEEDS = ["postgres", "chromium"] as const;

const HOSTILE =
  `<script>document.title = "taken"</script><img src=x onerror="document.title = 'taken'">\u202e`;
/** No place to break a line. */
const LONG = "x".repeat(800);

/** Every state, long and hostile texts, engines that live and are lost, and problems of each kind. */
async function fill(site: WebSite): Promise<number> {
  await seedHour(site.record);
  const { sql, schema } = site.record;
  for (const state of [-2, -1, 0, 1, 2, 10]) {
    await sql`insert into ${sql(schema)}.tasks ${
      sql({
        state,
        channel: HOSTILE,
        model: `shop.${LONG.slice(0, 150)}`,
        fname: HOSTILE,
        data: sql.json({ [HOSTILE]: [LONG, HOSTILE] }),
        reason: HOSTILE + LONG,
        progress: 0.4,
        attempts: 2,
        started_at: new Date(),
        completed_at: new Date(),
        scheduled_for: new Date(Date.now() + 60_000),
        code_version: HOSTILE,
        publish_key: state === -1 ? HOSTILE : null,
      })
    }`;
  }
  const [failed] = await sql`select id from ${sql(schema)}.tasks where publish_key is not null`;
  for (const kind of ["error", "log", "attempt", HOSTILE]) {
    await sql`insert into ${sql(schema)}.task_logs ${
      sql({ task_id: failed!.id, kind, text: HOSTILE + LONG })
    }`;
  }
  await site.record.run(
    `insert into :schema.engines (id, host, pid, code_version, channels, beat_at) values
       (gen_random_uuid(), 'a-host-with-a-long-name.example.com', 12345, '0123456789abcdef', '{tq_hook}', now()),
       (gen_random_uuid(), 'lost', 12346, null, '{tq_hook}', now() - interval '90 seconds')`,
  );
  return failed!.id;
}

needTest(NEEDS, "axe finds nothing on any page, and nothing of a task becomes part of it", async (t) => {
  await using site = await WebSite.make({
    status: () => ({
      ...STATUS,
      dispatch: "postgres, redis is away",
      refresh: { at: STATUS.started, commit: "0123456789abcdef", outcome: "refused", reason: HOSTILE },
      trouble: "engines die young, 3 in a row",
    }),
  });
  const failed = await fill(site);
  await using browser = await startBrowser();
  const pages: readonly (readonly [string, string])[] = [
    ["/", ".charts"],
    ["/tasks", "tbody tr"],
    ["/tasks?state=failed&search=nothing+is+like+this", ".empty"],
    ["/tasks?state=no_such_state", "[role=alert] .problem"],
    [`/task/${failed}`, ".log li"],
    ["/task/999999999", "[role=alert] .problem"],
    ["/handlers", "main h1"],
    ["/sign-in", "form"],
  ];
  for (const theme of ["light", "dark"] as const) {
    for (const width of [1280, 390]) {
      await t.step(`${theme}, ${width} pixels wide`, async () => {
        await using visitor = await Visitor.arrive(browser, site.url, { theme, width });
        const { page } = visitor;
        await visitor.signIn("/", MANAGE);
        for (const [path, there] of pages) {
          await page.goto(path);
          await page.locator(there).first().waitFor();
          if (path === "/tasks") await page.getByLabel("Select all tasks of this page").check();
          await page.evaluate(axe.source);
          const found = await page.evaluate(
            `axe.run().then(({ violations }) =>
               violations.map(({ id, nodes }) => id + ": " + nodes.map(({ html }) => html).join("  ").slice(0, 600)))`,
          );
          assert.deepEqual(found, [], path);
          const wide = await page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth",
          );
          assert.equal(wide, 0, `${path} is wider than the window`);
          assert.equal(await page.locator("main script, main img, main style").count(), 0);
          assert.doesNotMatch(await page.title(), /taken/);
        }
        // Those that ask for what is not there are answered so, and a browser says so of each.
        const expected = /status of 40[04] \(\w+( \w+)?\) \(.*\/dashboard\/tasks[?/]/;
        visitor.complaints.splice(
          0,
          visitor.complaints.length,
          ...visitor.complaints.filter((text) => !expected.test(text)),
        );
        visitor.assertClean();
      });
    }
  }
});

needTest(NEEDS, "whoever may only look sees nothing to act with", async () => {
  await using site = await WebSite.make();
  const id = await site.queue.publish("app", "run", {});
  await using browser = await startBrowser();
  await using visitor = await Visitor.arrive(browser, site.url);
  await visitor.signIn("/", VIEW);
  for (const path of ["/", "/tasks", `/task/${id}`]) {
    await visitor.page.goto(path);
    await visitor.sees("main", path === "/" ? "No engine is running" : "app run");
    assert.equal(await visitor.page.locator("main button, main input[type=checkbox]").count(), 0, path);
  }
  const status = await visitor.page.evaluate(
    `fetch("/rpc/taskqueue/task/${id}", { method: "POST", body: '{"action":"cancel"}',
       headers: { "content-type": "application/json" } }).then((answer) => answer.status)`,
  );
  assert.equal(status, 403);
});
