/**
 * The chart: a few workloads as bars, in an SVG that is legible on a light and on a dark page.
 *
 * @module
 */

import { medianOf, type Results, shown } from "./results.ts";

const PANELS: readonly { workload: string; metric: string; title: string; unit: string }[] = [
  { workload: "publish-100", metric: "rate", title: "Published a second by 100 callers", unit: "" },
  { workload: "publish-batch", metric: "rate", title: "Published a second in batches of 1,000", unit: "" },
  { workload: "run-1", metric: "rate", title: "No-op tasks run a second by one engine", unit: "" },
  {
    workload: "latency-100",
    metric: "p50",
    title: "Publish to start at 100 a second, median (less is better)",
    unit: " ms",
  },
];

const WIDTH = 760;
const LABELS = 180;
const VALUES = 80;
const BAR = 18;
const GAP = 6;
const HEAD = 34;

/** Draws the chart. */
export function chart(results: Results): string {
  const parts: string[] = [];
  let y = 8;
  for (const { workload, metric, title, unit } of PANELS) {
    const bars = results.contestants
      .map(({ name, title }) => ({ name, title, value: medianOf(results, workload, name, metric) }))
      .filter(({ value }) => !Number.isNaN(value));
    if (bars.length === 0) continue;
    const most = Math.max(...bars.map(({ value }) => value));
    parts.push(`<text class="head" x="0" y="${y + 18}">${escape(title)}</text>`);
    y += HEAD;
    for (const { name, title, value } of bars) {
      const length = Math.max(1, (WIDTH - LABELS - VALUES) * value / most);
      const kind = name === "tq" ? "ours" : name === "limit" ? "limit" : "other";
      parts.push(
        `<text x="${LABELS - 8}" y="${y + 14}" text-anchor="end">${escape(title)}</text>`,
        `<rect class="${kind}" x="${LABELS}" y="${y}" width="${length.toFixed(1)}" height="${BAR}" rx="2" />`,
        `<text x="${(LABELS + length + 6).toFixed(1)}" y="${y + 14}">${shown(value)}${unit}</text>`,
      );
      y += BAR + GAP;
    }
    y += 12;
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y}" width="${WIDTH}" height="${y}" role="img">
<title>Speed of tq and its peers: ${escape(results.conditions["machine"] ?? "")}</title>
<style>
text { font: 13px system-ui, sans-serif; fill: #1f2328; }
.head { font-weight: 600; font-size: 14px; }
.ours { fill: #0b7a75; }
.limit { fill: #b8bec6; }
.other { fill: #7d8590; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .ours { fill: #2dd4bf; }
  .limit { fill: #4b535d; }
}
</style>
${parts.join("\n")}
</svg>
`;
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
