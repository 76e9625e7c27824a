/**
 * A process of a contestant: what it is told, what it says, and what it uses of the machine.
 *
 * @module
 */

import { childrenOf, livingOf, type Process, signal } from "../support/processes.ts";

/** Kept of what a process prints, for the message when it dies. */
const TAIL = 3000;
/** Kernel ticks a second, in which /proc counts CPU time. */
const TICKS = 100;

/** A child process that speaks in marked lines of JSON. */
export class BenchProcess implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #name: string;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #read: Promise<unknown>;
  readonly #answers: unknown[] = [];
  #waiting: (() => void)[] = [];
  #tail = "";
  #ended: number | undefined;

  constructor(name: string, command: readonly string[], environment: Readonly<Record<string, string>>) {
    const [program = "", ...args] = command;
    this.#name = name;
    this.#child = new Deno.Command(program, {
      args,
      env: { ...environment },
      clearEnv: true,
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#input = this.#child.stdin.getWriter();
    const ended = this.#child.status.then(({ code }) => {
      this.#ended = code;
      this.#wake();
    });
    this.#read = Promise.all([this.#collect(this.#child.stdout), this.#collect(this.#child.stderr), ended]);
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Sends one line of JSON and waits for the answer. */
  async ask<T>(order: unknown): Promise<T> {
    await this.#input.write(new TextEncoder().encode(`${JSON.stringify(order)}\n`));
    return await this.answer();
  }

  /** The next marked line. */
  async answer<T>(): Promise<T> {
    await this.#until(() => this.#answers.length > 0);
    return this.#answers.shift() as T;
  }

  /** Waits until it has printed what matches, so many times. */
  async printed(pattern: RegExp, count: number): Promise<void> {
    const all = new RegExp(pattern, "g");
    await this.#until(() => [...this.#tail.matchAll(all)].length >= count);
  }

  /** Waits for its end. */
  async end(): Promise<void> {
    await this.#input.close().catch(() => {});
    await this.#read;
    if (this.#ended !== 0) throw this.#died();
  }

  /** Asks it to stop, and waits for its end. */
  async stop(): Promise<void> {
    signal(this.pid, "SIGTERM");
    await this.#read;
    await this.#input.abort().catch(() => {});
    if (this.#ended !== 0) throw this.#died();
  }

  /** Its children. */
  async family(): Promise<Process[]> {
    return await childrenOf(this.pid);
  }

  /** Ends it and its children at once. */
  async [Symbol.asyncDispose](): Promise<void> {
    const children = await childrenOf(this.pid);
    signal(this.pid, "SIGKILL");
    for (const { pid } of await livingOf(children)) signal(pid, "SIGKILL");
    await this.#read;
    await this.#input.abort().catch(() => {});
  }

  async #until(is: () => boolean): Promise<void> {
    while (!is()) {
      if (this.#ended !== undefined) throw this.#died();
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  #died(): Error {
    return new Error(`${this.#name} ended with ${this.#ended}; it said:\n${this.#tail.trim()}`);
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  async #collect(stream: ReadableStream<Uint8Array>): Promise<void> {
    let rest = "";
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) {
        if (line.startsWith("@ ")) this.#answers.push(JSON.parse(line.slice(2)));
        else this.#tail = `${this.#tail}${line}\n`.slice(-TAIL);
      }
      this.#wake();
    }
    this.#tail += rest;
  }
}

/** CPU seconds that a process has used, children that ended not counted; undefined where there is no /proc. */
export function cpuSeconds(pid: number): number | undefined {
  const stat = readProc(pid, "stat");
  if (stat === undefined) return undefined;
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS;
}

/** CPU seconds that all cores have spent since the start of the machine, busy and idle; NaN where there is no /proc. */
export function cpuOfMachine(): { readonly machine: number; readonly idle: number } {
  const fields = readFile("/proc/stat")?.split("\n", 1)[0]?.trim().split(/\s+/).slice(1).map(Number);
  if (fields === undefined) return { machine: NaN, idle: NaN };
  // user, nice, system, idle, iowait, irq, softirq, steal: proc(5). Guests are counted as users.
  const [user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0, steal = 0] = fields;
  return { machine: (user + nice + system + irq + softirq + steal) / TICKS, idle: (idle + iowait) / TICKS };
}

/** CPU seconds of these processes and their children; undefined where there is no /proc. */
export async function cpuOfFamilies(processes: readonly BenchProcess[]): Promise<number | undefined> {
  return sum((await pidsOfFamilies(processes)).map(cpuSeconds));
}

/**
 * The memory of these processes and their children now, in MB: the largest whole, and of the others what they share
 * with nobody. Not the sum of their Pss: what shares its program with the benchmark or a publisher would weigh less.
 * undefined where there is no /proc.
 */
export async function memoryOfFamilies(processes: readonly BenchProcess[]): Promise<number | undefined> {
  const all = (await pidsOfFamilies(processes))
    .map((pid) => ({ pid, size: memory(pid) }))
    .sort((a, b) => (b.size ?? 0) - (a.size ?? 0));
  return sum(all.map(({ pid, size }, i) => i === 0 ? size : privateMemory(pid)));
}

/** These processes and their children. */
export async function pidsOfFamilies(processes: readonly BenchProcess[]): Promise<number[]> {
  const families = await Promise.all(processes.map(async (one) => [one, ...await one.family()]));
  return families.flat().map(({ pid }) => pid);
}

function sum(values: readonly (number | undefined)[]): number | undefined {
  return values.includes(undefined)
    ? undefined
    : values.reduce<number>((sum, value) => sum + (value ?? 0), 0);
}

/** The most memory that a process has held at once, in MB (10⁶ bytes); undefined where there is no /proc. */
export function peakMemory(pid: number): number | undefined {
  return kilobytes(pid, "status", "VmHWM");
}

/** The memory that a process holds now, in MB. */
export function memory(pid: number): number | undefined {
  return kilobytes(pid, "status", "VmRSS");
}

function privateMemory(pid: number): number | undefined {
  return sum(["Private_Clean", "Private_Dirty"].map((name) => kilobytes(pid, "smaps_rollup", name)));
}

/** A field that /proc gives in kB, in MB. */
function kilobytes(pid: number, file: string, name: string): number | undefined {
  const found = new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(readProc(pid, file) ?? "")?.[1];
  return found === undefined ? undefined : Number(found) * 1024 / 1e6;
}

function readProc(pid: number, file: string): string | undefined {
  return readFile(`/proc/${pid}/${file}`);
}

function readFile(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return undefined;
  }
}
