/**
 * The charts of the overview: throughput, failures, latency and backlog of the last hour.
 *
 * @module
 */

import { chart } from "./chart.js";
import { h } from "./dom.js";
import { count, COUNT_LIMIT, duration, number, percent } from "./format.js";

/** @typedef {import("../overview.ts").Overview} Overview */

/** Makes the charts. */
export function hourCharts() {
  const throughput = chart({
    title: "Throughput",
    series: [
      { name: "completed", kind: "bar", tone: "accent" },
      { name: "failed", kind: "bar", tone: "bad" },
      { name: "canceled", kind: "bar", tone: "off" },
    ],
    format: number,
    empty: "Nothing ended in the last hour",
  });
  const failures = chart({
    title: "Failures",
    series: [{ name: "failed", kind: "bar", tone: "bad" }],
    format: number,
    empty: "Nothing failed in the last hour",
  });
  const latency = chart({
    title: "Latency",
    series: [
      { name: "p95 wait", kind: "line", tone: "accent" },
      { name: "p95 run", kind: "line", tone: "edge" },
    ],
    format: duration,
    empty: "Nothing ran in the last hour",
  });
  const backlog = chart({
    title: "Backlog",
    series: [{ name: "ready", kind: "area", tone: "accent" }],
    format: number,
    empty: "Nothing waited in the last hour",
  });
  const element = h(
    "div",
    { class: "charts" },
    ...[throughput, failures, latency, backlog].map((one) => one.element),
  );
  return {
    element,
    /** @param {Overview} overview */
    show({ now, minutes, wait, run, channels, later }) {
      const { first, known, completed, failed, canceled, waiting, waitP95, runP95 } = minutes;
      const [done, bad] = [sum(completed), sum(failed)];
      const ended = completed.map((value, i) => value + (failed[i] ?? 0) + (canceled[i] ?? 0));
      const rate = rateOf(ended, now);
      throughput.update({
        figure: rate.figure,
        unit: rate.unit,
        note: `${number(done + bad + sum(canceled))} ended in the last hour`,
        first,
        known,
        values: [completed, failed, canceled],
      });
      failures.update({
        figure: number(bad),
        unit: "in the last hour",
        note: `${percent(bad, done + bad)} of what ended`,
        first,
        known,
        values: [failed],
      });
      latency.update({
        figure: duration(wait.p95),
        unit: "p95 wait",
        note: `p50 wait ${duration(wait.p50)}, p95 run ${duration(run.p95)}`,
        first,
        known,
        values: [waitP95, runP95],
      });
      const ready = channels.reduce((total, one) => total + (one.ready ?? 0), 0);
      const isMore = channels.some((one) => one.ready === null || one.ready > COUNT_LIMIT);
      const running = channels.reduce((total, one) => total + one.running, 0);
      backlog.update({
        figure: `${number(ready)}${isMore ? "+" : ""}`,
        unit: "ready",
        note: `${number(running)} running, ${count(later)} to run later`,
        first,
        known,
        values: [waiting],
      });
    },
  };
}

/** @param {readonly number[]} values */
function sum(values) {
  return values.reduce((total, value) => total + value, 0);
}

/**
 * What ends a minute, or a second when that is much: over the last five minutes and what has passed of this one.
 *
 * @param {readonly number[]} ended
 * @param {number} now seconds since the epoch
 */
function rateOf(ended, now) {
  const minute = sum(ended.slice(-6)) / (5 + now % 60 / 60);
  if (minute >= 6000) return { figure: number(Math.round(minute / 60)), unit: "a second" };
  const text = minute > 0 && minute < 10 ? minute.toFixed(1) : number(Math.round(minute));
  return { figure: text, unit: "a minute" };
}
