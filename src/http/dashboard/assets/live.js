/**
 * The live connection: one stream of events for the page that is open. It rests while nobody sees the page.
 *
 * @module
 */

import { request } from "./api.js";
import { setText } from "./dom.js";

/** Milliseconds until a refused stream is asked for again; twice as long each time. */
const FIRST_PAUSE = 2_000;
const LONGEST_PAUSE = 30_000;

const TEXTS = { on: "Live", off: "Connecting", lost: "Reconnecting", paused: "Paused" };

/** @param {keyof typeof TEXTS} state */
function tell(state) {
  const element = document.getElementById("live");
  if (element === null || element.dataset.state === state) return;
  element.dataset.state = state;
  setText(element, TEXTS[state]);
}

/**
 * Watches something until the returned function is called.
 *
 * @param {string} query what: `topic=overview`
 * @param {{ seen(value: any): void, trouble(message: string | undefined): void }} heard `trouble` tells why nothing is
 *   seen, and undefined when it is over
 * @returns {() => void}
 */
export function watch(query, heard) {
  /** @type {EventSource | undefined} */
  let source;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  let pause = FIRST_PAUSE;
  /** How often it was closed: what began before that is over. */
  let closed = 0;

  const open = () => {
    if (document.hidden) return tell("paused");
    tell("off");
    source = new EventSource(`/dashboard/events?${query}`);
    source.addEventListener("open", () => {
      tell("on");
      pause = FIRST_PAUSE;
    });
    source.addEventListener("snapshot", (event) => {
      heard.trouble(undefined);
      heard.seen(JSON.parse(event.data));
    });
    source.addEventListener("trouble", (event) => heard.trouble(JSON.parse(event.data).error));
    source.addEventListener("error", () => {
      tell("lost");
      // Else the browser comes again by itself.
      if (source?.readyState !== EventSource.CLOSED) return;
      close();
      const before = closed;
      timer = setTimeout(async () => {
        // Tells a session that has ended from a server that is too busy.
        await request("/dashboard/session").catch(() => {});
        if (closed === before) open();
      }, pause);
      pause = Math.min(pause * 2, LONGEST_PAUSE);
    });
  };
  const close = () => {
    closed++;
    clearTimeout(timer);
    source?.close();
    source = undefined;
  };
  const turn = () => {
    close();
    open();
  };
  document.addEventListener("visibilitychange", turn);
  open();
  return () => {
    document.removeEventListener("visibilitychange", turn);
    close();
  };
}
