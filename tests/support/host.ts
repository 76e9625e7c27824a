/**
 * Hosts: servers of a test's own, and `tq run` processes on them that a test may kill, freeze and starve.
 *
 * @module
 */

import { join } from "node:path";
import postgres from "npm:postgres@3.4.9";
import { Redis } from "npm:ioredis@6.0.0";
import { loadSettings, type SettingsInput } from "../../src/config.ts";
import { disconnect } from "../../src/dispatch/connection.ts";
import { TaskQueue } from "../../src/publish/queue.ts";
import { connectStore } from "../../src/store/connect.ts";
import type { Store } from "../../src/store/mod.ts";
import { eventually, type TempFolder, tempFolder } from "./fixtures.ts";
import { childrenOf, type Process, processTable, signal } from "./processes.ts";
import { PrivatePostgres, PrivateRedis } from "./servers.ts";
import { cleanEnvironment, REPOSITORY } from "./tq.ts";

/** What runs tq: the source by this Deno, or the executable that is named. */
const EXECUTABLE = Deno.env.get("TQ_TEST_EXECUTABLE");
const TQ = EXECUTABLE === undefined
  ? [Deno.execPath(), "run", "-A", "--quiet", join(REPOSITORY, "main.ts")] as const
  : [EXECUTABLE] as const;
const HANDLERS = join(REPOSITORY, "tests/reliability/root/handlers");

/** Settings as environment variables. */
export type Environment = Readonly<Record<string, string>>;

/** One run of a handler, as it wrote it down. Times are milliseconds since the epoch. */
export interface Run {
  readonly pid: number;
  readonly start: number;
  end: number | undefined;
}

/** How a site is made. */
export interface SiteOptions {
  /** @default true */
  readonly redis?: boolean;
  /** Settings of all hosts. */
  readonly environment?: Environment;
}

/** A Postgres, a Redis, and hosts on them. */
export class Site implements AsyncDisposable {
  readonly postgres: PrivatePostgres;
  readonly redis: PrivateRedis | undefined;
  /** For looking at the record; not through any proxy. */
  readonly sql: postgres.Sql<{ bigint: number }>;
  readonly #folder: TempFolder;
  readonly #environment: Environment;
  readonly #hosts: Host[] = [];
  /** The record; not through any proxy. */
  readonly store: Store;
  #queue: TaskQueue | undefined;

  private constructor(
    folder: TempFolder,
    postgres_: PrivatePostgres,
    redis: PrivateRedis | undefined,
    environment: Environment,
  ) {
    this.#folder = folder;
    this.postgres = postgres_;
    this.redis = redis;
    this.#environment = environment;
    this.store = connectStore(
      loadSettings({ flags: { TQ_DATABASE_URL: postgres_.url() }, environment: {}, folder: "/" }),
      { applicationName: "tq test", connections: 1 },
    );
    this.sql = postgres(postgres_.url(), {
      max: 2,
      fetch_types: false,
      onnotice() {},
      types: { bigint: { to: 20, from: [20], parse: Number, serialize: String } },
    });
  }

  /** Starts the servers, and makes the schema. */
  static async start(options: SiteOptions = {}): Promise<Site> {
    const folder = await tempFolder();
    for (const name of ["runs", "gates", "logs"]) await Deno.mkdir(join(folder.path, name));
    const server = await PrivatePostgres.started({ max_connections: 200 });
    const redis = options.redis ?? true ? await PrivateRedis.started() : undefined;
    const site = new Site(folder, server, redis, options.environment ?? {});
    await site.store.migrate();
    return site;
  }

  /** Everything it keeps is in here. */
  get folder(): string {
    return this.#folder.path;
  }

  /** The environment of a process on this site, and `more`. */
  environment(more: Environment = {}): Record<string, string> {
    return {
      ...cleanEnvironment(),
      REL_FOLDER: this.folder,
      TQ_ROOT: this.folder,
      TQ_HANDLERS: HANDLERS,
      TQ_DATABASE_URL: this.postgres.url(),
      ...(this.redis === undefined ? {} : { TQ_REDIS_URL: this.redis.url() }),
      TQ_PROCESSES: "1",
      TQ_HTTP: "off",
      TQ_WORKERS: "20",
      ...this.#environment,
      ...more,
    };
  }

  /** Starts a host and waits until its engines are ready. */
  async host(name: string, environment: Environment = {}): Promise<Host> {
    const host = this.makeHost(name, environment);
    await host.start();
    return host;
  }

  /** Makes a host that is started later. */
  makeHost(name: string, environment: Environment = {}): Host {
    const host = new Host(this, name, environment);
    this.#hosts.push(host);
    return host;
  }

  /** The queue of whoever publishes; not through any proxy. */
  get queue(): TaskQueue {
    return this.#queue ??= this.queueOf({});
  }

  /** A queue with other settings. The caller closes it. */
  queueOf(settings: SettingsInput, patience = 60): TaskQueue {
    return new TaskQueue({
      TQ_ROOT: this.folder,
      TQ_DATABASE_URL: this.postgres.url(),
      TQ_REDIS_URL: this.redis?.url(),
      ...settings,
    }, { patience });
  }

  /** Lets tasks of `gated` with this gate end. */
  async open(gate: string): Promise<void> {
    await Deno.writeTextFile(join(this.folder, "gates", gate), "");
  }

