/**
 * Who takes part, and how each is set up: the way its own documentation recommends for throughput.
 *
 * @module
 */

import { join } from "node:path";
import type { Servers } from "./servers.ts";

const HERE = import.meta.dirname ?? ".";

/** What a peer needs that only the machine's administrator installs. */
export interface System {
  readonly language: "python" | "ruby";
  /** What its driver loads. */
  readonly modules: readonly string[];
  /** Its version, as an expression in its language. */
  readonly version: string;
  /** Debian's packages. */
  readonly packages: readonly string[];
}

/** A contestant. */
export interface Contestant {
  /** As `--contestants` names it. */
  readonly name: string;
  /** As tables name it. */
  readonly title: string;
  /** A folder of `peers/`; undefined for what runs on Deno from this repository. */
  readonly peer?: string;
  /** What of the machine's packages a peer runs on; undefined for what npm installs. */
  readonly system?: System;
  /** The driver, for what is no peer. */
  readonly driver?: string;
  /** Tells contestants apart that share a driver. */
  readonly variant: string;
  /** Whether a task is on disk when its publish has been answered. */
  readonly durable: boolean;
  readonly usesRedis: boolean;
  /** The page that recommends the set-up; undefined for our own. */
  readonly page?: string;
  /** The set-up in words. */
  readonly setup: string;
  /** The workloads it takes part in @default all that suit it */
  readonly workloads?: readonly string[];
  /** Tasks to run at most, where making more of them only takes time. @default as many as the workload says */
  readonly backlog?: number;
  /** Whether it is measured unless `--contestants` says otherwise. */
  readonly byDefault: boolean;
  /** Tasks that are not recorded as ended; undefined for those that run nothing. */
  unfinished(servers: Servers, database: string): Promise<number>;
}

const PEER = "tests/bench/peers";

function count(table: string, where = "true"): Contestant["unfinished"] {
  return (servers, database) => servers.count(database, `select count(*) from ${table} where ${where}`);
}

const tqUnfinished = count("tq.tasks", "state in (0, 1)");

/** A module of Python that keeps its tasks in Redis; `version` as in `System`. */
function python(module: string, version: string): System {
  const modules = [module, "redis", "hiredis"];
  return { language: "python", modules, version, packages: modules.map((name) => `python3-${name}`) };
}

/** What has its tasks in Redis alone, and is measured where it is asked for. */
const IN_REDIS = { variant: "", durable: false, usesRedis: true, byDefault: false } as const;

const PUBLISHING = ["publish-one", "publish-100", "publish-batch"];
const RUNNING = ["run-1", "run-2", "latency-100"];

