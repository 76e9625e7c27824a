/**
 * Where the CPU time of tq goes: `deno run -A tests/bench/profile.ts engine|publisher|batches [tasks]`. Runs an engine
 * or a publisher inside this process under V8's sampling profiler, and prints functions by their own time per task.
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
/** Functions that are printed. */
const SHOWN = 45;
const WARM = 10_000;

/** A profile, as V8 gives it. */
interface Profile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

/** Profiles what is asked for, and prints it. */
export async function profile(what: string, tasks: number): Promise<void> {
  await using servers = await Servers.find({});
  const { stalls: [stall] } = await furnish(CONTESTANTS.filter(({ name }) => name === "tq"), servers);
  if (stall === undefined) throw new Error("there is no tq");
  await using trial = await Trial.open(stall, servers);
  const folder = await Deno.makeTempDir({ prefix: "tq_profile_" });
  const where = { TQ_DATABASE_URL: servers.urlOf(trial.database), TQ_REDIS_URL: servers.redisUrl };
  try {
    if (what === "engine") await profileEngine(trial, folder, where, tasks);
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
  await sampled(() => ran - start, async () => {
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

async function sampled(count: () => number, act: () => Promise<unknown>): Promise<void> {
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
}

function print({ nodes, samples, timeDeltas }: Profile, tasks: number): void {
  const names = new Map(nodes.map(({ id, callFrame: { functionName, url, lineNumber } }) => {
    const file = url.replace(/^.*\/(?=(?:src|tests|npm|ext:|node:)\b)/, "").split("/").slice(-3).join("/");
    return [id, `${functionName || "(anonymous)"} ${file === "" ? "" : `${file}:${lineNumber + 1}`}`];
  }));
  const times = new Map<string, number>();
  for (const [i, id] of samples.entries()) {
    const name = names.get(id) ?? "";
    times.set(name, (times.get(name) ?? 0) + (timeDeltas[i] ?? 0));
  }
  for (const [name, time] of [...times].sort((a, b) => b[1] - a[1]).slice(0, SHOWN)) {
    console.log(`${(time / tasks).toFixed(2).padStart(7)} µs  ${name}`);
  }
}

if (import.meta.main) {
  const [what = "engine", tasks = "50000"] = Deno.args;
  await profile(what, Number(tasks));
  Deno.exit();
}
