/**
 * Where the CPU time of tq goes: `deno run -A tests/bench/profile.ts engine|publisher|batches|garbage [tasks]`. Runs an
 * engine or a publisher inside this process under V8's sampling profiler, and prints functions by their own time per
 * task; or, with `garbage`, by the bytes that they made per task in an engine and that got into V8's old generation.
 *
 * @module
 */

import { Session } from "node:inspector/promises";
import { join } from "node:path";
import { loadSettings } from "../../src/config.ts";
import { Engine } from "../../src/engine/engine.ts";
import { CONTESTANTS } from "./contestants.ts";
import { furnish } from "./measure.ts";
import { cpuSeconds } from "./process.ts";
import { publish } from "./role/publishing.ts";
import { Servers } from "./servers.ts";
import { publisher } from "./tq/driver.ts";
import { Trial } from "./trial.ts";

/** Microseconds between two samples. */
const INTERVAL = 200;
/** Bytes between two samples of what is allocated. */
const EVERY_BYTES = 4096;
/** Functions that are printed. */
const SHOWN = 45;
const WARM = 10_000;

/** A function, as V8 names it. */
interface Frame {
  readonly functionName: string;
  readonly url: string;
  readonly lineNumber: number;
}

/** A profile, as V8 gives it. */
interface Profile {
  readonly nodes: readonly { readonly id: number; readonly callFrame: Frame }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

/** What was allocated in a function, and in those that it called. */
interface HeapNode {
  readonly callFrame: Frame;
  readonly selfSize: number;
  readonly children: readonly HeapNode[];
}

/** Profiles `act`, and prints what it takes for each of the tasks that `count` says. */
type Sampler = (count: () => number, act: () => Promise<unknown>) => Promise<void>;

/** Profiles what is asked for, and prints it. */
export async function profile(what: string, tasks: number): Promise<void> {
  await using servers = await Servers.find({});
  const { stalls: [stall] } = await furnish(CONTESTANTS.filter(({ name }) => name === "tq"), servers);
  if (stall === undefined) throw new Error("there is no tq");
  await using trial = await Trial.open(stall, servers);
  const folder = await Deno.makeTempDir({ prefix: "tq_profile_" });
  const where = { TQ_DATABASE_URL: servers.urlOf(trial.database), TQ_REDIS_URL: servers.redisUrl };
  try {
    if (what === "engine") await profileEngine(trial, folder, where, tasks, sampled);
    else if (what === "garbage") await profileEngine(trial, folder, where, tasks, survivors);
    else await profilePublisher(trial, what === "batches", tasks);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function profileEngine(
  trial: Trial,
  folder: string,
  where: Record<string, string>,
  tasks: number,
  sampler: Sampler,
): Promise<void> {
  await trial.load(WARM + tasks, "noop", 100);
  await trial.stopPublisher();
  await Deno.mkdir(join(folder, "handlers"));
  await Deno.mkdir(join(folder, "reports"));
  let ran = 0;
  (globalThis as { benchRan?: () => void }).benchRan = () => ran++;
  await Deno.writeTextFile(
    join(folder, "handlers/bench.ts"),
    "export function noop() { globalThis.benchRan(); }\n",
  );
  const settings = loadSettings({
    flags: { ...where, TQ_ROOT: folder, TQ_WORKERS: 50 },
    environment: {},
    folder,
  });
  const engine = new Engine(settings);
  await engine.start(join(folder, "var"));
  while (ran < WARM) await new Promise((resolve) => setTimeout(resolve, 1));
  const start = ran;
  await sampler(() => ran - start, async () => {
    while (ran < WARM + tasks) await new Promise((resolve) => setTimeout(resolve, 5));
  });
  await engine.drain(1);
}

async function profilePublisher(trial: Trial, inBatches: boolean, tasks: number): Promise<void> {
  const config = { postgres: trial.servers.urlOf(trial.database), redis: trial.servers.redisUrl };
  const driver = await publisher({
    ...config,
    ...{ variant: "redis", reports: "", workers: 1, handler: "noop", callers: 100, connections: 3 },
  });
  const order = { handler: "noop", bytes: 100 } as const;
  const act = (count: number) =>
    publish(
      driver,
      inBatches
        ? { ...order, how: "load", size: 1000, count }
        : { ...order, how: "count", callers: 100, count },
    );
  await act(WARM);
  await sampled(() => tasks, () => act(tasks));
}

const sampled: Sampler = async (count, act) => {
  const session = new Session();
  session.connect();
  await session.post("Profiler.enable");
  await session.post("Profiler.setSamplingInterval", { interval: INTERVAL });
  await session.post("Profiler.start");
  const [cpu, time] = [cpuSeconds(Deno.pid) ?? NaN, performance.now()];
  await act();
  const [seconds, used] = [(performance.now() - time) / 1000, (cpuSeconds(Deno.pid) ?? NaN) - cpu];
  const { profile } = await session.post("Profiler.stop") as unknown as { profile: Profile };
  print(profile, count());
  console.log(
    `${count()} tasks in ${seconds.toFixed(2)} s: ${(count() / seconds).toFixed(0)}/s, ` +
      `${(1e6 * used / count()).toFixed(1)} µs of CPU a task in this process`,
  );
};

/** What only a collection of the whole heap frees: see `HeldTable`. */
const survivors: Sampler = async (count, act) => {
  const session = new Session();
  session.connect();
  await session.post("HeapProfiler.enable");
  // The types of Node do not know the second one.
  const options: { samplingInterval?: number } & Record<string, unknown> = {
    samplingInterval: EVERY_BYTES,
    includeObjectsCollectedByMajorGC: true,
  };
  await session.post("HeapProfiler.startSampling", options);
  await act();
  const { profile: { head } } = await session.post("HeapProfiler.stopSampling") as unknown as {
    profile: { head: HeapNode };
  };
  const bytes: [Frame, number][] = [];
  const walk = ({ callFrame, selfSize, children }: HeapNode) => {
    bytes.push([callFrame, selfSize]);
    children.forEach(walk);
  };
  walk(head);
  printTop(bytes, count(), "B");
  const total = bytes.reduce((sum, [, size]) => sum + size, 0);
  console.log(`${count()} tasks: ${(total / count()).toFixed(0)} bytes a task got into the old generation`);
};

function print({ nodes, samples, timeDeltas }: Profile, tasks: number): void {
  const frames = new Map(nodes.map(({ id, callFrame }) => [id, callFrame]));
  const times = samples.map((id, i) => [frames.get(id) as Frame, timeDeltas[i] ?? 0] as const);
  printTop(times, tasks, "µs");
}

/** Prints functions by the sum of their figures for each task. */
function printTop(figures: readonly (readonly [Frame, number])[], tasks: number, unit: string): void {
  const sums = new Map<string, number>();
  for (const [{ functionName, url, lineNumber }, figure] of figures) {
    const file = url.replace(/^.*\/(?=(?:src|tests|npm|ext:|node:)\b)/, "").split("/").slice(-3).join("/");
    const name = `${functionName || "(anonymous)"} ${file === "" ? "" : `${file}:${lineNumber + 1}`}`;
    sums.set(name, (sums.get(name) ?? 0) + figure);
  }
  for (const [name, sum] of [...sums].sort((a, b) => b[1] - a[1]).slice(0, SHOWN)) {
    console.log(`${(sum / tasks).toFixed(2).padStart(7)} ${unit}  ${name}`);
  }
}

if (import.meta.main) {
  const [what = "engine", tasks = "50000"] = Deno.args;
  await profile(what, Number(tasks));
  Deno.exit();
}
