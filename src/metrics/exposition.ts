/**
 * Writes metrics in the text format of Prometheus, version 0.0.4.
 *
 * Written by hand, since prom-client, by merely being in the lock file, makes `deno compile` 2.9 fail
 * (denoland/deno#36746); and it would keep a second count of what engines have counted already.
 *
 * @module
 */

import type { Histogram } from "./histogram.ts";

/** The content type of what `writeFamilies` makes. */
export const CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** Names and values that tell a metric's samples apart. */
export type Labels = Readonly<Record<string, string>>;

/** One metric with all its samples. */
export type Family =
  & { readonly name: string; readonly help: string }
  & (
    | { readonly type: "counter" | "gauge"; readonly samples: Iterable<readonly [Labels, number]> }
    | { readonly type: "histogram"; readonly samples: Iterable<readonly [Labels, Histogram]> }
  );

/** A metric with one sample and no labels. */
export function single(type: "counter" | "gauge", name: string, help: string, value: number): Family {
  return { type, name, help, samples: [[{}, value]] };
}

/** The text of these metrics. Those without samples are left out. */
export function writeFamilies(families: Iterable<Family>): string {
  const lines: string[] = [];
  for (const family of families) {
    const { name, help, type } = family;
    const start = lines.length;
    if (family.type === "histogram") {
      for (const [labels, histogram] of family.samples) writeHistogram(lines, name, labels, histogram);
    } else {
      for (const [labels, value] of family.samples) lines.push(sample(name, labels, value));
    }
    if (lines.length > start) {
      lines.splice(start, 0, `# HELP ${name} ${escape(help)}`, `# TYPE ${name} ${type}`);
    }
  }
  return lines.join("\n") + "\n";
}

function writeHistogram(lines: string[], name: string, labels: Labels, histogram: Histogram): void {
  const [sum = 0, ...buckets] = histogram.report;
  let count = 0;
  for (const [i, own] of buckets.entries()) {
    count += own;
    lines.push(
      sample(`${name}_bucket`, { ...labels, le: numberText(histogram.bounds[i] ?? Infinity) }, count),
    );
  }
  lines.push(sample(`${name}_sum`, labels, sum), sample(`${name}_count`, labels, count));
}

function sample(name: string, labels: Labels, value: number): string {
  const pairs = Object.entries(labels).map(([label, text]) =>
    `${label}="${escape(text).replaceAll('"', '\\"')}"`
  );
  return `${name}${pairs.length === 0 ? "" : `{${pairs.join(",")}}`} ${numberText(value)}`;
}

function numberText(value: number): string {
  if (value === Infinity) return "+Inf";
  return value === -Infinity ? "-Inf" : String(value);
}

function escape(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}
