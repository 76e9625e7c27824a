/**
 * Where results are kept, and the documents that are made from them.
 *
 * @module
 */

import { join } from "node:path";
import { REPOSITORY } from "../support/tq.ts";
import { chart } from "./chart.ts";
import { othersSection, pageSection, readmeSection } from "./report.ts";
import type { Results } from "./results.ts";

const FOLDER = join(REPOSITORY, "tests/bench/results");
const PAGE = "docs/performance.md";
const CHART = "docs/images/bench.svg";

/** Between two such lines a document belongs to the benchmark. */
interface Markers {
  readonly begin: string;
  readonly end: string;
}

const MAIN: Markers = { begin: "<!-- bench: written by deno task bench -->", end: "<!-- /bench -->" };
const OTHERS: Markers = {
  begin: "<!-- bench: written by deno task bench --others -->",
  end: "<!-- /bench --others -->",
};

/** The results behind README, chart and page. */
export const PUBLISHED = join(FOLDER, "full.json");
/** Those behind the page's section on the queues of other languages. */
export const PUBLISHED_OTHERS = join(FOLDER, "others.json");

/** What the documents have to be, by path in the repository. */
export function documentsOf(results: Results): Map<string, string> {
  if (results.others) return new Map([[PAGE, replaced(PAGE, OTHERS, othersSection(results))]]);
  return new Map([
    ["README.md", replaced("README.md", MAIN, readmeSection(results))],
    [PAGE, replaced(PAGE, MAIN, pageSection(results))],
    [CHART, chart(results)],
  ]);
}

/**
 * Keeps results; a complete full run of a table is what the documents show.
 *
 * @returns the path of the JSON
 */
export function keep(results: Results): string {
  const published = results.complete && results.scale === "full" && results.failures.length === 0;
  const path = !published ? join(FOLDER, "last.json") : results.others ? PUBLISHED_OTHERS : PUBLISHED;
  write(path, JSON.stringify(results, null, 1) + "\n");
  if (published) writeDocuments(results);
  return path;
}

/** Writes what belongs to these results: README's section, the page's section and the chart, or the page's other. */
export function writeDocuments(results: Results): void {
  const documents = documentsOf(results);
  for (const [path, text] of documents) write(join(REPOSITORY, path), text);
  // Prose is wrapped and tables are padded as everywhere else, and the gate looks at the chart too.
  const args = ["fmt", "--quiet", ...documents.keys()];
  new Deno.Command(Deno.execPath(), { args, cwd: REPOSITORY }).outputSync();
}

function write(path: string, text: string): void {
  Deno.mkdirSync(join(path, ".."), { recursive: true });
  Deno.writeTextFileSync(path, text);
}

function replaced(path: string, markers: Markers, section: string): string {
  const text = Deno.readTextFileSync(join(REPOSITORY, path));
  const [begin, end] = [text.indexOf(markers.begin), text.indexOf(markers.end)];
  if (begin === -1 || end < begin) {
    throw new Error(`${path} has no lines ${markers.begin} and ${markers.end}`);
  }
  return `${text.slice(0, begin)}${markers.begin}\n\n${section}\n\n${text.slice(end)}`;
}
