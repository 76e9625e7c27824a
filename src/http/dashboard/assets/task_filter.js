/**
 * The form above the list of tasks.
 *
 * @module
 */

import { request } from "./api.js";
import { fill, h } from "./dom.js";

/** Milliseconds without a key until a search begins. */
const TYPING = 300;

/**
 * Makes the form.
 *
 * @param {(changes: Record<string, string>, replace: boolean) => void} changed gets what changed, and whether it is a
 *   step in between, of somebody who types
 */
export function filterForm(changed) {
  const search = h("input", { type: "search", name: "search", placeholder: "Reason, handler or id" });
  const handler = h("input", { name: "handler", list: "handlers", placeholder: "app.Model" });
  const channel = h("input", { name: "channel", list: "channels", placeholder: "Any" });
  const since = h(
    "select",
    { name: "since" },
    [["", "Any time"], ["15m", "Last 15 minutes"], ["1h", "Last hour"], ["24h", "Last 24 hours"], [
      "7d",
      "Last 7 days",
    ]]
      .map(([value, text]) => h("option", { value: value ?? "" }, text)),
  );
  const handlers = h("datalist", { id: "handlers" });
  const channels = h("datalist", { id: "channels" });
  const clear = h("a", { href: "/tasks", class: "clear" }, "Clear");
  const element = h(
    "form",
    { class: "filters", role: "search", "aria-label": "Filter tasks" },
    h("label", { class: "wide" }, h("span", {}, "Search"), search),
    h("label", {}, h("span", {}, "Handler"), handler),
    h("label", {}, h("span", {}, "Channel"), channel),
    h("label", {}, h("span", {}, "Published"), since),
    clear,
    handlers,
    channels,
  );

  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  let isTyping = false;
  const tell = () => {
    clearTimeout(timer);
    const [model = "", fname = ""] = handler.value.trim().split(/[\s]+/);
    changed(
      { search: search.value.trim(), model, fname, channel: channel.value.trim(), since: since.value },
      isTyping,
    );
    isTyping = true;
  };
  search.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(tell, TYPING);
  });
  search.addEventListener("blur", () => isTyping = false);
  for (const field of [handler, channel, since]) {
    field.addEventListener("change", () => {
      isTyping = false;
      tell();
    });
  }
  element.addEventListener("submit", (event) => {
    event.preventDefault();
    tell();
  });

  // Names to choose from; without them any may still be typed.
  request("/dashboard/names").then((names) => {
    fill(handlers, .../** @type {string[]} */ (names.handlers).map((value) => h("option", { value })));
    fill(channels, .../** @type {string[]} */ (names.channels).map((value) => h("option", { value })));
  }, () => {});

  return {
    element,
    /** @param {Partial<Record<string, string>>} filter */
    show(filter) {
      const { model = "", fname = "" } = filter;
      // Not under the fingers of somebody who types.
      if (document.activeElement !== search) search.value = filter.search ?? "";
      handler.value = `${model} ${fname}`.trim();
      channel.value = filter.channel ?? "";
      since.value = filter.since ?? "";
      clear.hidden = !["search", "model", "fname", "channel", "since"].some((name) => filter[name]);
    },
  };
}
