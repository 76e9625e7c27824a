/**
 * Numbers, times and states as people read them.
 *
 * @module
 */

import { h, setText } from "./dom.js";

const WHOLE = new Intl.NumberFormat("en");
const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const SECONDS = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});
const FULL = new Intl.DateTimeFormat(undefined, {
  dateStyle: "medium",
  timeStyle: "medium",
  hourCycle: "h23",
});

/** The record counts no further; what comes after is "more". */
export const COUNT_LIMIT = 10_000;

/** How far the record's clock is ahead of this browser's, in milliseconds. */
let ahead = 0;

/**
 * Learns what time it is by the record's clock, which all times are of.
 *
 * @param {number | undefined} seconds since the epoch
 */
export function tellTime(seconds) {
  if (seconds !== undefined) ahead = seconds * 1000 - Date.now();
}

/** The time by the record's clock, in seconds since the epoch. */
export function now() {
  return (Date.now() + ahead) / 1000;
}

/** @param {number} value */
export function number(value) {
  return WHOLE.format(value);
}

/**
 * A count that stops just above `COUNT_LIMIT`.
 *
 * @param {number} value
 */
export function count(value) {
  return value > COUNT_LIMIT ? `${number(COUNT_LIMIT)}+` : number(value);
}

/** @param {number} part @param {number} whole */
export function percent(part, whole) {
  if (whole === 0) return "0 %";
  const value = part / whole * 100;
  return `${value > 0 && value < 1 ? "<1" : Math.round(value)} %`;
}

/** @param {number} bytes */
export function memory(bytes) {
  return `${number(Math.round(bytes / 1024 / 1024))} MB`;
}

/**
 * A length of time: two figures at most, since more only hide which one matters.
 *
 * @param {number | null | undefined} seconds
 */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 0.0005) return "0 ms";
  if (seconds < 0.9995) return `${Math.max(1, Math.round(seconds * 1000))} ms`;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 99.5) return `${Math.round(seconds)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} min${whole % 60 === 0 ? "" : ` ${whole % 60} s`}`;
  const minutes = Math.round(seconds / 60);
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d${hours % 24 === 0 ? "" : ` ${hours % 24} h`}`;
}

/** One figure, for what moves on anyway. @param {number} seconds */
function coarse(seconds) {
  if (seconds < 100) return `${Math.floor(seconds)} s`;
  if (seconds < 5940) return `${Math.round(seconds / 60)} min`;
  return duration(seconds);
}

/**
 * @param {number} time seconds since the epoch
 * @param {number} [at]
 */
export function relative(time, at = now()) {
  const seconds = at - time;
  if (Math.abs(seconds) < 1) return "now";
  const text = coarse(Math.abs(seconds));
  return seconds > 0 ? `${text} ago` : `in ${text}`;
}

/** @param {number} time seconds since the epoch */
export function clock(time) {
  return CLOCK.format(time * 1000);
}

/** @param {number} time seconds since the epoch */
export function clockSeconds(time) {
  return SECONDS.format(time * 1000);
}

/** @param {number} time seconds since the epoch */
export function fullTime(time) {
  return FULL.format(time * 1000);
}

/**
 * A time that keeps itself right: "12 s ago", the whole of it as its title.
 *
 * @param {number} time seconds since the epoch
 * @param {"relative" | "since"} [how] `since` is how long it has been
 */
export function timeElement(time, how = "relative") {
  const element = h("time", { "data-how": how });
  setTime(element, time);
  return element;
}

/**
 * @param {HTMLTimeElement} element
 * @param {number} time seconds since the epoch
 */
export function setTime(element, time) {
  if (element.dataset.time !== String(time)) {
    element.dataset.time = String(time);
    element.dateTime = new Date(time * 1000).toISOString();
    element.title = fullTime(time);
  }
  const text = element.dataset.how === "since" ? coarse(Math.max(0, now() - time)) : relative(time);
  setText(element, text);
}

/** Sets all times on the page right; called every second. */
export function refreshTimes() {
  for (const element of document.querySelectorAll("time[data-time]")) {
    if (element instanceof HTMLTimeElement) setTime(element, Number(element.dataset.time));
  }
}

/** States in the order of a task's life, by the name that REST takes: what they are called, and how urgent they look. */
export const STATES = /** @type {const} */ ({
  scheduled: { number: 0, label: "Scheduled", tone: "calm" },
  retry: { number: 2, label: "Retry later", tone: "calm" },
  started: { number: 1, label: "Started", tone: "busy" },
  completed: { number: 10, label: "Completed", tone: "good" },
  failed: { number: -1, label: "Failed", tone: "bad" },
  canceled: { number: -2, label: "Canceled", tone: "off" },
});

/** @typedef {keyof typeof STATES} StateName */

/** @type {Map<number, { number: number, label: string, tone: string }>} */
const BY_NUMBER = new Map(Object.values(STATES).map((state) => [state.number, state]));

/** @param {number} state */
export function stateLabel(state) {
  return BY_NUMBER.get(state)?.label ?? String(state);
}

/** A state as it is shown: a mark and its name. @param {number} state */
export function stateElement(state) {
  const element = h("span", { class: "state" });
  setState(element, state);
  return element;
}

/** @param {HTMLElement} element @param {number} state */
export function setState(element, state) {
  const tone = BY_NUMBER.get(state)?.tone ?? "off";
  if (element.dataset.tone !== tone) element.dataset.tone = tone;
  setText(element, stateLabel(state));
}

/** @param {number} state */
export function isEnded(state) {
  return state === 10 || state === -1 || state === -2;
}
