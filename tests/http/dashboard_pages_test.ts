/**
 * The dashboard's pages in a real Chromium, on a record that the test writes itself.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { Browser } from "npm:playwright-core@1.65.1";
import { eventually } from "../support/fixtures.ts";
import { needTest } from "../support/need.ts";
import { startBrowser, Visitor } from "./browser.ts";
import { MANAGE, WebSite } from "./site.ts";

const NEEDS = ["postgres", "chromium"] as const;

/** A site and a visitor who is signed in. */
class Stage implements AsyncDisposable {
  private constructor(readonly site: WebSite, readonly browser: Browser, readonly visitor: Visitor) {}

  static async set(): Promise<Stage> {
    const site = await WebSite.make();
    const browser = await startBrowser();
    const visitor = await Visitor.arrive(browser, site.url);
    await visitor.signIn("/handlers", MANAGE);
    return new Stage(site, browser, visitor);
  }

  publish(count: number): Promise<number[]> {
    return this.site.queue.publishMany(Array.from({ length: count }, () => ({ model: "app", fname: "x" })));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.browser.close();
    await this.site[Symbol.asyncDispose]();
  }
}

needTest(NEEDS, "a list that was held shows what came meanwhile", async () => {
  await using stage = await Stage.set();
  const { site, visitor } = stage;
  const [id] = await stage.publish(1);
  await visitor.page.goto("/tasks");
  await visitor.sees("tbody tr", "Scheduled");
  await visitor.sees(".live", "Live");
  await visitor.tabTo(String(id));
  await site.record.run("update :schema.tasks set state = 10, completed_at = now(), modified = now()");
  await visitor.sees("tbody tr", "Completed");
  await visitor.page.evaluate("document.activeElement.blur()");
  const text = await visitor.page.locator("tbody tr").textContent();
  assert.match(text ?? "", /Completed/);
  visitor.assertClean();
});

needTest(
  NEEDS,
  "tabs and pages of a list keep the focus, and only what somebody did is announced",
  async () => {
    await using stage = await Stage.set();
    const { site, visitor } = stage;
    const { page } = visitor;
    const said = () => page.locator(".unseen").textContent();
    await stage.publish(60);
    await page.goto("/tasks");
    await visitor.sees(".unseen", "60 tasks");
    await visitor.sees(".live", "Live");
    await visitor.tabTo("Older");
    await stage.publish(1);
    await visitor.sees(".page-head .count", "61 tasks");
    assert.equal(await visitor.focused(), "Older");
    assert.equal(await said(), "60 tasks");
    await page.keyboard.press("Enter");
    await visitor.sees(".pager", "51 – 61");
    assert.deepEqual([await visitor.focused(), await said()], ["Older", "61 tasks"]);
    await page.keyboard.press("Enter");
    assert.match(page.url(), /start=50$/);
    await page.keyboard.press("Shift+Tab");
    assert.equal(await visitor.focused(), "Newer");
    await page.keyboard.press("Enter");
    await visitor.sees(".pager", "1 – 50");
    assert.equal(await visitor.focused(), "Newer");

    await site.record.run(
      "update :schema.tasks set state = 10 where id = (select min(id) from :schema.tasks)",
    );
    await visitor.tabTo("Completed");
    await page.keyboard.press("Enter");
    await visitor.sees(".unseen", "1 task");
    assert.equal(await visitor.focused(), "Completed");
    assert.equal(await page.locator(".tabs [aria-current]").textContent(), "Completed");
    visitor.assertClean();
  },
);

needTest(NEEDS, "a page whose first request finds nobody asks again", async () => {
  await using stage = await Stage.set();
  const { visitor: { page }, visitor } = stage;
  const [id] = await stage.publish(1);
  await page.route(/\/dashboard\/tasks\?/, (route) => route.abort(), { times: 1 });
  await page.goto("/tasks");
  await visitor.sees("[role=alert]", "tq does not answer");
  await visitor.sees("tbody tr", "Scheduled");
  assert.equal(await page.locator("[role=alert]").textContent(), "");
  const away = { status: 503, json: { status: false, error: "Postgres is away: try again later" } };
  await page.route(`**/dashboard/tasks/${id}`, (route) => route.fulfill(away), { times: 1 });
  await page.goto(`/task/${id}`);
  await visitor.sees("[role=alert]", "Postgres is away: try again later");
  await visitor.sees(".page-head .state", "Scheduled");
  assert.equal(await page.locator("[role=alert]").textContent(), "");
});

needTest(NEEDS, "a stack is shown with the attempt that it is of", async () => {
  await using stage = await Stage.set();
  const { site, visitor } = stage;
  const [id] = await stage.publish(1);
  await site.record.run("update :schema.tasks set state = 2, reason = 'first'");
  const line = (kind: string, text: string) =>
    site.record.run(
      `insert into :schema.task_logs (task_id, kind, text) values (${id}, '${kind}', '${text}')`,
    );
  const attempt = (number: number, reason: string) =>
    line("attempt", `attempt ${number} failed after 0.1 s, engine e, commit none: ${reason}`);
  await line("error", "Error: first at a.ts:1");
  await attempt(1, "first");
  await visitor.page.goto(`/task/${id}`);
  await visitor.sees(".why pre", "Error: first at a.ts:1");
  await attempt(2, "second");
  await site.record.run("update :schema.tasks set state = -1, reason = 'second'");
  await visitor.sees(".why .reason", "second");
  await visitor.page.locator(".why pre").waitFor({ state: "hidden" });
  visitor.assertClean();
});

needTest(NEEDS, "a page that was left while its stream was refused opens none any more", async () => {
  await using stage = await Stage.set();
  const { visitor: { page, requests }, visitor } = stage;
  await page.goto("/handlers");
  await page.route(/events\?topic=tasks/, (route) => route.fulfill({ status: 503 }));
  const gate = Promise.withResolvers<void>();
  await visitor.tabTo("Tasks");
  await page.keyboard.press("Enter");
  await visitor.sees(".live", "Reconnecting");
  await page.route("**/dashboard/session", async (route) => {
    await gate.promise;
    await route.continue();
  });
  await page.waitForRequest("**/dashboard/session");
  const streams = () => requests.filter((url) => url.includes("events?topic=tasks")).length;
  const before = streams();
  await visitor.tabTo("Overview");
  await page.keyboard.press("Enter");
  await visitor.sees(".live", "Live");
  const answered = page.waitForResponse("**/dashboard/session");
  gate.resolve();
  await (await answered).finished();
  // Whatever follows the answer comes before this.
  await page.evaluate("fetch('/dashboard/handlers').then((answer) => answer.text())");
  await eventually(() => requests.at(-1)!.endsWith("/dashboard/handlers"), { what: "a later request" });
  assert.equal(streams(), before);
});
