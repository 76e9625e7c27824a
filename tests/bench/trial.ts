/**
 * One trial: one contestant with one workload, in a database and in processes of its own.
 *
 * @module
 */

import { join } from "node:path";
import { freePort } from "../support/free_port.ts";
import { cleanEnvironment, REPOSITORY } from "../support/tq.ts";
import type { Contestant } from "./contestants.ts";
import { BenchProcess } from "./process.ts";
import { Reports } from "./reports.ts";
import type { DriverConfig } from "./role/driver.ts";
import type { HandlerName } from "./role/handlers.ts";
import type { Published, PublishOrder } from "./role/publishing.ts";
import { wall } from "./role/wall.ts";
import type { Servers } from "./servers.ts";

/** Rows of one statement while a backlog is made. */
const LOAD_BATCH = 1000;
/** Milliseconds between two looks at what workers report. */
const LOOK = 5;
/** Milliseconds for tasks to start to run, and for the last ones to be recorded. */
const PATIENCE = 60_000;
/** Milliseconds without a run after which workers count as stuck. */
const STUCK = 20_000;
/** Connections of a publisher: more of them do not publish faster, they only take the server's. */
const PUBLISHER_CONNECTIONS = 20;

/** Where a contestant is installed, with its prepared database. */
export interface Stall {
  readonly contestant: Contestant;
  /** The driver's path. */
  readonly driver: string;
  /** What starts its processes: a program that takes a role, the driver and how it is set up. */
  readonly command: readonly string[];
  readonly version: string;
  /** The database with its schema; empty until it is prepared. */
  template: string;
}

/** How workers are started. */
export interface WorkerOptions {
  readonly processes: number;
  /** Tasks at once in each. */
  readonly workers: number;
  readonly handler: HandlerName;
  /** More settings of `tq run`. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** How many tasks were run in what time. */
export interface Ran {
  readonly count: number;
  readonly ms: number;
}

/** The processes, the database and the reports of one trial. */
export class Trial implements AsyncDisposable {
  readonly contestant: Contestant;
  readonly servers: Servers;
  /** The name of its database. */
  readonly database: string;
  readonly #stall: Stall;
  readonly #folder: string;
  readonly #processes: BenchProcess[] = [];
  readonly #reports: Reports;
  #publisher: BenchProcess | undefined;

  private constructor(stall: Stall, servers: Servers, database: string, folder: string) {
    this.#stall = stall;
    this.contestant = stall.contestant;
    this.servers = servers;
    this.database = database;
    this.#folder = folder;
    this.#reports = new Reports(join(folder, "reports"));
  }

  /** Makes an empty database and an empty folder. */
  static async open(stall: Stall, servers: Servers): Promise<Trial> {
    if (stall.contestant.usesRedis) await servers.redis.flushdb();
    const database = await servers.create(stall.template);
    const folder = await Deno.makeTempDir({ prefix: "tq_bench_" });
    await Deno.mkdir(join(folder, "reports"));
    return new Trial(stall, servers, database, folder);
  }

  /** Starts the publisher, unless it runs already. */
  async startPublisher(callers: number): Promise<void> {
    this.#publisher ??= await this.#role("publisher", { callers, connections: PUBLISHER_CONNECTIONS });
  }

  /** Ends the publisher. */
  async stopPublisher(): Promise<void> {
    await this.#publisher?.[Symbol.asyncDispose]();
    this.#publisher = undefined;
  }

  /** Publishes. */
  async publish(order: PublishOrder): Promise<Published> {
    await this.startPublisher("callers" in order ? order.callers : order.how === "rate" ? 100 : 1);
    return await this.#publisher!.ask<Published>(order);
  }

  /** Makes a backlog, before there are workers, and has Postgres look at it once: nobody's plans are luck. */
  async load(count: number, handler: HandlerName, bytes: number): Promise<void> {
    if (this.contestant.name === "tq") await this.#startOnce(handler);
    await this.publish({ how: "load", size: LOAD_BATCH, count, handler, bytes });
    await this.servers.look(this.database).unsafe("analyze");
  }

