/**
 * What the chaos test breaks: servers, two hosts with a supervisor and engines each, publishers.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import { join } from "node:path";
import { childrenOf, signal } from "../support/processes.ts";
import { eventually, type TcpProxy, tcpProxy } from "../support/fixtures.ts";
import { PrivatePostgres, PrivateRedis } from "../support/servers.ts";

/** Seconds: short, so that faults beyond it fit into a minute. */
export const LEASE = 6;
const MAIN = fileURLToPath(new URL("../../main.ts", import.meta.url));
const SKEWED_MAIN = fileURLToPath(new URL("./skewed_main.ts", import.meta.url));
const PUBLISHER = fileURLToPath(new URL("./publisher.ts", import.meta.url));
const HANDLERS = fileURLToPath(new URL("./root/handlers", import.meta.url));

/** One host: its own `var`, its own way to each server. */
export interface Host {
  readonly name: string;
  readonly varFolder: string;
  readonly postgres: TcpProxy;
  readonly redis: TcpProxy;
  supervisor: Deno.ChildProcess | undefined;
}

/** Everything that runs. */
export class Cluster implements AsyncDisposable {
  readonly folder: string;
  readonly postgres: PrivatePostgres;
  readonly redis: PrivateRedis;
  readonly hosts: readonly Host[];
  /** Publishers by name. */
  readonly publishers = new Map<string, Deno.ChildProcess>();
  #rate: number;
  #count = 0;

  private constructor(folder: string, postgres: PrivatePostgres, redis: PrivateRedis, rate: number) {
    this.folder = folder;
    this.postgres = postgres;
    this.redis = redis;
    this.#rate = rate;
    this.hosts = ["a", "b"].map((name) => ({
      name,
      varFolder: join(folder, name),
      postgres: tcpProxy(postgres.url()),
      redis: tcpProxy(redis.url()),
      supervisor: undefined,
    }));
  }

  /** Starts servers, supervisors and publishers. */
  static async start(folder: string, rate: number): Promise<Cluster> {
    const postgres = await PrivatePostgres.started({ max_connections: 200 });
    const redis = await PrivateRedis.started();
    const cluster = new Cluster(folder, postgres, redis, rate);
    for (const name of ["runs", "told", "logs"]) await Deno.mkdir(join(folder, name));
    for (const host of cluster.hosts) {
      await Deno.mkdir(host.varFolder, { recursive: true });
      cluster.startSupervisor(host);
      await eventually(() => cluster.log(host).includes("Engine is ready"), {
        what: "a ready engine",
        within: 30_000,
      });
    }
    for (const name of ["p", "q"]) cluster.startPublisher(name);
    return cluster;
  }

  /** Starts the supervisor of a host. The second host's wall clock is an hour ahead. */
  startSupervisor(host: Host): void {
    const [main, ahead] = host.name === "b" ? [SKEWED_MAIN, 3_600_000] : [MAIN, 0];
    host.supervisor = this.#spawn(join(this.folder, "logs", `supervisor-${host.name}`), [main, "run"], host, {
      CHAOS_AHEAD: String(ahead),
      TQ_VAR: host.varFolder,
      CHAOS_RUNS: join(this.folder, "runs"),
    });
  }

  /** Starts a publisher; it goes straight to the servers, so that what it was told is what they said. */
  startPublisher(name: string): void {
    const own = `${name}-${this.#count++}`;
    const log = join(this.folder, "logs", `publisher-${name}`);
    const args = [PUBLISHER, join(this.folder, "told", own), String(this.#rate), own];
    this.publishers.set(name, this.#spawn(log, args, undefined, {}));
  }

  /** The engines of a host, by process number. */
  async enginesOf(host: Host): Promise<number[]> {
    return host.supervisor === undefined
      ? []
      : (await childrenOf(host.supervisor.pid)).map((child) => child.pid);
  }

  /** The log of a host. */
  log(host: Host): string {
    try {
      return Deno.readTextFileSync(join(this.folder, "logs", `supervisor-${host.name}`));
    } catch {
      return "";
    }
  }

  /** Ends publishers and waits for them. */
  async stopPublishers(): Promise<void> {
    for (const publisher of this.publishers.values()) signal(publisher.pid, "SIGKILL");
    await Promise.all([...this.publishers.values()].map((publisher) => publisher.status));
    this.publishers.clear();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stopPublishers();
    for (const host of this.hosts) {
      for (const pid of await this.enginesOf(host)) signal(pid, "SIGKILL");
      if (host.supervisor !== undefined) signal(host.supervisor.pid, "SIGKILL");
      await host.supervisor?.status;
      await host.postgres[Symbol.asyncDispose]();
      await host.redis[Symbol.asyncDispose]();
    }
    await this.redis[Symbol.asyncDispose]();
    await this.postgres[Symbol.asyncDispose]();
  }

  #spawn(
    log: string,
    args: string[],
    host: Host | undefined,
    environment: Record<string, string>,
  ): Deno.ChildProcess {
    // A shell keeps the log's descriptor, since Deno.Command writes to pipes or to its own.
    const command = [Deno.execPath(), "run", "-A", "--quiet", ...args].map((part) => `'${part}'`).join(" ");
    return new Deno.Command("/bin/sh", {
      args: ["-c", `exec ${command} >>'${log}' 2>&1`],
      clearEnv: true,
      env: {
        PATH: Deno.env.get("PATH") ?? "",
        HOME: Deno.env.get("HOME") ?? "",
        ...(Deno.env.has("DENO_DIR") ? { DENO_DIR: Deno.env.get("DENO_DIR")! } : {}),
        TQ_ROOT: this.folder,
        TQ_HANDLERS: HANDLERS,
        TQ_DATABASE_URL: host?.postgres.url ?? this.postgres.url(),
        TQ_REDIS_URL: host?.redis.url ?? this.redis.url(),
        TQ_PROCESSES: "2",
        TQ_HTTP: "off",
        TQ_WORKERS: "20",
        TQ_LEASE: String(LEASE),
        ...environment,
      },
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
  }
}
