/**
 * A task's log, as it grows.
 *
 * @module
 */

import { request } from "./api.js";
import { h, setText } from "./dom.js";
import { clockSeconds, fullTime, number } from "./format.js";

/** @typedef {import("../../task_json.ts").LogJson} LogJson */

/** Lines that are kept on the page; older ones are let go. */
const MOST_LINES = 1000;
/** How near its end, in pixels, somebody must be to be taken along. */
const NEAR = 40;

/**
 * Makes the log of a task.
 *
 * @param {number} id
 * @param {(lines: readonly LogJson[]) => void} came hears of new lines
 */
export function taskLog(id, came) {
  const list = h("ol");
  const scroller = h("div", { class: "log", role: "log", tabindex: 0, "aria-labelledby": "log" }, list);
  const nothing = h("p", { class: "empty" });
  const older = h("p", { class: "note" });
  const element = h(
    "section",
    { class: "card", "aria-labelledby": "log" },
    h("h2", { id: "log" }, "Log"),
    older,
    scroller,
    nothing,
  );
  const leaving = new AbortController();
  let last = -1;
  let wanted = 0;
  let isReading = false;
  let left = 0;

  /** @param {readonly LogJson[]} lines */
  const add = (lines) => {
    const isAtEnd = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < NEAR;
    for (const { created, kind, text } of lines) {
      list.append(
        h(
          "li",
          { "data-kind": kind },
          h(
            "time",
            { datetime: new Date(created * 1000).toISOString(), title: fullTime(created) },
            clockSeconds(created),
          ),
          h("span", { class: "kind" }, kind),
          h("span", { class: "text" }, text),
        ),
      );
    }
    for (; list.childElementCount > MOST_LINES; left++) list.firstElementChild?.remove();
    older.hidden = left === 0;
    setText(older, `${number(left)} older lines are not shown; tq task ${id} has them`);
    if (isAtEnd) scroller.scrollTop = scroller.scrollHeight;
    came(lines);
  };

  const read = async () => {
    if (isReading) return;
    isReading = true;
    try {
      while (last < wanted) {
        const after = last < 0 ? "" : `?after=${last}`;
        const { lines, before } = await request(`/dashboard/tasks/${id}/log${after}`, {
          signal: leaving.signal,
        });
        left += before;
        add(lines);
        // Also where the last line was deleted meanwhile.
        last = lines.at(-1)?.id ?? wanted;
      }
    } catch {
      // The next event asks again.
    } finally {
      isReading = false;
    }
  };

  return {
    element,
    /**
     * Reads on to this line.
     *
     * @param {number} lastId
     * @param {boolean} isRunning whether more may come
     */
    readTo(lastId, isRunning) {
      wanted = lastId;
      scroller.hidden = lastId === 0;
      nothing.hidden = lastId > 0;
      setText(nothing, isRunning ? "Nothing yet." : "It wrote nothing.");
      void read();
    },
    close: () => leaving.abort(),
  };
}
