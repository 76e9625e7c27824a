/**
 * One task: how it went, attempt by attempt, what it carries, and its log, live.
 *
 * @module
 */

import { requestPatiently } from "../api.js";
import { fill, h, setProps, setText } from "../dom.js";
import { duration, isEnded, setState, setTime, stateElement, tellTime, timeElement } from "../format.js";
import { handlerLink, listLink } from "../links.js";
import { watch } from "../live.js";
import { actAndTell } from "../notices.js";
import { taskLog } from "../task_log.js";
import { timeline } from "../timeline.js";

/** @typedef {import("../../task_view.ts").TaskView} TaskView */
/** @typedef {import("../router.js").Page} Page */

const [STARTED, FAILED] = [1, -1];

/**
 * @param {number} id
 * @param {{ mayManage: boolean }} options
 * @returns {Page}
 */
export function taskPage(id, { mayManage }) {
  const state = stateElement(0);
  const handler = h("p", { class: "handler" });
  const actions = h("div", { class: "buttons" });
  const trouble = h("div", { role: "alert" });
  const progress = progressBar();
  const reason = reasonCard();
  const steps = timeline();
  const log = taskLog(id, (lines) => {
    steps.tellLines(lines);
    reason.tellLines(lines);
  });
  const [data, result] = [jsonCard("Data"), jsonCard("Result")];
  const facts = factList();
  const element = h(
    "div",
    { class: "page" },
    h("div", { class: "page-head" }, h("h1", { tabindex: -1 }, `Task ${id}`), state, actions),
    handler,
    trouble,
    h(
      "div",
      { class: "columns task" },
      h("div", {}, reason.element, progress.element, steps.element, log.element),
      h("div", {}, data.element, result.element, facts.element),
    ),
  );
  const columns = /** @type {HTMLElement} */ (element.lastElementChild);
  columns.hidden = true;
  state.hidden = true;

  const retry = h("button", { type: "button", onclick: () => act("retry_now") }, "Retry");
  const cancel = h("button", { type: "button", onclick: () => act("cancel") }, "Cancel");
  /** @param {"retry_now" | "cancel"} action */
  const act = async (action) => {
    await actAndTell([id], action);
    // The button that was pressed may go now: the keyboard stays on the page.
    element.querySelector("h1")?.focus();
  };

  /** @param {{ now: number, task: TaskView | null, lastLog: number }} seen */
  const show = ({ now, task, lastLog }) => {
    tellTime(now);
    if (task === null) return tellTrouble("It was deleted: this is how it was");
    columns.hidden = false;
    state.hidden = false;
    setState(state, task.state);
    if (handler.childElementCount === 0) handler.append(handlerLink(task.model, task.fname));
    if (mayManage) {
      if (actions.childElementCount === 0) actions.append(retry, cancel);
      retry.hidden = !isEnded(task.state);
      cancel.hidden = isEnded(task.state);
      cancel.disabled = task.cancel_requested;
      setText(cancel, task.cancel_requested ? "Canceling" : "Cancel");
    }
    progress.show(task);
    reason.show(task);
    steps.show(task);
    data.show(task.data);
    result.show(task.result);
    facts.show(task);
    log.readTo(lastLog, !isEnded(task.state));
    document.title = `${id} ${state.textContent} · tq`;
  };
  /** @param {string | undefined} message */
  const tellTrouble = (message) => {
    if (message === undefined) fill(trouble);
    else if (trouble.textContent !== message) {
      fill(trouble, h("p", { class: "problem", "data-level": "bad" }, message));
    }
  };

  let stop = () => {};
  const leaving = new AbortController();
  const how = { signal: leaving.signal, away: tellTrouble };
  requestPatiently(`/dashboard/tasks/${id}`, how).then((seen) => {
    tellTrouble(undefined);
    show(seen);
    stop = watch(`topic=task&id=${id}`, { seen: show, trouble: tellTrouble });
  }, (error) => {
    if (!leaving.signal.aborted) tellTrouble(error.message);
  });
  return {
    element,
    title: `Task ${id}`,
    close() {
      leaving.abort();
      log.close();
      stop();
    },
  };
}

