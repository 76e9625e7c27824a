/**
 * The order of things: every contestant with every workload, round by round, and what came of it.
 *
 * @module
 */

import { join } from "node:path";
import { REPOSITORY } from "../support/tq.ts";
import { type Conditions, readConditions } from "./conditions.ts";
import { type Contestant, OTHERS } from "./contestants.ts";
import { findNode, installPeer, peerVersion } from "./install.ts";
import type { Options } from "./options.ts";
import { type Results, shown } from "./results.ts";
import type { Servers } from "./servers.ts";
import { type Field, findSystem, type Found, whyAbsent } from "./system.ts";
import { type Stall, Trial } from "./trial.ts";
import { FULL, LeftOut, QUICK, type Scale, type Workload } from "./workload.ts";
import { WORKLOADS } from "./workloads/mod.ts";

/** Speaks the protocol of publishers and workers on Deno and on Node. */
const ROLE = join(REPOSITORY, "tests/bench/role/main.ts");

/** A round that would end later than this is left out, milliseconds: a run has less than 40 minutes on slow machines too. */
const LONGEST = 38 * 60_000;

/** Measures everything that the options ask for. */
export async function measure(
  options: Options,
  { present, absent }: Field,
  servers: Servers,
  stop: AbortSignal,
): Promise<Results> {
  const started = performance.now();
  const scale = options.quick ? QUICK : FULL;
  const table: Partial<typeof OTHERS> = options.others ? OTHERS : {};
  const names = options.only ?? table.workloads;
  const workloads = WORKLOADS.filter(({ name }) => names?.includes(name) ?? true)
    .filter((workload) => workload.isIn?.(scale) ?? true);
  const { stalls, runtimes } = await furnish(present, servers);
  const conditions = await readConditions(servers, runtimes);
  const values: Record<string, Record<string, Record<string, number[]>>> = {};
  const failures: string[] = [];
  const leftOut = new Set(absent.map(whyAbsent));
  const rounds = options.rounds ?? Math.min(scale.rounds, table.rounds ?? Infinity);
  const measureOne = async (workload: Workload, stall: Stall, round: string) => {
    if (stop.aborted) return;
    const what = `${round} ${workload.name} ${stall.contestant.name}`;
    try {
      const metrics = Object.entries(await trial(stall, servers, workload, scale));
      console.error(`${what}: ${metrics.map(([name, value]) => `${name} ${shown(value)}`).join(", ")}`);
      const kept = (values[workload.name] ??= {})[stall.contestant.name] ??= {};
      for (const [name, value] of metrics) (kept[name] ??= []).push(value);
    } catch (error) {
      if (stop.aborted) return;
      if (error instanceof LeftOut) {
        console.error(`${what}: left out: ${error.message}`);
        leftOut.add(`${stall.contestant.title}, ${workload.title}: ${error.message}`);
        return;
      }
      const message = error instanceof Error ? error.message : String(error);
      console.error(`${what}: failed: ${message}`);
      failures.push(`${what}: ${message.split("\n")[0]}`);
    }
  };
  let roundMs = 0;
  for (let round = 0; round < rounds && !stop.aborted; round++) {
    const roundStarted = performance.now();
    if (options.rounds === undefined && roundStarted - started + roundMs > LONGEST) {
      leftOut.add(`Round ${round + 1} and later: there was no time left for them`);
      break;
    }
    // What drifts over the hour (the disk fills, the machine warms) then falls on all alike.
    const order = round % 2 === 0 ? stalls : stalls.toReversed();
    for (const workload of workloads) {
      if (round >= (workload.rounds ?? Infinity)) continue;
      const suited = order.filter(({ contestant }) => suits(workload, contestant));
      for (const group of workload.together ? apart(suited) : suited.map((stall) => [stall])) {
        await Promise.all(group.map((stall) => measureOne(workload, stall, `${round + 1}/${rounds}`)));
      }
    }
    roundMs = performance.now() - roundStarted;
  }
  return {
    scale: scale.name,
    ...(options.others ? { others: true } : {}),
    complete: absent.length === 0 && options.only === undefined && options.contestants === undefined &&
      options.rounds === undefined,
    minutes: (performance.now() - started) / 60_000,
    cores: navigator.hardwareConcurrency,
    conditions,
    contestants: stalls.map(({ contestant, version }) => ({
      name: contestant.name,
      title: contestant.title,
      version,
      setup: contestant.setup,
      durable: contestant.durable,
      ...(contestant.page === undefined ? {} : { page: contestant.page }),
    })),
    workloads: workloads.map(({ name, title, metrics }) => ({ name, title, metrics })),
    values,
    failures,
    leftOut: [...leftOut],
  };
}

/** Installs peers and makes everybody's schema once: trials copy it. */
export async function furnish(
  contestants: readonly Contestant[],
  servers: Servers,
): Promise<{ stalls: Stall[]; runtimes: Conditions }> {
  const stalls: Stall[] = [];
  const runtimes: Record<string, string> = {};
  let node: ReturnType<typeof findNode> | undefined;
  for (const contestant of contestants) {
    const { runtime, ...found } = await installed(contestant, () => node ??= findNode());
    if (runtime !== undefined) runtimes[runtime.title] = runtime.version;
    const stall: Stall = { contestant, template: "", ...found };
    await Trial.prepare(stall, servers);
    stalls.push(stall);
  }
  return { stalls, runtimes };
}

async function installed(contestant: Contestant, theNode: typeof findNode): Promise<Found> {
  const { peer, system, driver = "" } = contestant;
  if (peer === undefined) {
    const command = [Deno.execPath(), "run", "-A", "--quiet", "--no-check", ROLE];
    return { driver, command, version: "of this commit" };
  }
  if (system !== undefined) {
    const found = await findSystem(peer, system);
    if (found === undefined) throw new Error(whyAbsent(contestant));
    return found;
  }
  const node = await theNode();
  return {
    driver: join(await installPeer(peer), "driver.mjs"),
    command: [node.path, ROLE],
    version: peerVersion(peer),
    runtime: { title: "Node", version: node.version },
  };
}

function suits({ name, suits }: Workload, contestant: Contestant): boolean {
  return (contestant.workloads?.includes(name) ?? true) && (suits?.(contestant) ?? true);
}

/** Groups in which nobody shares a Redis. */
function apart(stalls: readonly Stall[]): Stall[][] {
  const [first, ...others] = stalls.filter(({ contestant }) => contestant.usesRedis);
  const without = stalls.filter(({ contestant }) => !contestant.usesRedis);
  return [first === undefined ? without : [first, ...without], ...others.map((stall) => [stall])];
}

async function trial(stall: Stall, servers: Servers, workload: Workload, scale: Scale) {
  await using trial = await Trial.open(stall, servers);
  return await workload.run(trial, scale);
}