  /** The runs that handlers wrote down, by task, in order. */
  async runs(): Promise<Map<number, Run[]>> {
    const runs = new Map<number, Run[]>();
    const folder = join(this.folder, "runs");
    for await (const { name } of Deno.readDir(folder)) {
      const open = new Map<number, Run>();
      for (const line of (await Deno.readTextFile(join(folder, name))).split("\n").slice(0, -1)) {
        const [what, idText, timeText] = line.split(" ");
        const [id, time] = [Number(idText), Number(timeText)];
        if (what === "end") open.get(id)!.end = time;
        else {
          const run: Run = { pid: Number(name), start: time, end: undefined };
          open.set(id, run);
          const list = runs.get(id);
          if (list === undefined) runs.set(id, [run]);
          else list.push(run);
        }
      }
    }
    for (const list of runs.values()) list.sort((a, b) => a.start - b.start);
    return runs;
  }

  /** How many tasks are in each state. */
  async states(): Promise<Record<number, number>> {
    const rows = await this.sql<{ state: number; count: number }[]>`
      select state, count(*)::integer as count from tq.tasks group by state`;
    return Object.fromEntries(rows.map(({ state, count }) => [state, count]));
  }

  /** How many ids of ready tasks Redis holds. */
  async hinted(): Promise<number> {
    return await this.withRedis(async (client) => {
      const keys = await client.keys("*:queue:*");
      return (await Promise.all(keys.map((key) => client.zcard(key)))).reduce((sum, one) => sum + one, 0);
    });
  }

  /** Speaks to Redis. */
  async withRedis<T>(use: (client: Redis) => Promise<T>): Promise<T> {
    const client = new Redis(this.redis!.url(), { retryStrategy: () => null });
    client.on("error", () => {});
    try {
      return await use(client);
    } finally {
      await disconnect(client);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const host of this.#hosts) await host.kill();
    await this.#queue?.close();
    await this.store.close();
    await this.sql.end({ timeout: 1 });
    await this.redis?.[Symbol.asyncDispose]();
    await this.postgres[Symbol.asyncDispose]();
    await this.#folder[Symbol.asyncDispose]();
  }
}

/** One host: a `var` folder of its own and a supervisor. */
export class Host {
  readonly varFolder: string;
  readonly #site: Site;
  readonly #log: string;
  readonly #environment: Environment;
  #child: Deno.ChildProcess | undefined;

  constructor(site: Site, name: string, environment: Environment) {
    this.#site = site;
    this.varFolder = join(site.folder, `var_${name}`);
    this.#log = join(site.folder, "logs", name);
    this.#environment = environment;
  }

  /** Starts the supervisor; resolves when its engines are ready. */
  async start(): Promise<void> {
    const before = this.log().length;
    const environment = this.#site.environment({ TQ_VAR: this.varFolder, ...this.#environment });
    // A shell keeps the log's descriptor, since Deno.Command writes to pipes or to its own.
    this.#child = new Deno.Command("/bin/sh", {
      args: ["-c", 'exec "$@" >>"$0" 2>&1', this.#log, ...TQ, "run"],
      clearEnv: true,
      env: environment,
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    let ended = false;
    this.#child.status.then(() => ended = true);
    const ready = () =>
      this.log().slice(before).split("Engine is ready").length > Number(environment.TQ_PROCESSES);
    await eventually(() => ended || ready(), { what: "ready engines", within: 30_000 }).catch(() => {});
    if (!ready()) throw new Error(`the supervisor did not start; the log says:\n${this.log().slice(-2000)}`);
  }

  /** Starts a command on this host. */
  command(...args: string[]): Deno.ChildProcess {
    const [program, ...before] = TQ;
    return new Deno.Command(program, {
      args: [...before, ...args],
      clearEnv: true,
      env: this.#site.environment({ TQ_VAR: this.varFolder, ...this.#environment }),
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  }

  /** The supervisor's process number. */
  get pid(): number {
    return this.#child!.pid;
  }

  /** How the supervisor ended. */
  get ended(): Promise<Deno.CommandStatus> {
    return this.#child!.status;
  }

  /** The engines' processes. */
  engines(): Promise<Process[]> {
    return childrenOf(this.pid);
  }

  /** What the supervisor and its engines have logged. */
  log(): string {
    try {
      return Deno.readTextFileSync(this.#log);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return "";
      throw error;
    }
  }

  /** Sends a signal to the supervisor and its engines; returns their process numbers. */
  async signalTree(name: Deno.Signal): Promise<number[]> {
    if (this.#child === undefined) return [];
    const pids = [this.pid, ...(await this.engines()).map((engine) => engine.pid)];
    for (const pid of pids) signal(pid, name);
    return pids;
  }

  /** kill -9 of all of it, as a power cut; waits until every process is gone. */
  async kill(): Promise<void> {
    if (this.#child === undefined) return;
    const pids = await this.signalTree("SIGKILL");
    await this.#child.status;
    this.#child = undefined;
    await eventually(async () => {
      const table = await processTable();
      return pids.every((pid) => table.get(pid)?.zombie ?? true);
    }, { what: "dead engines" });
  }

  /** TERM, and waits for its end. */
  async stop(): Promise<Deno.CommandStatus> {
    const child = this.#child!;
    signal(child.pid, "SIGTERM");
    const status = await child.status;
    this.#child = undefined;
    return status;
  }
}

/** Megabytes of memory that a process holds (Linux; elsewhere 0). */
export function residentMegabytes(pid: number): number {
  try {
    const text = Deno.readTextFileSync(`/proc/${pid}/status`);
    return Number(/^VmRSS:\s+(\d+) kB/m.exec(text)?.[1] ?? 0) / 1024;
  } catch {
    return 0;
  }
}
