/**
 * The overview: what is wrong, how the last hour went, what waits, who works.
 *
 * @module
 */

import { request } from "../api.js";
import { fill, h, keyed, setProps, setText } from "../dom.js";
import { tellTime } from "../format.js";
import { watch } from "../live.js";
import { hourCharts } from "../overview_charts.js";
import { channelTable, engineTable, failingTable } from "../overview_tables.js";

/** @typedef {import("../../overview.ts").Overview} Overview */
/** @typedef {import("../../problems.ts").Problem} Problem */
/** @typedef {import("../router.js").Page} Page */

/**
 * @param {{ mayManage: boolean }} options
 * @returns {Page}
 */
export function overviewPage({ mayManage }) {
  const problems = problemList();
  const charts = hourCharts();
  const failing = failingTable();
  const channels = channelTable();
  const engines = engineTable(mayManage);
  const about = h("p", { class: "about" });
  const trouble = h("div", { role: "alert" });
  const element = h(
    "div",
    { class: "page" },
    h("div", { class: "page-head" }, h("h1", { tabindex: -1 }, "Overview"), problems.summary),
    trouble,
    problems.element,
    charts.element,
    failing.element,
    h("div", { class: "columns" }, channels.element, engines.element),
    about,
  );

  /** @param {Overview} overview */
  const show = (overview) => {
    tellTime(overview.now);
    problems.show(overview.problems);
    charts.show(overview);
    failing.show(overview);
    channels.show(overview);
    engines.show(overview);
    const { version, commit, dispatch } = overview.supervisor;
    setText(
      about,
      `tq ${version}${commit === null ? "" : `, commit ${commit.slice(0, 8)}`}, dispatch by ${dispatch}`,
    );
    const bad = overview.problems.length;
    document.title = `${bad > 0 ? `(${bad}) ` : ""}Overview · tq`;
  };
  /** @param {string | undefined} message */
  const tellTrouble = (message) => {
    if (message === undefined) fill(trouble);
    else if (trouble.textContent === "") {
      fill(
        trouble,
        h("p", { class: "problem", "data-level": "bad" }, `The record cannot be read: ${message}`),
      );
    }
  };

  const leaving = new AbortController();
  request("/dashboard/overview", { signal: leaving.signal }).then(show, (error) => {
    if (!leaving.signal.aborted) tellTrouble(error.message);
  });
  const stop = watch("topic=overview", { seen: show, trouble: tellTrouble });
  return {
    element,
    title: "Overview",
    close() {
      leaving.abort();
      stop();
    },
  };
}

function problemList() {
  const list = h("ul", { class: "problems", "aria-label": "What is wrong" });
  const summary = h("p", { class: "summary", role: "status" });
  const rows = keyed(
    list,
    /** @param {Problem} problem */ ({ text }) => text.replaceAll(/\d+/g, "#"),
    (first) => {
      const text = first.link === null ? h("span") : h("a", { href: first.link });
      const detail = h("span", { class: "detail" });
      const element = h("li", { class: "problem" }, text, detail);
      return {
        element,
        update(problem) {
          setProps(element, { "data-level": problem.level });
          setText(text, problem.text);
          setText(detail, problem.detail ?? "");
        },
      };
    },
  );
  return {
    element: list,
    summary,
    /** @param {readonly Problem[]} problems */
    show(problems) {
      rows.show(problems);
      list.hidden = problems.length === 0;
      const bad = problems.some(({ level }) => level === "bad");
      setProps(summary, { "data-level": problems.length === 0 ? "good" : bad ? "bad" : "warn" });
      setText(
        summary,
        problems.length === 0
          ? "All is well"
          : problems.length === 1
          ? "1 problem"
          : `${problems.length} problems`,
      );
    },
  };
}
