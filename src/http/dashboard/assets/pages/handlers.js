/**
 * Handlers: what can be run, how it did in the last hour, and what does not import.
 *
 * @module
 */

import { request } from "../api.js";
import { fill, h, setProps, setText } from "../dom.js";
import { duration, number, setTime, timeElement } from "../format.js";
import { handlerLink } from "../links.js";
import { watch } from "../live.js";
import { table } from "../table.js";

/** @typedef {import("../../handlers.ts").HandlersView} HandlersView */
/** @typedef {import("../router.js").Page} Page */

/** @returns {Page} */
export function handlersPage() {
  const summary = h("p", { class: "count", role: "status" }, "Importing the handlers to list them…");
  const trouble = h("div", { role: "alert" });
  const problems = h("ul", { class: "problems", "aria-label": "Handlers that cannot be run" });
  const rows = table({
    title: "Handlers and their last hour",
    columns: [
      { head: "Handler" },
      { head: "Completed", number: true },
      { head: "Failed", number: true },
      { head: "Average", number: true },
      { head: "Longest", number: true, goes: true },
      { head: "Last failure" },
      { head: "Defaults", goes: true },
      { head: "File", goes: true },
    ],
    keyOf: /** @param {HandlersView["handlers"][number]} row */ (row) => `${row.model} ${row.fname}`,
    cells: (first) => {
      const [completed, failed, average, longest] = [h("span"), h("span"), h("span"), h("span")];
      const [defaults, file] = [h("span"), h("span")];
      const [at, reason] = [timeElement(0), h("a", { class: "cut" })];
      const last = h("span", { class: "last" }, at, " ", reason);
      return {
        cells: [
          handlerLink(first.model, first.fname),
          completed,
          failed,
          average,
          longest,
          last,
          defaults,
          file,
        ],
        update(row) {
          const runs = row.completed + row.failed;
          setText(completed, number(row.completed));
          setText(failed, number(row.failed));
          setProps(failed, { class: row.failed > 0 ? "wrong" : null });
          setText(average, runs === 0 ? "–" : duration(row.seconds / runs));
          setText(longest, runs === 0 ? "–" : duration(row.longest));
          setText(defaults, row.defaults);
          setText(file, row.file ?? "not here");
          setProps(file, { class: row.file === null ? "faint" : null });
          last.hidden = row.failure === null;
          if (row.failure === null) return;
          setTime(at, row.failure.at);
          setProps(reason, { href: `/task/${row.failure.id}` });
          setText(reason, row.failure.reason ?? "no reason given");
        },
      };
    },
    empty: "There is no handler yet: put one into handlers/.",
  });
  const element = h(
    "div",
    { class: "page" },
    h("div", { class: "page-head" }, h("h1", { tabindex: -1 }, "Handlers"), summary),
    trouble,
    problems,
    rows.element,
  );
  rows.show([]);
  rows.element.hidden = true;

  /** @param {HandlersView} view */
  const show = (view) => {
    rows.element.hidden = false;
    rows.show(view.handlers);
    const names = view.handlers.length === 1 ? "1 handler" : `${number(view.handlers.length)} handlers`;
    setText(summary, names);
    problems.hidden = view.problems.length === 0;
    fill(
      problems,
      ...view.problems.map((problem) => h("li", { class: "problem", "data-level": "bad" }, problem)),
    );
  };
  /** @param {string | undefined} message */
  const tellTrouble = (message) => {
    if (message === undefined) return fill(trouble);
    fill(trouble, h("p", { class: "problem", "data-level": "bad" }, message));
  };

  const leaving = new AbortController();
  request("/dashboard/handlers", { signal: leaving.signal }).then(show, (error) => {
    if (!leaving.signal.aborted) tellTrouble(error.message);
  });
  const stop = watch("topic=handlers", { seen: show, trouble: tellTrouble });
  return {
    element,
    title: "Handlers",
    close() {
      leaving.abort();
      stop();
    },
  };
}
