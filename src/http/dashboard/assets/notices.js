/**
 * Short notices of what was done, and questions before much is done.
 *
 * @module
 */

import { act } from "./api.js";
import { h } from "./dom.js";
import { number } from "./format.js";

/** Milliseconds that a notice stays. */
const STAY = 6_000;

/**
 * Shows a notice; one of something that went wrong stays until it is closed.
 *
 * @param {string} text
 * @param {"done" | "wrong"} [kind]
 */
export function notice(text, kind = "done") {
  const close = h("button", { type: "button", class: "quiet", "aria-label": "Close this notice" }, "×");
  const element = h("div", { class: "toast", "data-kind": kind }, h("p", {}, text), close);
  close.addEventListener("click", () => element.remove());
  document.getElementById("toasts")?.append(element);
  if (kind === "done") setTimeout(() => element.remove(), STAY);
}

/**
 * Asks; resolves to whether the answer was yes.
 *
 * @param {string} question
 * @param {string} yes what the button says
 * @returns {Promise<boolean>}
 */
export function ask(question, yes) {
  const dialog = h(
    "dialog",
    { "aria-labelledby": "question" },
    h(
      "form",
      { method: "dialog" },
      h("p", { id: "question" }, question),
      h(
        "div",
        { class: "buttons" },
        h("button", { type: "submit", value: "no" }, "No"),
        h("button", { type: "submit", value: "yes", class: "main" }, yes),
      ),
    ),
  );
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
  });
}

const WORDS = {
  cancel: { did: "canceled", will: "Cancel", one: "asked to stop, or canceled" },
  retry_now: { did: "made ready again", will: "Retry", one: "made ready again" },
};

/**
 * Acts on tasks, and says what became of it. Asks first when they are many.
 *
 * @param {readonly number[]} ids
 * @param {"cancel" | "retry_now"} action
 * @returns {Promise<boolean>} whether it was done
 */
export async function actAndTell(ids, action) {
  const words = WORDS[action];
  if (ids.length > 1 && !await ask(`${words.will} ${number(ids.length)} tasks?`, words.will)) return false;
  const { done, refused } = await act(ids, action);
  const [first] = done;
  if (done.length === 1) notice(`Task ${first} was ${words.one}`);
  else if (done.length > 1) notice(`${number(done.length)} tasks were ${words.did}`);
  const [wrong] = refused;
  if (wrong !== undefined) {
    const more = refused.length > 1 ? ` (and ${refused.length - 1} more)` : "";
    notice(`Task ${wrong.id}${more}: ${wrong.error}`, "wrong");
  }
  return done.length > 0;
}
