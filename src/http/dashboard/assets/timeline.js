/**
 * The timeline of a task: published, each attempt with its commit and engine, and its end.
 *
 * @module
 */

import { fill, h } from "./dom.js";
import { clockSeconds, duration, fullTime, timeElement } from "./format.js";

/** @typedef {import("../task_view.ts").TaskView} TaskView */
/** @typedef {import("../../task_json.ts").LogJson} LogJson */

/**
 * @typedef {object} Step
 * @property {number | null} time seconds since the epoch
 * @property {string} text
 * @property {string} tone
 * @property {string} [detail]
 * @property {string | null} [engine]
 * @property {string | null} [commit]
 * @property {boolean} [isNow] whether it goes on
 */

/** What an engine writes of a run that did not complete its task; see src/engine/attempt_note.ts. */
const ATTEMPT = /^attempt (\d+) (\w+) after ([\d.]+) s, engine (\S+), commit (\S+): ([\s\S]*)$/;
const OUTCOMES = {
  retry_later: { text: "retry later", tone: "warn" },
  failed: { text: "failed", tone: "bad" },
  canceled: { text: "canceled", tone: "off" },
};

/** Makes the timeline. */
export function timeline() {
  const list = h("ol", { class: "timeline" });
  const element = h(
    "section",
    { class: "card", "aria-labelledby": "timeline" },
    h("h2", { id: "timeline" }, "Timeline"),
    list,
  );
  /** @type {TaskView | undefined} */
  let task;
  /** @type {Step[]} */
  let attempts = [];
  let drawn = "";
  const draw = () => {
    if (task === undefined) return;
    const steps = stepsOf(task, attempts);
    const text = JSON.stringify(steps);
    if (text === drawn) return;
    drawn = text;
    fill(list, ...steps.map(stepElement));
  };
  return {
    element,
    /** @param {TaskView} next */
    show(next) {
      task = next;
      draw();
    },
    /** @param {readonly LogJson[]} lines */
    tellLines(lines) {
      const found = lines.flatMap((line) => attemptOf(line) ?? []);
      if (found.length === 0) return;
      attempts = [...attempts, ...found];
      draw();
    },
  };
}

/**
 * @param {LogJson} line
 * @returns {Step | undefined}
 */
function attemptOf({ kind, text, created }) {
  const match = kind === "attempt" ? ATTEMPT.exec(text) : null;
  if (match === null) return undefined;
  const [, number, state, seconds, engine, commit, reason] = match;
  const outcome = OUTCOMES[/** @type {keyof typeof OUTCOMES} */ (state)] ?? OUTCOMES.failed;
  return {
    time: created,
    text: `Attempt ${number} ran ${duration(Number(seconds))}: ${outcome.text}`,
    tone: outcome.tone,
    detail: reason ?? "",
    engine: engine ?? null,
    commit: commit === "none" ? null : commit ?? null,
  };
}

/**
 * @param {TaskView} task
 * @param {readonly Step[]} attempts
 * @returns {Step[]}
 */
function stepsOf(task, attempts) {
  const { times } = task;
  /** @type {Step[]} */
  const steps = [{ time: times.created, text: "Published", tone: "calm" }, ...attempts];
  const where = { engine: task.engine_id, commit: task.code_version };
  switch (task.state) {
    case 0:
      steps.push({ time: null, text: "Ready, waits for an engine", tone: "calm", isNow: true });
      break;
    case 1:
      steps.push({
        time: times.started,
        text: `Attempt ${task.attempts + 1} started`,
        tone: "busy",
        // The commit of a run is written at its end.
        engine: task.engine_id,
        isNow: true,
        ...(task.cancel_requested ? { detail: "asked to stop" } : {}),
      });
      break;
    case 2:
      steps.push({ time: times.scheduled, text: "Due", tone: "calm", isNow: true });
      break;
    case 10:
      if (times.started !== null) {
        const waited = Math.max(0, times.started - Math.max(times.created, times.scheduled ?? 0));
        steps.push({
          time: times.started,
          text: `Attempt ${task.attempts} started after ${duration(waited)} in line`,
          tone: "calm",
          ...where,
        });
      }
      steps.push({
        time: times.completed,
        text: `Completed after ${duration(task.run_seconds)}`,
        tone: "good",
      });
      break;
    default: {
      // The attempt's own line says it already, unless it was ended without one: stale, canceled, a dead engine.
      const last = attempts.at(-1);
      const isTold = last !== undefined && Math.abs((last.time ?? 0) - (times.completed ?? 0)) < 2;
      if (isTold) break;
      const didRun = times.started !== null;
      steps.push({
        time: times.completed,
        text: `${task.state === -1 ? "Failed" : "Canceled"}${
          didRun ? ` after ${duration(task.run_seconds)}` : ""
        }`,
        tone: task.state === -1 ? "bad" : "off",
        detail: task.reason ?? "",
        ...(didRun ? where : {}),
      });
    }
  }
  return steps;
}

/** @param {Step} step */
function stepElement({ time, text, tone, detail, engine, commit, isNow }) {
  return h(
    "li",
    { "data-tone": tone, "aria-current": isNow ? "step" : null },
    h(
      "p",
      {},
      text,
      isNow && time !== null && [" ", timeElement(time)],
    ),
    time !== null &&
      h("time", { datetime: new Date(time * 1000).toISOString(), title: fullTime(time) }, clockSeconds(time)),
    (engine || commit) && h(
      "p",
      { class: "where" },
      engine && ["engine ", h("code", { title: engine }, engine.slice(0, 8))],
      commit && [engine ? ", commit " : "commit ", h("code", { title: commit }, commit.slice(0, 8))],
    ),
    detail && h("p", { class: "detail" }, detail),
  );
}
