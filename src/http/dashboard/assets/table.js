/**
 * Tables whose rows stay where they are while their cells change.
 *
 * @module
 */

import { h, keyed, setText } from "./dom.js";

/**
 * @typedef {object} Column
 * @property {string} head
 * @property {boolean} [number] whether it is set to the right
 * @property {boolean} [goes] whether it is left out on a phone
 */

let made = 0;

/**
 * Makes a titled table.
 *
 * @template Row
 * @param {object} options
 * @param {string} options.title
 * @param {readonly Column[]} options.columns
 * @param {(row: Row) => string} options.keyOf
 * @param {(first: Row) => { cells: Node[], update(row: Row): void }} options.cells
 * @param {string} options.empty what is said when there are no rows
 * @param {HTMLElement} [options.action] stands beside the title
 */
export function table({ title, columns, keyOf, cells, empty, action }) {
  const id = `table-${++made}`;
  const body = h("tbody");
  const nothing = h("p", { class: "empty" }, empty);
  const grid = h(
    "table",
    { "aria-labelledby": id },
    h(
      "thead",
      {},
      h("tr", {}, columns.map((column) => h("th", { scope: "col", ...look(column) }, column.head))),
    ),
    body,
  );
  const rows = keyed(body, keyOf, (first) => {
    const { cells: made, update } = cells(first);
    const element = h(
      "tr",
      {},
      made.map((cell, i) => {
        const column = columns[i] ?? { head: "" };
        // Its head as well, for a phone, where a row is a list.
        const props = { ...look(column), "data-head": column.head };
        return i === 0 ? h("th", { scope: "row", ...props }, cell) : h("td", props, cell);
      }),
    );
    return { element, update };
  });
  return {
    element: h(
      "section",
      { class: "card", "aria-labelledby": id },
      h("div", { class: "card-head" }, h("h2", { id }, title), action),
      grid,
      nothing,
    ),
    /** @param {readonly Row[]} all */
    show(all) {
      rows.show(all);
      grid.hidden = all.length === 0;
      nothing.hidden = all.length > 0;
    },
    /** @param {string} text */
    sayEmpty: (text) => setText(nothing, text),
  };
}

/** @param {Column} column */
function look(column) {
  const classes = [column.number ? "number" : "", column.goes ? "goes" : ""].filter((one) => one !== "");
  return { class: classes.length === 0 ? null : classes.join(" ") };
}