function progressBar() {
  const bar = h("progress", { max: 1, "aria-label": "Progress" });
  const text = h("span");
  const element = h("section", { class: "card progress", "aria-label": "Progress" }, bar, text);
  return {
    element,
    /** @param {TaskView} task */
    show({ state, progress }) {
      element.hidden = progress === null || state !== STARTED;
      bar.value = progress ?? 0;
      setText(text, `${Math.floor((progress ?? 0) * 100)} %`);
    },
  };
}

/** Why it failed, waits or was canceled, and where in the code. */
function reasonCard() {
  const text = h("p", { class: "reason" });
  const stack = h("pre", { tabindex: 0, "aria-label": "Stack" });
  const title = h("h2", { id: "reason" });
  const element = h("section", { class: "card why", "aria-labelledby": "reason" }, title, text, stack);
  // Of the last attempt, which may have none; the engine writes it before the line of its attempt.
  let [isFailed, found, next] = [false, "", ""];
  const tellStack = () => {
    stack.hidden = found === "" || !isFailed;
    setText(stack, found);
  };
  return {
    element,
    /** @param {TaskView} task */
    show(task) {
      // A reason of a run before this one says nothing of how it stands.
      element.hidden = task.reason === null || task.state === STARTED && !task.cancel_requested;
      setText(title, task.state === FAILED ? "Why it failed" : "Reason");
      setText(text, task.reason ?? "");
      setProps(element, { "data-tone": task.state === FAILED ? "bad" : "calm" });
      isFailed = task.state === FAILED || task.state === 2;
      tellStack();
    },
    /** @param {readonly import("../../../task_json.ts").LogJson[]} lines */
    tellLines(lines) {
      for (const { kind, text } of lines) {
        if (kind === "error") found = next = text;
        else if (kind === "attempt") [found, next] = [next, ""];
      }
      tellStack();
    },
  };
}

/** @param {string} title */
function jsonCard(title) {
  const id = `json-${title.toLowerCase()}`;
  const text = h("pre", { tabindex: 0, "aria-labelledby": id });
  const element = h("section", { class: "card", "aria-labelledby": id }, h("h2", { id }, title), text);
  return {
    element,
    /** @param {unknown} value */
    show(value) {
      element.hidden = value === null;
      setText(text, JSON.stringify(value, null, 2));
    },
  };
}

function factList() {
  const list = h("dl", { class: "facts" });
  const element = h(
    "section",
    { class: "card", "aria-labelledby": "facts" },
    h("h2", { id: "facts" }, "About it"),
    list,
  );
  /** @type {Map<string, HTMLElement>} */
  const values = new Map();
  /** @param {string} name @param {string | number | null} value */
  const text = (name, value) => {
    let element = values.get(name);
    if (element === undefined) {
      if (value === null) return;
      values.set(name, element = h("dd"));
      list.append(h("div", {}, h("dt", {}, name), element));
    }
    if (element.parentElement !== null) element.parentElement.hidden = value === null;
    setText(element, value ?? "");
  };
  /** @param {string} name @param {number | null} time */
  const moment = (name, time) => {
    let element = values.get(name);
    if (element === undefined) {
      if (time === null) return;
      values.set(name, element = h("dd", {}, timeElement(time)));
      list.append(h("div", {}, h("dt", {}, name), element));
    }
    if (element.parentElement !== null) element.parentElement.hidden = time === null;
    if (time !== null && element.firstElementChild instanceof HTMLTimeElement) {
      setTime(element.firstElementChild, time);
    }
  };
  return {
    element,
    /** @param {TaskView} task */
    show(task) {
      if (!values.has("Channel")) {
        const link = h("a", { href: listLink({ channel: task.channel }) }, task.channel);
        values.set("Channel", h("dd", {}, link));
        list.append(h("div", {}, h("dt", {}, "Channel"), values.get("Channel")));
      }
      text("Attempts", `${task.attempts} of ${task.max_attempts}`);
      text("Priority", task.priority);
      text("Time limit", duration(task.timeout_seconds));
      text("Engine deaths", task.deaths === 0 ? null : task.deaths);
      moment("Due", task.scheduled_for);
      moment("Stale after", task.stale_after);
      text("Key", task.publish_key);
      text("Unique", task.unique_key);
      text("Trace", task.trace_parent);
    },
  };
}
