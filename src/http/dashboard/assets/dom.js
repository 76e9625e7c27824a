/**
 * Elements. Text only ever becomes a text node: nothing that a task says is read as HTML.
 *
 * @module
 */

/** @typedef {Node | string | number | null | undefined | false} Child */
/** @typedef {Record<string, string | number | boolean | null | undefined | EventListener>} Props */

const SVG = "http://www.w3.org/2000/svg";

/**
 * Makes an HTML element. `on…` properties are listeners; `true` is an attribute without a value; `false`, `null` and
 * `undefined` are none.
 *
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Props} [props]
 * @param {...(Child | Child[])} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  setProps(element, props);
  append(element, children);
  return element;
}

/**
 * Makes an SVG element.
 *
 * @template {keyof SVGElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Props} [props]
 * @param {...(Child | Child[])} children
 * @returns {SVGElementTagNameMap[Tag]}
 */
export function svg(tag, props = {}, ...children) {
  const element = /** @type {SVGElementTagNameMap[Tag]} */ (document.createElementNS(SVG, tag));
  setProps(element, props);
  append(element, children);
  return element;
}

/**
 * @param {Element} element
 * @param {Props} props
 */
export function setProps(element, props) {
  for (const [name, value] of Object.entries(props)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value === false || value === null || value === undefined) element.removeAttribute(name);
    else {
      const text = value === true ? "" : String(value);
      // A write that changes nothing would still wake whoever watches the document: screen readers do.
      if (element.getAttribute(name) !== text) element.setAttribute(name, text);
    }
  }
}

/**
 * Sets an element's text, if it is another one.
 *
 * @param {Node} node
 * @param {string | number} text
 */
export function setText(node, text) {
  if (node.textContent !== String(text)) node.textContent = String(text);
}

/**
 * Puts these children in the place of those that an element has.
 *
 * @param {Element} element
 * @param {...(Child | Child[])} children
 */
export function fill(element, ...children) {
  element.replaceChildren();
  append(element, children);
}

/**
 * @param {Element} element
 * @param {(Child | Child[])[]} children
 */
function append(element, children) {
  for (const child of children.flat()) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

/**
 * Keeps the children of an element in step with a list, by key: what stays is updated where it is, so that it keeps
 * its focus and its place.
 *
 * @template Item
 * @param {Element} parent
 * @param {(item: Item) => string | number} keyOf
 * @param {(item: Item) => { element: Element, update(item: Item): void }} make
 * @returns {{ show(items: readonly Item[]): void, get(key: string | number): Element | undefined }}
 */
export function keyed(parent, keyOf, make) {
  /** @type {Map<string | number, { element: Element, update(item: Item): void }>} */
  const rows = new Map();
  return {
    show(items) {
      const wanted = new Set(items.map(keyOf));
      for (const [key, { element }] of rows) {
        if (wanted.has(key)) continue;
        element.remove();
        rows.delete(key);
      }
      let place = parent.firstElementChild;
      for (const item of items) {
        const key = keyOf(item);
        let row = rows.get(key);
        if (row === undefined) rows.set(key, row = make(item));
        row.update(item);
        if (row.element === place) place = place.nextElementSibling;
        else parent.insertBefore(row.element, place);
      }
    },
    get: (key) => rows.get(key)?.element,
  };
}
