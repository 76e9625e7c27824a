/**
 * The tables of the overview: handlers that fail, channels, engines.
 *
 * @module
 */

import { request } from "./api.js";
import { h, setProps, setText } from "./dom.js";
import { count, memory, number, setTime, timeElement } from "./format.js";
import { handlerLink, listLink } from "./links.js";
import { ask, notice } from "./notices.js";
import { table } from "./table.js";

/** @typedef {import("../overview.ts").Overview} Overview */

/** Handlers that failed in the last hour, and why last. */
export function failingTable() {
  const rows = table({
    title: "Failing handlers",
    columns: [
      { head: "Handler" },
      { head: "Failed", number: true },
      { head: "Last", goes: true },
      { head: "Why" },
    ],
    keyOf: /** @param {Overview["failing"][number]} row */ (row) => `${row.model} ${row.fname}`,
    cells: (first) => {
      const [failed, at, why] = [h("span"), timeElement(0), h("a", { class: "cut" })];
      return {
        cells: [handlerLink(first.model, first.fname, "failed"), failed, at, why],
        update(row) {
          setText(failed, `${number(row.failed)} of ${number(row.ended)}`);
          setTime(at, row.at ?? 0);
          setProps(why, { href: row.id === null ? null : `/task/${row.id}` });
          setText(why, row.reason ?? "no reason given");
        },
      };
    },
    empty: "",
  });
  return {
    element: rows.element,
    /** @param {Overview} overview */
    show({ failing }) {
      rows.element.hidden = failing.length === 0;
      rows.show(failing);
    },
  };
}

/** Channels, with what waits in them and who takes it. */
export function channelTable() {
  const rows = table({
    title: "Channels",
    columns: [
      { head: "Channel" },
      { head: "Ready", number: true },
      { head: "Oldest", number: true },
      { head: "Running", number: true },
      { head: "Engines", number: true, goes: true },
    ],
    keyOf: /** @param {Overview["channels"][number]} row */ (row) => row.channel,
    cells: (first) => {
      const [ready, running] = [h("a"), h("a")];
      const [oldest, engines] = [timeElement(0, "since"), h("span")];
      setProps(ready, { href: listLink({ channel: first.channel, state: "scheduled", sort: "id" }) });
      setProps(running, { href: listLink({ channel: first.channel, state: "started" }) });
      const name = h("a", { href: listLink({ channel: first.channel }) }, first.channel);
      return {
        cells: [name, ready, oldest, running, engines],
        update(row) {
          setText(ready, row.ready === null ? "–" : count(row.ready));
          setProps(ready, { class: row.ready === 0 ? "zero" : null });
          oldest.hidden = row.oldest === null;
          if (row.oldest !== null) setTime(oldest, row.oldest);
          setText(running, number(row.running));
          setProps(running, { class: row.running === 0 ? "zero" : null });
          setText(engines, number(row.engines));
          setProps(engines, { class: row.engines === 0 && (row.ready ?? 0) > 0 ? "wrong" : null });
        },
      };
    },
    empty: "No channel: no engine is running, and nothing waits.",
  });
  return {
    element: rows.element,
    /** @param {Overview} overview */
    show: ({ channels }) => rows.show(channels),
  };
}

/**
 * Engines of all hosts.
 *
 * @param {boolean} mayManage whether it offers to replace them
 */
export function engineTable(mayManage) {
  const rows = table({
    title: "Engines",
    ...(mayManage
      ? { action: h("button", { type: "button", class: "quiet", onclick: replaceEngines }, "Replace all") }
      : {}),
    columns: [
      { head: "Engine" },
      { head: "State" },
      { head: "Commit" },
      { head: "Running", number: true },
      { head: "Memory", number: true },
      { head: "Up", number: true, goes: true },
    ],
    keyOf: /** @param {Overview["engines"][number]} row */ (row) => row.id ?? `pid ${row.pid}`,
    cells: (first) => {
      const name = h("span", { title: first.id ?? "" });
      const state = h("span", { class: "state" });
      const commit = h("code");
      const [running, used] = [h("span"), h("span")];
      const up = timeElement(0, "since");
      return {
        cells: [name, state, commit, running, used, up],
        update(row) {
          setText(name, row.host === null ? `process ${row.pid}` : `${row.host}:${row.pid}`);
          setProps(state, { "data-tone": ENGINE_TONES[row.state] });
          setText(state, row.state);
          setText(commit, row.commit?.slice(0, 8) ?? "–");
          setText(running, number(row.running));
          setText(used, row.memory === null ? "–" : memory(row.memory));
          up.hidden = row.started === null;
          if (row.started !== null) setTime(up, row.started);
        },
      };
    },
    empty: "No engine is running. Start one with tq start.",
  });
  return {
    element: rows.element,
    /** @param {Overview} overview */
    show: ({ engines }) => rows.show(engines),
  };
}

async function replaceEngines() {
  const question = "Replace the engines one by one? New ones take tasks before the old ones drain.";
  if (!await ask(question, "Replace")) return;
  try {
    await request("/rpc/taskqueue/restart", { method: "POST", body: {} });
    notice("The engines are being replaced");
  } catch (error) {
    notice(error instanceof Error ? error.message : String(error), "wrong");
  }
}

const ENGINE_TONES = { ready: "good", starting: "busy", draining: "calm", lost: "bad" };
