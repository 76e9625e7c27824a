/**
 * Where results are kept, and the documents that are made from them.
 *
 * @module
 */

import { join } from "node:path";
import { REPOSITORY } from "../support/tq.ts";
import { chart } from "./chart.ts";
import { pageSection, readmeSection } from "./report.ts";
import type { Results } from "./results.ts";

const FOLDER = join(REPOSITORY, "tests/bench/results");
const CHART = "docs/images/bench.svg";
/** Between these lines a document belongs to the benchmark. */
const BEGIN = "<!-- bench: written by deno task bench -->";
const END = "<!-- /bench -->";

/** The results behind README, chart and page. */
export const PUBLISHED = join(FOLDER, "full.json");

/** What the documents have to be, by path in the repository. */
export function documentsOf(results: Results): Map<string, string> {
  const read = (path: string) => Deno.readTextFileSync(join(REPOSITORY, path));
  return new Map([
    ["README.md", replaced("README.md", read("README.md"), readmeSection(results))],
    [
      "docs/performance.md",
      replaced("docs/performance.md", read("docs/performance.md"), pageSection(results)),
    ],
    [CHART, chart(results)],
  ]);
}

/**
 * Keeps results; a complete full run is what the documents show.
 *
 * @returns the path of the JSON
 */
export function keep(results: Results): string {
  const published = results.complete && results.scale === "full" && results.failures.length === 0;
  const path = published ? PUBLISHED : join(FOLDER, "last.json");
  write(path, JSON.stringify(results, null, 1) + "\n");
  if (published) writeDocuments(results);
  return path;
}

/** Writes README's section, the page's section and the chart. */
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

function replaced(path: string, text: string, section: string): string {
  const [begin, end] = [text.indexOf(BEGIN), text.indexOf(END)];
  if (begin === -1 || end < begin) throw new Error(`${path} has no lines ${BEGIN} and ${END}`);
  return `${text.slice(0, begin)}${BEGIN}\n\n${section}\n\n${text.slice(end)}`;
}
