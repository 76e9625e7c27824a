/**
 * The faults of the chaos test. Each says what it hit, so that a second run of a task can be explained by it.
 *
 * @module
 */

import { disconnect } from "../../src/dispatch/connection.ts";
import { signal } from "../support/processes.ts";
import { type Cluster, type Host, LEASE } from "./cluster.ts";
import type { SeededRandom } from "./random.ts";

/** What a fault did. Times are milliseconds since the epoch. */
export interface FaultRecord {
  readonly name: string;
  readonly start: number;
  readonly end: number;
  /** Processes that it ended or stopped: runs inside them may come again. */
  readonly pids: readonly number[];
}

/** A fault that can be drawn. */
interface Fault {
  readonly name: string;
  readonly weight: number;
  /** Does it; returns the processes that it ended or stopped. */
  strike(cluster: Cluster, random: SeededRandom): Promise<readonly number[]>;
}

const FAULTS: readonly Fault[] = [
  {
    name: "kill an engine",
    weight: 6,
    async strike(cluster, random) {
      const pid = random.one(await cluster.enginesOf(random.one(cluster.hosts)!));
      if (pid === undefined) return [];
      signal(pid, "SIGKILL");
      return [pid];
    },
  },
  {
    name: "kill a supervisor, its engines drain",
    weight: 3,
    async strike(cluster, random) {
      const host = random.one(cluster.hosts)!;
      await killSupervisor(host);
      await pause(random.between(0, 1500));
      cluster.startSupervisor(host);
      return [];
    },
  },
  {
    name: "kill a whole host",
    weight: 2,
    async strike(cluster, random) {
      const host = random.one(cluster.hosts)!;
      const pids = await cluster.enginesOf(host);
      await killSupervisor(host);
      for (const pid of pids) signal(pid, "SIGKILL");
      await pause(random.between(0, 2000));
      cluster.startSupervisor(host);
      return pids;
    },
  },
  {
    name: "kill a publisher",
    weight: 3,
    async strike(cluster, random) {
      const [name, publisher] = random.one([...cluster.publishers])!;
      signal(publisher.pid, "SIGKILL");
      await publisher.status;
      cluster.startPublisher(name);
      return [];
    },
  },
  {
    name: "freeze an engine",
    weight: 3,
    async strike(cluster, random) {
      const pid = random.one(await cluster.enginesOf(random.one(cluster.hosts)!));
      if (pid === undefined) return [];
      signal(pid, "SIGSTOP");
      await pause(random.between(500, 4000));
      signal(pid, "SIGCONT");
      return [pid];
    },
  },
  {
    name: "freeze a host beyond its lease",
    weight: 1,
    async strike(cluster, random) {
      const host = random.one(cluster.hosts)!;
      const engines = await cluster.enginesOf(host);
      const pids = [...engines, host.supervisor!.pid];
      for (const pid of pids) signal(pid, "SIGSTOP");
      await pause((LEASE + 6) * 1000);
      for (const pid of pids) signal(pid, "SIGCONT");
      return engines;
    },
  },
  {
    name: "terminate connections of Postgres",
    weight: 6,
    async strike(cluster, random) {
      await admin(
        cluster,
        "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and application_name like 'tq%' and random() < 0.7",
      );
      await pause(random.between(0, 300));
      return [];
    },
  },
  {
    name: "restart Postgres, fast",
    weight: 1,
    async strike(cluster, random) {
      await cluster.postgres.stop("fast");
      await pause(random.between(0, 2000));
      await cluster.postgres.start();
      return [];
    },
  },
  {
    name: "restart Postgres, immediate",
    weight: 2,
    async strike(cluster, random) {
      await cluster.postgres.stop("immediate");
      await pause(random.between(0, 2000));
      await cluster.postgres.start();
      return [];
    },
  },
  {
    name: "Postgres away for one and a half leases",
    weight: 0.6,
    async strike(cluster) {
      await cluster.postgres.stop("immediate");
      await pause(LEASE * 1500);
      await cluster.postgres.start();
      return [];
    },
  },
  {
    name: "kill Redis, back empty",
    weight: 3,
    async strike(cluster, random) {
      await cluster.redis.kill();
      await pause(random.between(0, 3000));
      await cluster.redis.start();
      return [];
    },
  },
  {
    name: "FLUSHALL",
    weight: 3,
    async strike(cluster) {
      await redis(cluster, (client) => client.flushall());
      return [];
    },
  },
  {
    name: "CLIENT KILL",
    weight: 4,
    async strike(cluster) {
      await redis(cluster, (client) => client.call("CLIENT", "KILL", "TYPE", "normal"));
      return [];
    },
  },
  {
    name: "the network to Redis goes silent",
    weight: 2,
    async strike(cluster, random) {
      const { redis } = random.one(cluster.hosts)!;
      redis.goSilent();
      await pause(random.between(1000, 9000));
      redis.cut();
      await redis.resume();
      return [];
    },
  },
  {
    name: "the network to Postgres goes silent",
    weight: 2,
    async strike(cluster, random) {
      const { postgres } = random.one(cluster.hosts)!;
      postgres.goSilent();
      // Shorter than the lease: beyond it others take over, which "freeze a host" tests.
      await pause(random.between(500, LEASE * 500));
      postgres.cut();
      await postgres.resume();
      return [];
    },
  },
  {
    name: "connections to Postgres are cut, answers are lost",
    weight: 5,
    async strike(cluster, random) {
      random.one(cluster.hosts)!.postgres.cut();
      await pause(random.between(0, 200));
      return [];
    },
  },
];

/** Draws a fault and does it. */
export async function strike(cluster: Cluster, random: SeededRandom): Promise<FaultRecord> {
  const fault = random.pick(FAULTS);
  const start = Date.now();
  const pids = await fault.strike(cluster, random);
  return { name: fault.name, start, end: Date.now(), pids };
}

/** Runs SQL as the server's owner. */
export async function admin<Row = unknown>(cluster: Cluster, text: string): Promise<Row[]> {
  const { default: postgres } = await import("npm:postgres@3.4.9");
  const sql = postgres(cluster.postgres.url(), { max: 1, fetch_types: false, onnotice() {} });
  try {
    return await sql.unsafe(text) as unknown as Row[];
  } finally {
    await sql.end({ timeout: 1 });
  }
}

/** Runs a command of Redis. */
export async function redis<T>(
  cluster: Cluster,
  use: (client: import("npm:ioredis@6.0.0").Redis) => Promise<T>,
): Promise<T> {
  const { Redis } = await import("npm:ioredis@6.0.0");
  const client = new Redis(cluster.redis.url(), { retryStrategy: () => null });
  client.on("error", () => {});
  try {
    return await use(client);
  } finally {
    await disconnect(client);
  }
}

async function killSupervisor(host: Host): Promise<void> {
  signal(host.supervisor!.pid, "SIGKILL");
  await host.supervisor!.status;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
