/**
 * Results for people: on a terminal, and as Markdown for README and docs/performance.md.
 *
 * @module
 */

import {
  type ContestantInfo,
  medianOf,
  type Results,
  shown,
  type Spread,
  spreadOf,
  type WorkloadInfo,
} from "./results.ts";
import { judge } from "./targets.ts";

/** Who measures: the ratio of the others is to it. */
const OURS = "tq";
/** README shows these, the page all. */
const README_ROWS: readonly [workload: string, metric: string][] = [
  ["publish-one", "rate"],
  ["publish-100", "rate"],
  ["publish-batch", "rate"],
  ["run-1", "rate"],
  ["run-2", "rate"],
  ["sleep", "share"],
  ["latency-100", "p50"],
  ["latency-100", "p99"],
  ["backlog-100000", "rate"],
  ["idle", "cpu"],
  ["run-1", "memory"],
];

/** Everything, as lines of text. */
export function textReport(results: Results): string {
  const lines = [conditionLines(results), ""];
  for (const workload of results.workloads) {
    for (const { name, title, unit, better } of workload.metrics) {
      const rows = measured(results, workload, name).map(({ contestant, spread }) => [
        `  ${contestant.title}`,
        `${shown(spread.median)}${unit}`,
        spread.rounds === 1 ? "" : `${shown(spread.min)} … ${shown(spread.max)}`,
        factor(medianOf(results, workload.name, OURS, name), spread.median, better, contestant),
      ]);
      if (rows.length > 0) lines.push(headOf(workload, title), ...aligned(rows), "");
    }
  }
  const judged = results.others ? [] : judge(results);
  const ends: Readonly<Record<string, readonly string[]>> = {
    "Targets, and what the limit would reach": aligned(
      judged.map((one) => [`  ${one.what}`, one.measured, one.bound, one.verdict, one.limit]),
    ),
    "Left out": (results.leftOut ?? []).map((one) => `  ${one}`),
    "Failed": results.failures.map((failure) => `  ${failure}`),
  };
  for (const [head, rows] of Object.entries(ends)) if (rows.length > 0) lines.push(head, ...rows, "");
  return lines.join("\n").trimEnd();
}

/** README's section: the main figures side by side. */
export function readmeSection(results: Results): string {
  const head = ["", ...results.contestants.map(({ title }) => title)];
  const rows = README_ROWS.flatMap(([workloadName, metricName]) => {
    const workload = results.workloads.find(({ name }) => name === workloadName);
    const metric = workload?.metrics.find(({ name }) => name === metricName);
    if (workload === undefined || metric === undefined) return [];
    const title = metricName === "memory" ? "memory of an engine at work" : workload.title;
    return [[
      metric.name === "rate"
        ? `${title}, a second`
        : metric.name === "memory"
        ? `${title}, MB`
        : `${title}, ${metric.title.split(" (")[0]}${metric.unit}`,
      ...results.contestants.map(({ name }) => shown(medianOf(results, workload.name, name, metric.name))),
    ]];
  });
  const rounds = Math.max(
    ...results.workloads.map(({ name }) => spreadOf(results, name, OURS, "rate")?.rounds ?? 0),
  );
  return [
    `![Speed of tq and its peers](docs/images/bench.svg)`,
    "",
    ...markdownTable([head, ...rows]),
    "",
    `Medians of up to ${rounds} rounds of one run on ${results.conditions["machine"]}; ${
      postgres(results)
    }, and all ` +
    "processes on the same machine. BullMQ keeps its tasks in Redis alone. How it was measured, the spread, and every " +
    "other workload: [docs/performance.md](docs/performance.md).",
  ].join("\n");
}

/** The page's section: conditions, set-ups, all figures with their spread, what was left out, targets. */
export function pageSection(results: Results): string {
  const lines = preamble(results);
  for (const workload of results.workloads) {
    const metrics = workload.metrics.filter(({ name }) => measured(results, workload, name).length > 0);
    if (metrics.length === 0) continue;
    const rows = results.contestants
      .filter(({ name }) =>
        metrics.some((metric) => spreadOf(results, workload.name, name, metric.name) !== undefined)
      )
      .map(({ name, title }) => [
        title,
        ...metrics.map((metric) => cell(spreadOf(results, workload.name, name, metric.name))),
      ]);
    const head = ["", ...metrics.map(({ title, unit }) => unit === "/s" ? title : `${title},${unit}`)];
    lines.push("", `### ${capital(workload.title)}`, "", ...markdownTable([head, ...rows]));
  }
  const leftOut = leftOutLines(results);
  if (leftOut.length > 0) lines.push("", "### Left out", ...leftOut);
  lines.push("", "### Targets", "");
  const judged = judge(results).map((
    { what, bound, measured, limit, verdict },
  ) => [what, bound, measured, verdict, limit]);
  lines.push(...markdownTable([["target", "bound", "measured", "", "the limit"], ...judged]));
  return lines.join("\n");
}

