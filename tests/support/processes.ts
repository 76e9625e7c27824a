/**
 * What tests must know of the machine's processes: who is whose child, who is gone, and how to signal one.
 *
 * @module
 */

/** One process. `pid` and `started` together name it for ever: a pid alone is used again. */
export interface Process {
  readonly pid: number;
  readonly parent: number;
  /** When it started, in whatever unit the system tells. */
  readonly started: string;
  /** Dead, but not yet waited for by its parent. */
  readonly zombie: boolean;
  /** Halted by SIGSTOP. */
  readonly stopped: boolean;
}

/** Every process, by pid. */
export async function processTable(): Promise<Map<number, Process>> {
  const found = Deno.build.os === "linux" ? fromProc() : await fromPs();
  return new Map(found.map((process) => [process.pid, process]));
}

/** The children of `pid`, without those already dead. */
export async function childrenOf(pid: number): Promise<Process[]> {
  return [...(await processTable()).values()].filter((process) => process.parent === pid && !process.zombie);
}

/** Those of `processes` that still live. */
export async function livingOf(processes: readonly Process[]): Promise<Process[]> {
  const now = await processTable();
  return processes.filter(({ pid, started }) => {
    const same = now.get(pid);
    return same !== undefined && same.started === started && !same.zombie;
  });
}

/** The environment variable by which the runner knows the processes that descend from its run. */
export const MARK = "TQ_TEST_RUN_MARK";

/** Pids of the processes that inherited `name=value` in their environment. Linux only; elsewhere none. */
export function inheritorsOf(name: string, value: string): number[] {
  if (Deno.build.os !== "linux") return [];
  return pidsInProc().filter((pid) =>
    pid !== Deno.pid && readProc(pid, "environ")?.split("\0").includes(`${name}=${value}`) === true
  );
}

/** Sends a signal; false when nobody is there who may be sent one. A negative pid means a process group. */
export function signal(pid: number, name: Deno.Signal): boolean {
  try {
    Deno.kill(pid, name);
    return true;
  } catch (error) {
    // macOS refuses, where Linux says that nobody is there, when only zombies are left of a group.
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied) return false;
    throw error;
  }
}

// /proc and not ps on Linux: slim images have no ps.
function fromProc(): Process[] {
  return pidsInProc().flatMap((pid) => {
    const text = readProc(pid, "stat");
    if (text === undefined) return [];
    // The name in parentheses may hold spaces and parentheses: the fields are counted from the last one.
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    const [state = "", parent = ""] = fields;
    return {
      pid,
      parent: Number(parent),
      started: fields[19] ?? "",
      zombie: state === "Z" || state === "X",
      stopped: state === "T",
    };
  });
}

function pidsInProc(): number[] {
  return [...Deno.readDirSync("/proc")].map((entry) => Number(entry.name)).filter(Number.isInteger);
}

function readProc(pid: number, file: string): string | undefined {
  try {
    return Deno.readTextFileSync(`/proc/${pid}/${file}`);
  } catch {
    return undefined; // It ended meanwhile, or is not ours to look at.
  }
}

async function fromPs(): Promise<Process[]> {
  const { stdout } = await new Deno.Command("ps", { args: ["-axo", "pid=,ppid=,state=,lstart="] }).output();
  return new TextDecoder().decode(stdout).trim().split("\n").map((line) => {
    const [pid = "", parent = "", state = "", ...started] = line.trim().split(/\s+/);
    return {
      pid: Number(pid),
      parent: Number(parent),
      started: started.join(" "),
      zombie: state.startsWith("Z"),
      stopped: state.startsWith("T"),
    };
  });
}
