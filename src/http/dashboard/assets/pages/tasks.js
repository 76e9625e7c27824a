/**
 * The list of tasks. Its whole state is its address, so that every list is a link.
 *
 * @module
 */

import { ApiError, request } from "../api.js";
import { fill, h, setText } from "../dom.js";
import { count, number, STATES, tellTime } from "../format.js";
import { listLink } from "../links.js";
import { watch } from "../live.js";
import { actAndTell } from "../notices.js";
import { filterForm } from "../task_filter.js";
import { taskTable } from "../task_table.js";

/** @typedef {import("../../task_view.ts").TaskRow} TaskRow */
/** @typedef {import("../router.js").Page} Page */
/** @typedef {{ now: number, size: number, count: number, isEstimate: boolean, start: number, data: TaskRow[] }} List */

/** Rows of a page. */
const SIZE = 50;
/** Where the newest tasks are looked for, in seconds, by the name in the address. */
const SINCE = { "15m": 900, "1h": 3600, "24h": 86_400, "7d": 604_800 };

/**
 * @param {URL} url
 * @param {{ mayManage: boolean, go(path: string, how?: { replace?: boolean }): void }} options
 * @returns {Page}
 */
export function tasksPage(url, { mayManage, go }) {
  let filter = readFilter(url);
  let stop = () => {};
  let leaving = new AbortController();
  /** @type {List | undefined} */
  let newest;

  const summary = h("p", { class: "count", role: "status" });
  const trouble = h("div", { role: "alert" });
  const states = h("nav", { class: "tabs", "aria-label": "State" });
  const pager = h("nav", { class: "pager", "aria-label": "Pages of the list" });
  const rows = taskTable({
    mayManage,
    sortLink: (sort) => listLink({ ...filter, sort, start: "" }),
    selected: () => tellSelection(),
    released: () => newest && show(newest),
  });
  const form = filterForm((changes, replace) =>
    go(listLink({ ...filter, ...changes, start: "" }), { replace })
  );
  const bar = h("div", { class: "bulk", role: "group", "aria-label": "Selected tasks" });
  const element = h(
    "div",
    { class: "page" },
    h("div", { class: "page-head" }, h("h1", { tabindex: -1 }, "Tasks"), summary),
    states,
    form.element,
    trouble,
    bar,
    rows.element,
    pager,
  );

  const tellSelection = () => {
    const ids = rows.selection();
    bar.hidden = ids.length === 0;
    if (ids.length === 0) return fill(bar);
    /** @param {"cancel" | "retry_now"} action */
    const button = (action) =>
      h("button", {
        type: "button",
        onclick: async () => {
          if (!await actAndTell(ids, action)) return;
          rows.clear();
          element.querySelector("h1")?.focus();
        },
      }, action === "cancel" ? "Cancel" : "Retry");
    fill(
      bar,
      h("p", {}, `${number(ids.length)} selected`),
      button("retry_now"),
      button("cancel"),
      h("button", { type: "button", class: "quiet", onclick: () => rows.clear() }, "Clear"),
    );
  };

  /** @param {List} list */
  const show = (list) => {
    tellTime(list.now);
    newest = list;
    rows.show(list.data);
    const more = list.isEstimate ? `about ${number(list.count)}` : count(list.count);
    setText(summary, `${more} ${list.count === 1 ? "task" : "tasks"}`);
    fill(pager, ...pages(list));
    rows.sayEmpty(
      Object.keys(filter).some((name) => name !== "sort")
        ? "No task is like this. Change or clear the filters."
        : "No task was published yet. Publish one: tq publish demo.Report on_tq_run_summary '{\"id\": 22}'",
    );
  };
  /** @param {string | undefined} message */
  const tellTrouble = (message) => {
    if (message === undefined) fill(trouble);
    else if (trouble.textContent !== message) {
      fill(trouble, h("p", { class: "problem", "data-level": "bad" }, message));
    }
  };
  /** @param {List} list */
  const pages = (list) => {
    const { start, size, data } = list;
    const total = Math.max(list.count, start + data.length);
    /** @param {string} text @param {number} to @param {boolean} isThere */
    const step = (text, to, isThere) =>
      isThere
        ? h("a", { href: listLink({ ...filter, start: to || "" }), class: "button" }, text)
        : h("span", { class: "button off" }, text);
    if (total <= size && start === 0) return [];
    return [
      step("Newer", Math.max(0, start - size), start > 0),
      h("span", { class: "count" }, `${number(start + 1)} – ${number(start + data.length)}`),
      step("Older", start + size, start + data.length < total),
    ];
  };

  const load = () => {
    stop();
    leaving.abort();
    leaving = new AbortController();
    const { signal } = leaving;
    rows.setSort(filter.sort ?? "-modified");
    rows.clear();
    newest = undefined;
    form.show(filter);
    fill(states, ...stateTabs(filter));
    const query = apiQuery(filter);
    request(`/dashboard/tasks?${query}`, { signal }).then((list) => {
      tellTrouble(undefined);
      rows.release();
      show(list);
      // After the first answer: a filter that is refused or slow is not asked for every second.
      stop = watch(`topic=tasks&${query}`, {
        seen: (next) => rows.isHeld() ? rows.update(next.data) : show(next),
        trouble: tellTrouble,
      });
    }, (error) => {
      if (signal.aborted) return;
      rows.show([]);
      setText(summary, "");
      fill(pager);
      tellTrouble(error instanceof ApiError ? error.message : String(error));
    });
  };

  tellSelection();
  load();
  return {
    element,
    title: "Tasks",
    moved(next) {
      if (next.pathname !== "/tasks") return false;
      filter = readFilter(next);
      load();
      return true;
    },
    close() {
      stop();
      leaving.abort();
    },
  };
}

/** @typedef {Partial<Record<"state" | "search" | "channel" | "model" | "fname" | "since" | "sort" | "start", string>>} Filter */

/**
 * @param {URL} url
 * @returns {Filter}
 */
function readFilter(url) {
  const names =
    /** @type {const} */ (["state", "search", "channel", "model", "fname", "since", "sort", "start"]);
  /** @type {Filter} */
  const filter = {};
  for (const name of names) {
    const value = url.searchParams.get(name);
    if (value) filter[name] = value;
  }
  return filter;
}

/** @param {Filter} filter */
function apiQuery({ since, ...filter }) {
  const query = new URLSearchParams({ sort: "-modified", size: String(SIZE), ...filter });
  const seconds = since === undefined ? undefined : SINCE[/** @type {keyof typeof SINCE} */ (since)];
  // From a whole minute on, so that all who open the link in it share one look at the record.
  if (seconds !== undefined) query.set("dr_start", String((Math.floor(Date.now() / 60_000) * 60) - seconds));
  return query.toString();
}

/** @param {Filter} filter */
function stateTabs(filter) {
  const names = ["", ...Object.keys(STATES)];
  return names.map((name) => {
    const label = name === "" ? "All" : STATES[/** @type {keyof typeof STATES} */ (name)].label;
    const isHere = (filter.state ?? "") === name;
    const href = listLink({ ...filter, state: name, start: "" });
    return h("a", { href, "aria-current": isHere ? "page" : null }, label);
  });
}