/** The page's section on the queues of other languages: all figures with their spread in one table. */
export function othersSection(results: Results): string {
  const rows = results.workloads.flatMap((workload) =>
    workload.metrics
      .filter(({ name }) => measured(results, workload, name).length > 0)
      .map((metric) => [
        metric.name === "rate"
          ? `${workload.title}, a second`
          : `${workload.title}: ${metric.title},${metric.unit}`,
        ...results.contestants.map(({ name }) => cell(spreadOf(results, workload.name, name, metric.name))),
      ])
  );
  return [
    ...preamble(results),
    "",
    ...markdownTable([["", ...results.contestants.map(({ title }) => title)], ...rows]),
    ...leftOutLines(results),
  ].join("\n");
}

/** What was not measured, as a list below something else. */
function leftOutLines({ leftOut = [] }: Results): string[] {
  return leftOut.length === 0 ? [] : ["", ...leftOut.map((one) => `- ${one}`)];
}

/** Postgres, with the settings that decide most. */
function postgres({ conditions }: Results): string {
  const settings = conditions["settings of Postgres"]?.split(", ") ?? [];
  const [fsync, autovacuum] = ["fsync", "autovacuum"].map((name) =>
    `${settings.includes(`${name} on`) ? "with" : "without"} ${name}`
  );
  return `${conditions["Postgres"]} ${fsync} and ${autovacuum}`;
}

/** Conditions and set-ups. */
function preamble(results: Results): string[] {
  return [
    ...markdownTable([["condition", ""], ...Object.entries(results.conditions)]),
    "",
    "Each contestant is set up as its own documentation recommends for throughput:",
    "",
    ...results.contestants.map(({ title, version, setup, page }) =>
      `- **${title}** ${version}: ${setup}${page === undefined ? "" : ` ([page](${page}))`}`
    ),
    "",
    "The median of all rounds, and in brackets the lowest and the highest.",
  ];
}

/** The contestants that have this metric. */
function measured(
  results: Results,
  workload: WorkloadInfo,
  metric: string,
): { contestant: ContestantInfo; spread: Spread }[] {
  return results.contestants.flatMap((contestant) => {
    const spread = spreadOf(results, workload.name, contestant.name, metric);
    return spread === undefined ? [] : [{ contestant, spread }];
  });
}

function conditionLines(results: Results): string {
  const { conditions, contestants, scale, minutes } = results;
  const rows = Object.entries({ ...conditions, "this run": `${scale}, ${minutes.toFixed(1)} minutes` });
  const set = contestants.map((
    { title, version, setup, page },
  ) => [`  ${title}`, version, `${setup}${page === undefined ? "" : `: ${page}`}`]);
  return [
    "Conditions",
    ...aligned(rows.map(([name, value]) => [`  ${name}`, value])),
    "",
    "Contestants",
    ...aligned(set),
  ]
    .join("\n");
}

function headOf(workload: WorkloadInfo, metric: string): string {
  return `${capital(workload.title)}: ${metric}`;
}

/** How many times as good we are. */
function factor(ours: number, theirs: number, better: "more" | "less", { name }: ContestantInfo): string {
  if (name === OURS || Number.isNaN(ours) || theirs === 0) return "";
  if (name === "limit") {
    return `${shown(100 * (better === "more" ? ours / theirs : theirs / ours))} % of it reached`;
  }
  const times = better === "more" ? ours / theirs : theirs / ours;
  return Number.isFinite(times) ? `tq ${shown(times)} ×` : "";
}

function cell(spread: Spread | undefined): string {
  if (spread === undefined) return "–";
  if (spread.rounds === 1) return shown(spread.median);
  return `${shown(spread.median)} (${shown(spread.min)} … ${shown(spread.max)})`;
}

function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = widthsOf(rows);
  return rows.map((row) => row.map((text, i) => text.padEnd(widths[i] ?? 0)).join("  ").trimEnd());
}

/** As `deno fmt` would write it. */
function markdownTable(rows: readonly (readonly string[])[]): string[] {
  const widths = widthsOf(rows).map((width) => Math.max(3, width));
  const line = (row: readonly string[]) =>
    `| ${widths.map((width, i) => (row[i] ?? "").padEnd(width)).join(" | ")} |`;
  const [head = [], ...body] = rows;
  return [line(head), `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`, ...body.map(line)];
}

function widthsOf(rows: readonly (readonly string[])[]): number[] {
  const columns = Math.max(...rows.map((row) => row.length));
  return Array.from(
    { length: columns },
    (_, i) => Math.max(...rows.map((row) => [...(row[i] ?? "")].length)),
  );
}

function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}
