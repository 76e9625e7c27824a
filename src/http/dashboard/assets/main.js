/**
 * The dashboard.
 *
 * @module
 */

import { request } from "./api.js";
import { h } from "./dom.js";
import { refreshTimes } from "./format.js";
import { notice } from "./notices.js";
import { handlersPage } from "./pages/handlers.js";
import { overviewPage } from "./pages/overview.js";
import { taskPage } from "./pages/task.js";
import { tasksPage } from "./pages/tasks.js";
import { startRouter } from "./router.js";
import { startThemeSwitch } from "./theme_switch.js";

/** @typedef {import("./router.js").Page} Page */

/**
 * @param {{ right: string }} session
 * @param {(path: string, how?: { replace?: boolean }) => void} go
 * @param {URL} url
 * @returns {Page}
 */
function open(session, go, url) {
  const mayManage = session.right === "manage";
  const [, first, second] = url.pathname.split("/");
  if (first === "") return overviewPage({ mayManage });
  if (first === "tasks") return tasksPage(url, { mayManage, go });
  if (first === "task") return taskPage(Number(second), { mayManage });
  if (first === "handlers") return handlersPage();
  return {
    element: h("div", { class: "page" }, h("h1", { tabindex: -1 }, "There is no such page")),
    title: "Not found",
    close() {},
  };
}

const main = document.getElementById("main");
if (main === null) throw new Error("the document has no main");
startThemeSwitch();
setInterval(refreshTimes, 1000);
try {
  const session = await request("/dashboard/session");
  const router = startRouter(main, (url) => open(session, (path, how) => router.go(path, how), url));
} catch (error) {
  notice(error instanceof Error ? error.message : String(error), "wrong");
}