/** All of them, in the order of tables. The slow ones are left out of what says nothing new about them. */
export const CONTESTANTS: readonly Contestant[] = [
  {
    name: "tq",
    title: "tq",
    driver: join(HERE, "tq/driver.ts"),
    variant: "redis",
    durable: true,
    usesRedis: true,
    setup: "default settings; `tq run`, Postgres and Redis",
    byDefault: true,
    unfinished: tqUnfinished,
  },
  {
    name: "tq-postgres",
    title: "tq without Redis",
    driver: join(HERE, "tq/driver.ts"),
    variant: "postgres",
    durable: true,
    usesRedis: false,
    setup: "default settings; `tq run`, Postgres alone",
    byDefault: false,
    unfinished: tqUnfinished,
  },
  {
    name: "limit",
    title: "the limit",
    driver: join(HERE, "limit/driver.ts"),
    variant: "",
    durable: true,
    usesRedis: true,
    setup:
      "insert, claim and finish in batches of 1,000 by tq's driver on tq's table, nothing around them; lone tasks told through a list of Redis",
    workloads: [
      ...PUBLISHING,
      "run-1",
      "sleep",
      ...["10", "100"].map((rate) => `latency-${rate}`),
      ...["10000", "100000", "1000000"].map((size) => `backlog-${size}`),
      ...["100", "10000", "100000"].map((bytes) => `data-${bytes}`),
    ],
    byDefault: true,
    unfinished: tqUnfinished,
  },
  {
    name: "bullmq",
    title: "BullMQ",
    peer: "bullmq",
    variant: "redis",
    durable: false,
    usesRedis: true,
    page: "https://docs.bullmq.io/guide/going-to-production",
    setup: "Redis as it is configured here; finished jobs are removed at once",
    byDefault: true,
    async unfinished(servers) {
      const redis = servers.redis;
      const [waiting, active] = await Promise.all([
        redis.llen("bull:bench:wait"),
        redis.llen("bull:bench:active"),
      ]);
      return waiting + active;
    },
  },
  {
    name: "bullmq-postgres",
    title: "BullMQ on Postgres",
    peer: "bullmq",
    variant: "postgres",
    durable: true,
    usesRedis: false,
    page: "https://docs.bullmq.io/guide/postgresql",
    setup: "pools of 10 for workers and 20 for publishers; finished jobs are removed at once",
    workloads: [...PUBLISHING, "run-1", "run-2", "latency-100", "latency-half", "idle"],
    byDefault: true,
    unfinished: count("bullmq.job", "state in ('waiting', 'active')"),
  },
  {
    name: "graphile",
    title: "graphile-worker",
    peer: "graphile-worker",
    variant: "default",
    durable: true,
    usesRedis: false,
    page: "https://worker.graphile.org/docs/performance",
    setup: "as it comes",
    workloads: [...PUBLISHING, "run-1", "latency-100", "idle"],
    byDefault: true,
    unfinished: count("graphile_worker._private_jobs"),
  },
  {
    name: "graphile-tuned",
    title: "graphile-worker, tuned",
    peer: "graphile-worker",
    variant: "tuned",
    durable: true,
    usesRedis: false,
    page: "https://worker.graphile.org/docs/performance",
    setup: "local queue of 500, completions in batches",
    // Published to, it is what it is untuned.
    workloads: [
      ...[
        "run-1",
        "run-2",
        "sleep",
        "backlog-10000",
        "backlog-100000",
        "latency-10",
        "latency-100",
        "latency-half",
      ],
      ...["data-100", "data-10000", "data-100000", "idle"],
    ],
    byDefault: true,
    unfinished: count("graphile_worker._private_jobs"),
  },
  {
    name: "pg-boss",
    title: "pg-boss, tuned",
    peer: "pg-boss",
    variant: "",
    durable: true,
    usesRedis: false,
    page: "https://github.com/timgit/pg-boss/blob/12.37.0/docs/api/workers.md",
    setup: "batches of 1,000, fetched on while they come back full, woken by NOTIFY",
    byDefault: true,
    unfinished: count("pgboss.job", "state < 'completed'"),
  },
  {
    name: "celery",
    title: "Celery",
    peer: "celery",
    system: python("celery", "celery.__version__"),
    ...IN_REDIS,
    page: "https://docs.celeryq.dev/en/v5.2.6/userguide/optimizing.html",
    setup:
      "Redis as it is configured here, hiredis; an engine is a worker with a pool of a process for each core, " +
      "prefetching 128 tasks for each; no results kept; a task is acknowledged before it runs",
    // It has no call that publishes many.
    workloads: ["publish-one", "publish-100", ...RUNNING],
    backlog: 10_000,
    async unfinished({ redis }) {
      const [waiting, fetched] = await Promise.all([redis.llen("celery"), redis.hlen("unacked")]);
      return waiting + fetched;
    },
  },
  {
    name: "rq",
    title: "RQ",
    peer: "rq",
    system: python("rq", "rq.VERSION"),
    ...IN_REDIS,
    page: "https://github.com/rq/rq/blob/master/docs/benchmark.md",
    setup:
      "Redis as it is configured here, hiredis; an engine is one SimpleWorker, which forks for no task and runs " +
      "one at a time; ended jobs are removed at once",
    workloads: [...PUBLISHING, ...RUNNING],
    backlog: 10_000,
    async unfinished({ redis }) {
      const [waiting, started] = await Promise.all([
        redis.llen("rq:queue:bench"),
        redis.zcard("rq:wip:bench"),
      ]);
      return waiting + started;
    },
  },
  {
    name: "sidekiq",
    title: "Sidekiq",
    peer: "sidekiq",
    system: {
      language: "ruby",
      modules: ["sidekiq", "hiredis"],
      version: "Sidekiq::VERSION",
      packages: ["ruby-sidekiq", "ruby-hiredis"],
    },
    ...IN_REDIS,
    page: "https://github.com/sidekiq/sidekiq/wiki/Advanced-Options#concurrency",
    setup:
      "Redis as it is configured here, hiredis; an engine is a process of 10 threads; a task that was fetched is " +
      "in that process alone",
    workloads: [...PUBLISHING, ...RUNNING],
    unfinished: ({ redis }) => redis.llen("queue:default"),
  },
];

/** What `--others` measures: tq beside the queues of Python and Ruby. */
export const OTHERS = {
  contestants: ["tq", "celery", "rq", "sidekiq"],
  workloads: [...PUBLISHING, ...RUNNING],
  /** The slow ones take most of the time, and their figures hardly differ between rounds. */
  rounds: 3,
} as const;

/** The contestants that a run asks for. */
export function chooseContestants(
  { contestants, others }: { contestants: readonly string[] | undefined; others: boolean },
): Contestant[] {
  const names = contestants ?? (others ? OTHERS.contestants : undefined);
  return CONTESTANTS.filter((one) => names?.includes(one.name) ?? one.byDefault);
}

/** Where a peer's package file and driver are, in the repository. */
export function peerFolder(peer: string): string {
  return join(HERE, "../..", PEER, peer);
}
