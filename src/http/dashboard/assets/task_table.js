/**
 * The table of tasks. It holds still while somebody is on it: rows are updated where they are, and none moves.
 *
 * @module
 */

import { h, keyed, setProps, setText } from "./dom.js";
import { duration, setState, setTime, stateElement, timeElement } from "./format.js";
import { handlerName } from "./links.js";

/** @typedef {import("../task_view.ts").TaskRow} TaskRow */

const RUNNING = 1;

/**
 * Makes the table.
 *
 * @param {object} options
 * @param {boolean} options.mayManage
 * @param {(sort: string) => string} options.sortLink the address of the same list in another order
 * @param {() => void} options.selected hears that the selection changed
 * @param {() => void} options.released hears that nobody is on the table any more
 */
export function taskTable({ mayManage, sortLink, selected, released }) {
  /** @type {Set<number>} */
  const chosen = new Set();
  /** @type {readonly TaskRow[]} */
  let shown = [];
  let [isOver, isWithin] = [false, false];

  const all = h("input", { type: "checkbox", "aria-label": "Select all tasks of this page" });
  const sorts = { id: h("a", {}, "ID"), modified: h("a", {}, "Changed") };
  const heads = {
    id: h("th", { scope: "col", class: "number" }, sorts.id),
    modified: h("th", { scope: "col" }, sorts.modified),
  };
  const body = h("tbody");
  const nothing = h("p", { class: "empty" });
  const held = h("p", { class: "held" }, "The list holds still while you are on it.");
  const grid = h(
    "table",
    { class: "tasks", "aria-label": "Tasks" },
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        mayManage && h("th", { scope: "col", class: "check" }, all),
        heads.id,
        ...["State", "Handler", "Channel"].map((head) => h("th", { scope: "col" }, head)),
        ...["Attempts", "Run"].map((head) => h("th", { scope: "col", class: "number" }, head)),
        heads.modified,
        h("th", { scope: "col" }, "Reason"),
      ),
    ),
    body,
  );
  const element = h("section", { class: "card", "aria-label": "Tasks" }, grid, nothing, held);

  const rows = keyed(body, /** @param {TaskRow} task */ (task) => task.id, (first) => {
    const state = stateElement(first.state);
    const [attempts, run, reason] = [h("span"), h("span"), h("span", { class: "cut" })];
    const progress = h("progress", { max: 1, "aria-label": "Progress" });
    const changed = timeElement(first.modified);
    const running = timeElement(first.modified, "since");
    const box = h("input", { type: "checkbox", "aria-label": `Select task ${first.id}` });
    box.checked = chosen.has(first.id);
    box.addEventListener("change", () => {
      if (box.checked) chosen.add(first.id);
      else chosen.delete(first.id);
      tellChosen();
    });
    const row = h(
      "tr",
      { "data-id": first.id },
      mayManage && h("td", { class: "check" }, box),
      h("th", { scope: "row", class: "number" }, h("a", { href: `/task/${first.id}` }, first.id)),
      h("td", {}, state),
      h("td", { class: "handler" }, handlerName(first.model, first.fname)),
      h("td", { class: "channel" }, first.channel),
      h("td", { class: "number attempts" }, attempts),
      h("td", { class: "number run" }, run, running),
      h("td", { class: "changed" }, changed),
      h("td", { class: "reason" }, reason, progress),
    );
    return {
      element: row,
      update(task) {
        setState(state, task.state);
        setText(attempts, `${task.attempts}/${task.max_attempts}`);
        const isRunning = task.state === RUNNING && task.started !== null;
        running.hidden = !isRunning;
        run.hidden = isRunning;
        if (isRunning) setTime(running, task.started ?? 0);
        else setText(run, task.run_seconds === null ? "" : duration(task.run_seconds));
        setTime(changed, task.modified);
        setText(reason, task.reason ?? "");
        setProps(reason, { title: task.reason });
        progress.hidden = !isRunning || task.progress === null;
        progress.value = task.progress ?? 0;
        setProps(row, { "data-tone": task.state === -1 ? "bad" : null });
      },
    };
  });

  const tellChosen = () => {
    all.checked = shown.length > 0 && shown.every(({ id }) => chosen.has(id));
    all.indeterminate = !all.checked && chosen.size > 0;
    selected();
    tellHeld();
  };
  const isHeld = () => isOver || isWithin || chosen.size > 0;
  const tellHeld = () => {
    setProps(held, { "data-on": isHeld() ? "true" : null });
    if (!isHeld()) released();
  };
  /** @param {boolean} isChosen */
  const chooseAll = (isChosen) => {
    chosen.clear();
    if (isChosen) { for (const { id } of shown) chosen.add(id); }
    for (const box of body.querySelectorAll("input")) box.checked = isChosen;
    tellChosen();
  };
  all.addEventListener("change", () => chooseAll(all.checked));

  // A finger is over the table whenever it scrolls.
  grid.addEventListener("pointerenter", (event) => {
    isOver = event.pointerType === "mouse";
    tellHeld();
  });
  grid.addEventListener("pointerleave", () => {
    isOver = false;
    tellHeld();
  });
  grid.addEventListener("focusin", () => {
    isWithin = true;
    tellHeld();
  });
  grid.addEventListener("focusout", () => {
    isWithin = false;
    // What has the focus next gets it first.
    queueMicrotask(() => {
      if (!grid.contains(document.activeElement)) tellHeld();
    });
  });
  grid.addEventListener("keydown", (event) => {
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    const row = event.target instanceof Element ? event.target.closest("tbody tr") : null;
    if (step === 0 || row === null) return;
    const next = step > 0 ? row.nextElementSibling : row.previousElementSibling;
    const kind = event.target instanceof HTMLInputElement ? "input" : "a";
    const target = next?.querySelector(kind);
    if (!(target instanceof HTMLElement)) return;
    event.preventDefault();
    target.focus();
  });

  return {
    element,
    /** Whether rows must not move. */
    isHeld,
    /** Lets rows move: another list comes. */
    release() {
      [isOver, isWithin] = [false, false];
      tellHeld();
    },
    /** @param {readonly TaskRow[]} tasks */
    show(tasks) {
      shown = tasks;
      rows.show(tasks);
      grid.hidden = tasks.length === 0;
      nothing.hidden = tasks.length > 0;
      held.hidden = tasks.length === 0;
    },
    /**
     * Updates the rows that are here, and moves none.
     *
     * @param {readonly TaskRow[]} tasks
     */
    update(tasks) {
      const news = new Map(tasks.map((task) => [task.id, task]));
      shown = shown.map((task) => news.get(task.id) ?? task);
      rows.show(shown);
    },
    /** @returns {number[]} */
    selection: () => [...chosen],
    clear: () => chooseAll(false),
    /** @param {string} text */
    sayEmpty: (text) => setText(nothing, text),
    /** @param {string} sort */
    setSort(sort) {
      const isDescending = sort.startsWith("-");
      for (const name of /** @type {const} */ (["id", "modified"])) {
        const isHere = sort.replace("-", "") === name;
        setProps(heads[name], { "aria-sort": isHere ? (isDescending ? "descending" : "ascending") : null });
        setProps(sorts[name], { href: sortLink(isHere && isDescending ? name : `-${name}`) });
      }
    },
  };
}
