/**
 * The dashboard in a real Chromium, in front of a real engine, with the keyboard alone.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { Browser } from "npm:playwright-core@1.65.1";
import { freePort } from "../support/free_port.ts";
import { needTest } from "../support/need.ts";
import { Project, type Tq } from "../support/tq.ts";
import { startBrowser, Visitor, type VisitorOptions } from "./browser.ts";

const NEEDS = ["postgres", "redis", "chromium"] as const;
const MANAGE = "manage-token-of-the-browser";
const VIEW = "view-token-of-the-browser";

const HANDLERS = {
  "shop/Invoice.js": `
    const { stat } = Deno;
    const until = async (name, signal) => {
      while (!(await stat(name).catch(() => undefined))) {
        signal.throwIfAborted();
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    };
    export default class Invoice {
      static async on_tq_wait(task) {
        task.log("waits for its gate");
        task.progress(0.5);
        await until(task.data.gate, task.signal);
        task.completed({ total: 7 });
      }
      static async on_tq_book(task) {
        if (await stat(task.data.gate).catch(() => undefined)) return task.completed();
        throw new Error("the ledger is locked <img src=x onerror=alert(1)>");
      }
    }`,
};

/** A project whose engine runs, and a browser. */
class Stage implements AsyncDisposable {
  readonly origin: string;

  private constructor(readonly project: Project, readonly tq: Tq, readonly browser: Browser) {
    this.origin = `http://${project.environment.TQ_HTTP}`;
  }

  static async set(): Promise<Stage> {
    const project = await Project.make({
      servers: "redis",
      handlers: HANDLERS,
      settings: {
        TQ_HTTP: `127.0.0.1:${freePort()}`,
        TQ_API_TOKENS: `manage:${MANAGE},view:${VIEW}`,
      },
    });
    return new Stage(project, await project.start(), await startBrowser());
  }

  arrive(options: VisitorOptions = {}): Promise<Visitor> {
    return Visitor.arrive(this.browser, this.origin, options);
  }

  /** The path of a gate, which `open` opens. */
  gate(name: string): string {
    return `${this.project.path}/${name}`;
  }

  async open(name: string): Promise<void> {
    await Deno.writeTextFile(this.gate(name), "");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.browser.close();
    await this.tq[Symbol.asyncDispose]();
    await this.project[Symbol.asyncDispose]();
  }
}

/** The row of a task in the list. */
function row(id: number): string {
  return `tr[data-id="${id}"]`;
}