  /** Starts workers; resolves when they take tasks. */
  async startWorkers(options: WorkerOptions): Promise<readonly BenchProcess[]> {
    const { processes } = options;
    if (this.contestant.name.startsWith("tq")) return [await this.#tqRun(options)];
    const connections = Math.floor((this.servers.connections - PUBLISHER_CONNECTIONS) / processes);
    return await Promise.all(
      Array.from({ length: processes }, () => this.#role("worker", { ...options, connections })),
    );
  }

  /**
   * Waits until the workers have run `warm` tasks, and measures the next `count` of them, or as many as run within
   * `ms`. Where these are all there are, the time ends when the last one is recorded as ended.
   */
  async measure(
    { warm, count, ms, all }: { warm: number; count: number; ms: number; all: boolean },
  ): Promise<Ran> {
    await this.ran(warm);
    const start = this.#reports.timeOf(warm);
    await until(
      () => this.#reports.count() >= warm + count || wall() - start > ms,
      ms + PATIENCE,
      "tasks to run",
    );
    const ran = Math.min(count, this.#reports.count() - warm);
    if (ran < count) return { count: ran, ms: this.#reports.lastTime() - start };
    if (!all) return { count, ms: this.#reports.timeOf(warm + count) - start };
    await this.recorded();
    return { count, ms: wall() - start };
  }

  /**
   * Waits until so many tasks have run, or until `ms` are over and one has.
   *
   * @returns how many have run: `count`, or fewer when there was no more time
   */
  async ran(count: number, ms = Infinity): Promise<number> {
    let last = 0;
    let since = wall();
    const end = since + ms;
    await until(
      () => {
        const now = this.#reports.count();
        if (now > last) [last, since] = [now, wall()];
        if (wall() - since > STUCK) {
          throw new Error(
            `${last} of ${count} tasks have run, and none for ${STUCK / 1000} s`,
          );
        }
        return now >= count || now > 0 && wall() > end;
      },
      Infinity,
      "tasks to run",
    );
    return Math.min(count, last);
  }

  /** Waits until all that was published is recorded as ended. */
  async recorded(): Promise<void> {
    const unfinished = () => this.contestant.unfinished(this.servers, this.database);
    await until(async () => await unfinished() === 0, PATIENCE, "all to be recorded");
  }

  /** Tasks that have run. */
  get count(): number {
    return this.#reports.count();
  }

  /** Milliseconds from publish to start. */
  latencies(): number[] {
    return this.#reports.latencies();
  }

  /** Ends everything and drops the database. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#processes.map((one) => one[Symbol.asyncDispose]()));
    this.#reports[Symbol.dispose]();
    await this.servers.drop(this.database);
    await Deno.remove(this.#folder, { recursive: true });
  }

  /** Prepares a contestant's schema in an empty database. */
  static async prepare(stall: Stall, servers: Servers): Promise<void> {
    stall.template = await servers.create();
    await using process = stall.contestant.peer === undefined
      ? new BenchProcess(
        "tq migrate",
        [Deno.execPath(), "run", "-A", "--quiet", join(REPOSITORY, "main.ts"), "migrate"],
        {
          ...cleanEnvironment(),
          TQ_ROOT: "/tmp",
          TQ_VAR: "/tmp",
          TQ_DATABASE_URL: servers.urlOf(stall.template),
        },
      )
      : roleProcess(stall, "prepare", {
        postgres: servers.urlOf(stall.template),
        variant: stall.contestant.variant,
      });
    await process.end();
  }

  async #role(role: string, more: Partial<DriverConfig>): Promise<BenchProcess> {
    const process = roleProcess(this.#stall, role, {
      postgres: this.servers.urlOf(this.database),
      redis: this.servers.redisUrl,
      variant: this.contestant.variant,
      reports: join(this.#folder, "reports"),
      ...more,
    });
    this.#processes.push(process);
    await process.answer();
    return process;
  }

  /**
   * Has tq run before, as in operation: where no leader has marked Redis, the first one takes it for emptied and pushes
   * all tasks again.
   */
  async #startOnce(handler: HandlerName): Promise<void> {
    const run = await this.#tqRun({ processes: 1, workers: 1, handler });
    const isMarked = async () => (await this.servers.redis.keys("*:epoch")).length > 0;
    await until(isMarked, PATIENCE, "Redis to be marked");
    this.#processes.splice(this.#processes.indexOf(run), 1);
    await run.stop();
  }

  /** `tq run`, as a user starts it, in a project whose only handlers are the benchmark's. */
  async #tqRun({ processes, workers, settings }: WorkerOptions): Promise<BenchProcess> {
    const root = join(this.#folder, "project");
    await Deno.mkdir(join(root, "handlers"), { recursive: true });
    const { href } = new URL("role/handlers.ts", import.meta.url);
    await Deno.writeTextFile(
      join(root, "handlers/bench.ts"),
      `import { makeHandlers } from "${href}";
const handlers = makeHandlers(${JSON.stringify(join(this.#folder, "reports"))});
export function noop() { handlers.noop(); }
export function sleep() { return handlers.sleep(); }
export function stamp(task) { handlers.stamp(task.data); }
export function read(task) { handlers.read(task.data); }
`,
    );
    const process = new BenchProcess(
      "tq run",
      [Deno.execPath(), "run", "-A", "--quiet", join(REPOSITORY, "main.ts"), "run"],
      {
        ...cleanEnvironment(),
        TQ_ROOT: root,
        TQ_DATABASE_URL: this.servers.urlOf(this.database),
        ...(this.contestant.usesRedis ? { TQ_REDIS_URL: this.servers.redisUrl } : {}),
        TQ_PROCESSES: String(processes),
        TQ_WORKERS: String(workers),
        // Another tq of this machine may have the usual port.
        TQ_HTTP: `127.0.0.1:${freePort()}`,
        ...settings,
      },
    );
    this.#processes.push(process);
    await process.printed(/ Engine is ready /, processes);
    return process;
  }
}

function roleProcess(stall: Stall, role: string, config: Partial<DriverConfig>): BenchProcess {
  return new BenchProcess(
    `${stall.contestant.name} ${role}`,
    [...stall.command, role, stall.driver, JSON.stringify(config)],
    { ...cleanEnvironment(), NODE_ENV: "production", NODE_NO_WARNINGS: "1" },
  );
}

async function until(is: () => boolean | Promise<boolean>, ms: number, what: string): Promise<void> {
  const end = wall() + ms;
  while (!await is()) {
    if (wall() > end) throw new Error(`waited ${ms} ms in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, LOOK));
  }
}
