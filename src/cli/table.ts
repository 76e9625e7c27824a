/**
 * Tables that fit the terminal.
 *
 * @module
 */

import { oneLine, paint, width } from "./output.ts";

/** A cell; painted, if at all, once it is cut and padded. */
export type Cell = string | { readonly text: string; readonly paint: (text: string) => string };

/** A column. */
export interface Column {
  readonly head: string;
  /** Where space is short it makes do with so much. @default what its longest cell needs */
  readonly least?: number;
  /** Where space is shorter still it goes; the lowest number goes first. @default stays */
  readonly goes?: number;
}

/** Between two columns. */
const GAP = 2;
/** A column that must make room keeps this much. */
const NARROWEST = 8;

/** A column that is shown: its cells, padded to `size`. */
interface Shown extends Column {
  readonly index: number;
  /** What its longest cell needs. */
  readonly natural: number;
}

/** A table as wide as the terminal at most; through a pipe nothing is cut. Cells may hold any text. */
export async function table(
  columns: readonly Column[],
  rows: readonly (readonly Cell[])[],
  room: number = width(),
): Promise<string> {
  const { default: columnsOf } = await import("npm:string-width@9.0.0");
  const texts = rows.map((row) => row.map((cell) => oneLine(typeof cell === "string" ? cell : cell.text)));
  let shown: Shown[] = columns.map((column, index) => ({
    ...column,
    index,
    natural: Math.max(
      ...[column.head, ...texts.map((row) => row[index] ?? "")].map((text) => columnsOf(text)),
    ),
  }));
  while (needed(shown) > room) {
    const [first] = shown.filter((column) => column.goes !== undefined)
      .sort((a, b) => (a.goes ?? 0) - (b.goes ?? 0));
    if (first === undefined) break;
    shown = shown.filter((column) => column !== first);
  }
  const sizes = share(shown, room);
  const line = (cellOf: (index: number) => Cell | undefined, textOf: (index: number) => string) =>
    shown.map(({ index }, i) => {
      const size = sizes[i] ?? 0;
      const cell = cellOf(index);
      const text = cut(textOf(index), size, columnsOf);
      const painted = typeof cell === "object" && text !== "" ? cell.paint(text) : text;
      return painted + " ".repeat(i === shown.length - 1 ? 0 : size + GAP - columnsOf(text));
    }).join("").trimEnd();
  const heads = columns.map(({ head }) => ({ text: head, paint: paint.dim }));
  return [
    line((index) => heads[index], (index) => heads[index]?.text ?? ""),
    ...rows.map((row, n) => line((index) => row[index], (index) => texts[n]?.[index] ?? "")),
  ].join("\n");
}

/** What columns need when each makes do with its least. */
function needed(columns: readonly Shown[]): number {
  return columns.reduce((sum, column) => sum + leastOf(column), GAP * (columns.length - 1));
}

function leastOf({ natural, least = natural }: Shown): number {
  return Math.min(natural, least);
}

/** How wide each column is: at first its least, then what is left is dealt out from the left. */
function share(columns: readonly Shown[], room: number): number[] {
  let left = room - needed(columns);
  return columns.map((column) => {
    const size = leastOf(column);
    // Too narrow for all of them: who can make do with less gives the rest.
    const more = left < 0
      ? column.least === undefined ? 0 : Math.max(left, Math.min(0, NARROWEST - size))
      : Math.min(left, column.natural - size);
    left -= more;
    return size + more;
  });
}

/** Text cut to `size` columns; a character of two columns is not halved. */
function cut(text: string, size: number, columnsOf: (text: string) => number): string {
  if (columnsOf(text) <= size) return text;
  let short = "";
  let left = size - 1;
  for (const { segment } of new Intl.Segmenter().segment(text)) {
    left -= columnsOf(segment);
    if (left < 0) break;
    short += segment;
  }
  return short + "…";
}
