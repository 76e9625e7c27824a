/**
 * Links to lists and tasks: the state of a list is its address.
 *
 * @module
 */

import { h } from "./dom.js";

/**
 * The address of a list of tasks.
 *
 * @param {Record<string, string | number | null | undefined>} filter what is empty is left out
 */
export function listLink(filter) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(filter)) {
    if (value !== null && value !== undefined && value !== "") query.set(name, String(value));
  }
  const text = query.toString();
  return text === "" ? "/tasks" : `/tasks?${text}`;
}

/**
 * A handler's name, which leads to its tasks.
 *
 * @param {string} model
 * @param {string} fname
 * @param {string} [state]
 */
export function handlerLink(model, fname, state) {
  return h("a", { href: listLink({ state, model, fname }), class: "handler" }, ...handlerName(model, fname));
}

/**
 * A handler's name: what it is of, then, where it may be broken, what it does.
 *
 * @param {string} model
 * @param {string} fname
 */
export function handlerName(model, fname) {
  return [h("span", { class: "model" }, model), " ", h("span", {}, fname)];
}
