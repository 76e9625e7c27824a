/**
 * The list of tasks. Its whole state is its address, so that every list is a link.
 *
 * @module
 */

import { ApiError, requestPatiently } from "../api.js";
import { fill, h, keyed, setProps, setText } from "../dom.js";
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

  const summary = h("p", { class: "count" });
  // What a screen reader says: after what somebody did, not each time that the count changes.
  const said = h("p", { class: "unseen", role: "status" });
  const trouble = h("div", { role: "alert" });
  const states = h("nav", { class: "tabs", "aria-label": "State" });
  const tabs = stateTabs(states, () => filter);
  const pager = listPager((start) => listLink({ ...filter, start: start || "" }));
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
    h("div", { class: "page-head" }, h("h1", { tabindex: -1 }, "Tasks"), summary, said),
    states,
    form.element,
    trouble,
    bar,
    rows.element,
    pager.element,
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
    pager.show(list);
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
  const load = () => {
    stop();
    leaving.abort();
    leaving = new AbortController();
    const { signal } = leaving;
    rows.setSort(filter.sort ?? "-modified");
    rows.clear();
    newest = undefined;
    form.show(filter);
    tabs.show();
    setText(said, "");
    const query = apiQuery(filter);
    requestPatiently(`/dashboard/tasks?${query}`, { signal, away: tellTrouble }).then((list) => {
      tellTrouble(undefined);
      rows.release();
      show(list);
      setText(said, summary.textContent ?? "");
      // After the first answer: a filter that is refused or slow is not asked for every second.
      stop = watch(`topic=tasks&${query}`, {
        seen: (next) => {
          newest = next;
          if (rows.isHeld()) rows.update(next.data);
          else show(next);
        },
        trouble: tellTrouble,
      });
    }, (error) => {
      if (signal.aborted) return;
      rows.show([]);
      setText(summary, "");
      pager.hide();
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

/**
 * Links to the same list in other states. They stay where they are, and keep the focus.
 *
 * @param {Element} parent
 * @param {() => Filter} filter
 */
function stateTabs(parent, filter) {
  const tabs = keyed(parent, /** @param {string} name */ (name) => name, (name) => {
    const label = name === "" ? "All" : STATES[/** @type {keyof typeof STATES} */ (name)].label;
    const link = h("a", {}, label);
    return {
      element: link,
      update: () =>
        setProps(link, {
          href: listLink({ ...filter(), state: name, start: "" }),
          "aria-current": (filter().state ?? "") === name ? "page" : null,
        }),
    };
  });
  return { show: () => tabs.show(["", ...Object.keys(STATES)]) };
}

/**
 * Links to the pages of a list before and after this one, which stay where they are as well.
 *
 * @param {(start: number) => string} link
 */
function listPager(link) {
  const [newer, older] = [h("a", {}, "Newer"), h("a", {}, "Older")];
  const range = h("span", { class: "count" });
  const element = h("nav", { class: "pager", "aria-label": "Pages of the list" }, newer, range, older);
  element.hidden = true;
  /** @param {HTMLElement} step @param {number} to @param {boolean} isThere */
  const set = (step, to, isThere) =>
    setProps(step, {
      class: isThere ? "button" : "button off",
      href: isThere ? link(to) : null,
      // One that was pressed and leads no further keeps the focus.
      tabindex: isThere ? null : -1,
      role: isThere ? null : "link",
      "aria-disabled": isThere ? null : "true",
    });
  return {
    element,
    /** @param {List} list */
    show({ start, size, count, data }) {
      const end = start + data.length;
      const total = Math.max(count, end);
      element.hidden = total <= size && start === 0;
      set(newer, Math.max(0, start - size), start > 0);
      set(older, start + size, end < total);
      setText(range, `${number(start + 1)} – ${number(end)}`);
    },
    hide: () => element.hidden = true,
  };
}
