/**
 * Takes the pictures in docs/images: `deno run -A tests/http/screenshots.ts`. It needs Postgres, Redis and Chromium.
 *
 * @module
 */

import { join } from "node:path";
import { freePort } from "../support/free_port.ts";
import { Project, REPOSITORY } from "../support/tq.ts";
import { commit, git } from "../support/git.ts";
import { startBrowser, Visitor } from "./browser.ts";
import { seedHour } from "./seed_hour.ts";

const FOLDER = join(REPOSITORY, "docs/images");
const TOKEN = "a-token-for-the-pictures";

/** Handlers whose names are those of the hour that has gone by. */
const HANDLERS = {
  "shop/Invoice.js": `export default class Invoice {
    static tq = { timeout: 120, maxAttempts: 3 };
    static on_tq_total(task) { task.completed({ total: 7, lines: 2 }); }
    static on_tq_book(task) { throw new Error("the ledger of " + task.data.shop + " is locked"); }
    static async on_tq_export(task) {
      for (let page = 1; page <= 40; page++) {
        task.progress(page / 40, page % 2 === 0 ? "exported page " + page + " of 40" : "");
        await new Promise((resolve) => setTimeout(resolve, 900));
        task.signal.throwIfAborted();
      }
    }
  }`,
  "shop/Order.js": `export default class Order {
    static on_tq_confirm(task) { task.completed(); }
  }`,
  "mail.js": `export async function on_tq_send(task) {
    await new Promise((resolve) => setTimeout(resolve, 300));
    if (task.id % 40 === 0) task.failed("550 mailbox is full");
  }`,
};

/** Pages, by the name of their picture. */
type Place = "overview" | "tasks" | "task" | "handlers";
type Theme = "light" | "dark";
/** Sizes of the window in CSS pixels; a phone has two physical ones for one. */
const SIZES = { desktop: { width: 1280, height: 800 }, phone: { width: 390, height: 844, scale: 2 } };

/** The pictures of the documentation; `--all` takes every page in every theme and size, to look at. */
const PICTURES: readonly (readonly [Place, Theme, keyof typeof SIZES])[] = [
  ["overview", "light", "desktop"],
  ["overview", "dark", "desktop"],
  ["overview", "light", "phone"],
  ["overview", "dark", "phone"],
  ["tasks", "light", "desktop"],
  ["tasks", "dark", "phone"],
  ["task", "dark", "desktop"],
  ["task", "light", "phone"],
  ["handlers", "light", "desktop"],
];

async function main(): Promise<void> {
  const [folder = FOLDER] = Deno.args.filter((arg) => !arg.startsWith("--"));
  await Deno.mkdir(folder, { recursive: true });
  await using project = await Project.make({
    servers: "redis",
    handlers: HANDLERS,
    settings: {
      TQ_HTTP: `127.0.0.1:${freePort()}`,
      TQ_API_TOKENS: `manage:${TOKEN}`,
      TQ_PROCESSES: 2,
    },
  });
  await git(project.path, "init", "--quiet", "--initial-branch=main");
  await commit(project.path, { ".gitignore": "var/\n" });
  await using tq = await project.start();
  await seedHour(project.record!);
  const places = await publishAll(project);
  // A deploy that is refused: its handlers do not import.
  await commit(project.path, { "handlers/shop/Refund.js": "import './money.js';\n" });
  await tq.logged(/refused/i, { within: 30_000 });
  const { queue } = project;
  const trade = setInterval(() => {
    for (let i = 0; i < 3; i++) void queue.publish("shop.Invoice", "on_tq_total", { order: i });
    void queue.publish("shop.Order", "on_tq_confirm", { order: 1 });
    void queue.publish("mail", "on_tq_send", { to: "customer@example.com" });
  }, 600);
  try {
    await using browser = await startBrowser();
    const all = Deno.args.includes("--all");
    const pictures = all
      ? (Object.keys(places) as Place[]).flatMap((place) =>
        (["light", "dark"] as const).flatMap((theme) =>
          (["desktop", "phone"] as const).map((size) => [place, theme, size] as const)
        )
      )
      : PICTURES;
    for (const [place, theme, size] of pictures) {
      const origin = `http://${project.environment.TQ_HTTP}`;
      await using visitor = await Visitor.arrive(browser, origin, { theme, ...SIZES[size] });
      await visitor.signIn(places[place], TOKEN);
      await visitor.sees(".live", "Live");
      await visitor.page.waitForTimeout(2500);
      const path = join(folder, `${place}-${theme}-${size}.png`);
      // A phone shows what fits onto three screens.
      await visitor.page.setViewportSize({
        width: SIZES[size].width,
        height: size === "phone" ? 844 * 2 : 860,
      });
      await visitor.page.screenshot({ path });
      visitor.assertClean();
      console.log(path);
    }
  } finally {
    clearInterval(trade);
  }
}

/** Publishes what the pictures show; returns where they are taken. */
async function publishAll(project: Project): Promise<Record<Place, string>> {
  const { queue } = project;
  const failing = { shop: "shop 7", order: 4711, total: { amount: 249.9, currency: "EUR" } };
  const failed = await queue.publish("shop.Invoice", "on_tq_book", failing, { maxAttempts: 2 });
  for (let i = 0; i < 4; i++) {
    await queue.publish("shop.Invoice", "on_tq_book", { ...failing, order: i }, { maxAttempts: 1 });
  }
  await queue.publish("shop.Invoice", "on_tq_export", { year: 2026 });
  await queue.publish("shop.Invoice", "on_tq_total", { order: 4712 }, { delay: 7200 });
  for (let i = 0; i < 12; i++) {
    await queue.publish("shop.Invoice", "on_tq_total", { order: i }, { channel: "reports" });
  }
  await project.ended(failed, 20_000);
  return {
    overview: "/",
    tasks: "/tasks?state=failed,started,retry,scheduled",
    task: `/task/${failed}`,
    handlers: "/handlers",
  };
}

await main();
