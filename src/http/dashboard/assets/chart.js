/**
 * Small charts of the last hour: one value a minute, read with a pointer or the arrow keys.
 *
 * @module
 */

import { fill, h, setProps, setText, svg } from "./dom.js";
import { clock } from "./format.js";

/** Minutes in a chart. */
const WIDTH = 60;
const HEIGHT = 40;

/**
 * @typedef {object} Series
 * @property {string} name
 * @property {"bar" | "line" | "area"} kind bars of one chart stand on each other
 * @property {string} tone names a colour of the style sheet
 */

/**
 * @typedef {object} Shown
 * @property {string} figure the number that matters most
 * @property {string} unit
 * @property {string} note
 * @property {number} first when the first minute began, in seconds since the epoch
 * @property {number} known the first minute that is known
 * @property {readonly (readonly (number | null)[])[]} values of each series, by minute
 */

/**
 * Makes a chart.
 *
 * @param {object} options
 * @param {string} options.title
 * @param {readonly Series[]} options.series
 * @param {(value: number) => string} options.format
 * @param {string} options.empty what is said when there is nothing
 * @returns {{ element: HTMLElement, update(shown: Shown): void }}
 */
export function chart({ title, series, format, empty }) {
  const id = `chart-${title.toLowerCase()}`;
  const figure = h("strong");
  const unit = h("span");
  const note = h("p", { class: "note" });
  const top = h("span", { class: "top-label" });
  const drawing = svg("g");
  const cursor = svg("rect", { class: "cursor", y: 0, width: 1, height: HEIGHT, visibility: "hidden" });
  const plot = h(
    "div",
    {
      class: "plot",
      role: "slider",
      tabindex: 0,
      "aria-label": `${title}, minute by minute`,
      "aria-valuemin": 1,
      "aria-valuemax": WIDTH,
      "aria-valuenow": WIDTH,
      "aria-readonly": "true",
    },
    svg(
      "svg",
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" },
      drawing,
      cursor,
    ),
    top,
  );
  const element = h(
    "section",
    { class: "card chart", "aria-labelledby": id },
    h("h2", { id }, title),
    h("p", { class: "figure" }, figure, " ", unit),
    plot,
    note,
    series.length > 1 && h(
      "p",
      { class: "legend", "aria-hidden": "true" },
      series.map(({ name, tone }) => h("span", { class: `key tone-${tone}` }, name)),
    ),
  );

  /** @type {Shown | undefined} */
  let shown;
  /** The minute that is read, while one is. @type {number | undefined} */
  let at;

  const reading = () => {
    if (shown === undefined) return "";
    const { first, values } = shown;
    const minute = at ?? WIDTH - 1;
    const parts = series.map(({ name }, i) => {
      const value = values[i]?.[minute];
      return `${value === null || value === undefined ? "–" : format(value)} ${name}`;
    });
    return `${clock(first + minute * 60)}  ${parts.join(", ")}`;
  };
  const tell = () => {
    if (shown === undefined) return;
    setText(note, at === undefined ? shown.note : reading());
    setProps(plot, { "aria-valuenow": (at ?? WIDTH - 1) + 1, "aria-valuetext": reading() });
    setProps(cursor, { x: at ?? 0, visibility: at === undefined ? "hidden" : "visible" });
  };
  /** @param {number | undefined} minute */
  const read = (minute) => {
    at = minute === undefined ? undefined : Math.max(0, Math.min(WIDTH - 1, minute));
    tell();
  };

  plot.addEventListener("pointermove", (event) => {
    const { left, width } = plot.getBoundingClientRect();
    read(Math.floor((event.clientX - left) / width * WIDTH));
  });
  plot.addEventListener("pointerleave", () => read(undefined));
  plot.addEventListener("blur", () => read(undefined));
  plot.addEventListener("keydown", (event) => {
    const minute = at ?? WIDTH - 1;
    /** @type {Record<string, number | undefined>} */
    const to = {
      ArrowLeft: minute - 1,
      ArrowDown: minute - 1,
      ArrowRight: minute + 1,
      ArrowUp: minute + 1,
      PageDown: minute - 10,
      PageUp: minute + 10,
      Home: 0,
      End: WIDTH - 1,
      Escape: undefined,
    };
    if (!(event.key in to)) return;
    event.preventDefault();
    read(to[event.key]);
  });

  return {
    element,
    update(next) {
      shown = next;
      setText(figure, next.figure);
      setText(unit, next.unit);
      const most = highest(series, next.values);
      setText(top, most === 0 ? "" : format(most));
      fill(drawing, ...draw(series, next, most));
      element.dataset.empty = String(most === 0);
      tell();
      if (most === 0 && at === undefined) {
        setText(note, next.known >= WIDTH ? "reading the last hour" : empty);
      }
    },
  };
}

/**
 * The highest point: bars stand on each other.
 *
 * @param {readonly Series[]} series
 * @param {Shown["values"]} values
 */
function highest(series, values) {
  let most = 0;
  for (let minute = 0; minute < WIDTH; minute++) {
    let stack = 0;
    series.forEach(({ kind }, i) => {
      const value = values[i]?.[minute] ?? 0;
      if (kind === "bar") stack += value;
      most = Math.max(most, value, stack);
    });
  }
  return most;
}

/**
 * @param {readonly Series[]} series
 * @param {Shown} shown
 * @param {number} most
 */
function draw(series, { values, known }, most) {
  const scale = most === 0 ? 0 : (HEIGHT - 2) / most;
  /** @type {SVGElement[]} */
  const shapes = [];
  if (known > 0) shapes.push(svg("rect", { class: "unknown", x: 0, y: 0, width: known, height: HEIGHT }));
  const stacks = new Array(WIDTH).fill(0);
  series.forEach(({ kind, tone }, i) => {
    const own = values[i] ?? [];
    if (kind === "bar") {
      let path = "";
      own.forEach((value, minute) => {
        if (!value) return;
        // What is there is seen, however small.
        const height = Math.max(value * scale, 1);
        const y = HEIGHT - stacks[minute] - height;
        stacks[minute] += height;
        path += `M${minute + 0.1} ${y.toFixed(2)}h0.8v${height.toFixed(2)}h-0.8z`;
      });
      shapes.push(svg("path", { class: `bar tone-${tone}`, d: path }));
      return;
    }
    const { line, area } = linePaths(own, scale);
    if (kind === "area") shapes.push(svg("path", { class: `area tone-${tone}`, d: area }));
    shapes.push(svg("path", { class: `line tone-${tone}`, d: line }));
  });
  return shapes;
}

/**
 * A line with gaps where nothing is known; a lone point is a short stroke.
 *
 * @param {readonly (number | null)[]} values
 * @param {number} scale
 */
function linePaths(values, scale) {
  let [line, area] = ["", ""];
  /** @type {[number, number][]} */
  let run = [];
  const end = () => {
    const [start, last] = [run[0], run.at(-1)];
    if (start !== undefined && last !== undefined) {
      const points = run.length === 1 ? [[start[0] - 0.4, start[1]], [start[0] + 0.4, start[1]]] : run;
      const text = points.map(([x, y]) => `${x} ${y?.toFixed(2)}`).join("L");
      line += `M${text}`;
      area += `M${text}L${points.at(-1)?.[0]} ${HEIGHT}L${points[0]?.[0]} ${HEIGHT}z`;
    }
    run = [];
  };
  values.forEach((value, minute) => {
    if (value === null) end();
    else run.push([minute + 0.5, HEIGHT - 1 - value * scale]);
  });
  end();
  return { line, area };
}