needTest(NEEDS, "a person works with the dashboard, with the keyboard alone", async (t) => {
  await using stage = await Stage.set();
  const { queue } = stage.project;
  await using visitor = await stage.arrive();
  const { page } = visitor;
  const press = (...keys: string[]) =>
    keys.reduce((before, key) => before.then(() => page.keyboard.press(key)), Promise.resolve());

  await t.step("it signs in, and comes to where it wanted to go", async () => {
    await visitor.signIn("/tasks?sort=-id", MANAGE);
    assert.equal(new URL(page.url()).pathname + new URL(page.url()).search, "/tasks?sort=-id");
    await visitor.sees(".empty", "No task was published yet");
    await visitor.sees(".live", "Live");
  });

  // A document that was loaded anew would not have it.
  await page.evaluate("globalThis.isSame = true");
  const isSame = () => page.evaluate("globalThis.isSame === true");

  const waits = await queue.publish("shop.Invoice", "on_tq_wait", { gate: stage.gate("first") });
  await t.step("a task goes from published to completed before its eyes", async () => {
    await visitor.sees(row(waits), "Started");
    await stage.open("first");
    await visitor.sees(row(waits), "Completed");
    assert.ok(await isSame());
  });

  const fails = await queue.publish("shop.Invoice", "on_tq_book", { gate: stage.gate("second") }, {
    maxAttempts: 1,
  });
  await t.step("it reads the stack of one that failed", async () => {
    await visitor.sees(row(fails), "Failed");
    await visitor.tabTo(String(fails));
    await press("Enter");
    await visitor.sees("h1", `Task ${fails}`);
    assert.equal(await visitor.focused(), `Task ${fails}`);
    await visitor.sees(".why", "the ledger is locked <img src=x onerror=alert(1)>");
    await visitor.sees(".why pre", /at .*Invoice\.on_tq_book \(file:.*shop\/Invoice\.js:\d+:\d+\)/);
    await visitor.sees(".timeline", /Attempt 1 ran [\d.]+ m?s: failed/);
  });

  await t.step("it runs that one again, and sees it complete", async () => {
    await stage.open("second");
    await visitor.tabTo("Retry");
    await press("Enter");
    await visitor.sees(".toast", `Task ${fails} was made ready again`);
    await visitor.sees(".page-head .state", "Completed");
    await visitor.sees(".timeline", /Completed after/);
    assert.ok(await isSame());
  });

  await t.step("it cancels one that runs", async () => {
    const id = await queue.publish("shop.Invoice", "on_tq_wait", { gate: stage.gate("never") });
    await visitor.tabTo("Tasks");
    await press("Enter");
    await visitor.sees(row(id), "Started");
    await visitor.tabTo(String(id));
    await press("Enter");
    await visitor.sees(".log", "waits for its gate");
    assert.equal(await page.evaluate("document.querySelector('main progress').value"), 0.5);
    await visitor.tabTo("Cancel");
    await press("Enter");
    await visitor.sees(".page-head .state", "Canceled");
    await visitor.sees(".timeline", /: canceled/);
  });

  await t.step("it filters, and whoever gets the link sees the same", async () => {
    await visitor.tabTo("Tasks");
    await press("Enter");
    await visitor.tabTo("Completed");
    await press("Enter");
    await page.waitForURL(/state=completed/);
    await visitor.tabTo("Search");
    await page.keyboard.type("on_tq_BOOK");
    await page.waitForURL(/state=completed&search=on_tq_BOOK$/);
    await visitor.sees(".count", "1 task");
    await visitor.sees(row(fails), "Completed");
    assert.equal(await visitor.focused(), "Search");
    await using other = await stage.arrive();
    await other.signIn(new URL(page.url()).pathname + new URL(page.url()).search, VIEW);
    await other.sees(row(fails), "Completed");
    assert.equal(await other.page.locator("tbody tr").count(), 1);
    assert.equal(await other.page.locator("#main input[type=checkbox], #main button").count(), 0);
    other.assertClean();
  });

  await t.step("it goes back, as far as it filtered", async () => {
    await page.goBack();
    await page.waitForURL(/state=completed$/);
    await visitor.sees(".count", "2 tasks");
    assert.ok(await isSame());
  });

  await t.step("it selects some, and runs them again at once", async () => {
    await visitor.tabTo("Select all tasks of this page");
    await press("Space");
    await visitor.sees(".bulk", "2 selected");
    await visitor.tabTo(/^Select task/);
    await press("ArrowDown");
    assert.match(await visitor.focused(), /^Select task/);
    await page.keyboard.press("Shift+Tab");
    while (await visitor.focused() !== "Retry") await page.keyboard.press("Shift+Tab");
    await press("Enter");
    await visitor.sees("dialog", "Retry 2 tasks?");
    await visitor.tabTo("Retry");
    await press("Enter");
    await visitor.sees(".toast", "2 tasks were made ready again");
    await stage.project.until(waits, (task) => task.claims === 2 && task.state === 10);
    await stage.project.until(fails, (task) => task.claims === 3 && task.state === 10);
  });

  await t.step("the engines are replaced, and the live connection stays", async () => {
    await visitor.tabTo("Overview");
    await press("Enter");
    await visitor.sees("table[aria-labelledby]", "ready");
    await visitor.sees(".live", "Live");
    const [engine] = await stage.tq.engines();
    await visitor.sees("tbody", `:${engine!.pid}`);
    const streams = () => visitor.requests.filter((url) => url.includes("/dashboard/events?")).length;
    const before = streams();
    await visitor.tabTo("Replace all");
    await press("Enter");
    await visitor.tabTo("Replace");
    await press("Enter");
    await visitor.sees(".toast", "The engines are being replaced");
    await page.locator("tbody").filter({ hasText: `:${engine!.pid}` }).waitFor({ state: "detached" });
    const [next] = await stage.tq.engines();
    assert.notEqual(next!.pid, engine!.pid);
    await visitor.sees("tbody", `:${next!.pid}`);
    await visitor.sees(".live", "Live");
    assert.equal(streams(), before);
    assert.ok(await isSame());
  });

  await t.step("a tab that nobody sees asks for nothing", async () => {
    const look = (isHidden: boolean) =>
      page.evaluate(
        `Object.defineProperty(document, "hidden", { value: ${isHidden}, configurable: true });
         document.dispatchEvent(new Event("visibilitychange"))`,
      );
    await look(true);
    await visitor.sees(".live", "Paused");
    const before = visitor.requests.length;
    await page.waitForTimeout(2500);
    assert.equal(visitor.requests.length, before);
    await look(false);
    await visitor.sees(".live", "Live");
  });

  await t.step("it reads a chart, minute by minute", async () => {
    await visitor.tabTo("Throughput, minute by minute");
    const plot = page.locator('[aria-label="Throughput, minute by minute"]');
    const before = await plot.getAttribute("aria-valuetext");
    await press("ArrowLeft");
    const after = await plot.getAttribute("aria-valuetext");
    assert.notEqual(after, before);
    assert.match(after ?? "", /^\d\d:\d\d +\d+ completed, \d+ failed, \d+ canceled$/);
    await press("End");
    assert.equal(await plot.getAttribute("aria-valuenow"), "60");
  });

  await t.step("it chooses a theme, which is there again the next time", async () => {
    await visitor.tabTo("Theme: System");
    await press("Enter", "Enter");
    assert.equal(await visitor.focused(), "Theme: Dark");
    const background = () => page.evaluate("getComputedStyle(document.body).backgroundColor");
    assert.equal(await background(), "rgb(17, 19, 22)");
    await page.reload();
    await visitor.sees("#theme", "Dark");
    assert.equal(await background(), "rgb(17, 19, 22)");
  });

  await t.step("it signs out, and sees nothing any more", async () => {
    await visitor.tabTo("Sign out");
    await press("Enter");
    await page.waitForURL(/\/sign-in/);
    await page.goto("/task/1");
    await page.waitForURL(/\/sign-in\?next=%2Ftask%2F1/);
  });

  visitor.assertClean();
});
