/**
 * BullMQ, on Redis, or (variant `postgres`) on its Postgres backend. Runs on Node.
 *
 * @module
 */

import { createPostgresBackend, Queue, runMigrations, Worker } from "bullmq";
import pg from "pg";

const QUEUE = "bench";
/**
 * Finished jobs are removed, as https://docs.bullmq.io/guide/going-to-production and
 * https://docs.bullmq.io/guide/postgresql advise. At once: keeping the last 1,000 cost Postgres 2.5 ms for each job,
 * removing all of them 1 ms; on Redis it made no difference (2026-11-24).
 */
const REMOVE = { removeOnComplete: true, removeOnFail: { count: 1000 } };
/**
 * "Give each backend enough pool connections for its concurrency": 50 jobs at once ran no faster through 43
 * connections (557 a second) than through the 10 that a pool has by itself (730), on 2 cores.
 */
const WORKER_POOL = 10;

export async function prepare({ postgres, variant }) {
  if (variant !== "postgres") return;
  const pool = poolOf(postgres, 1);
  const client = await pool.connect();
  try {
    await runMigrations(client);
  } finally {
    client.release();
    await pool.end();
  }
}

export async function publisher(config) {
  const queue = new Queue(
    QUEUE,
    { ...optionsOf(config, config.callers), defaultJobOptions: REMOVE },
    backendOf(config),
  );
  await queue.waitUntilReady();
  return {
    publish: (handler, data) => queue.add(handler, data),
    publishMany: (handler, list) => queue.addBulk(list.map((data) => ({ name: handler, data }))),
  };
}

export async function worker(config, handlers) {
  // deno-lint-ignore require-await -- a processor returns a promise
  const worker = new Worker(QUEUE, async (job) => handlers[job.name](job.data), {
    ...optionsOf(config, WORKER_POOL),
    concurrency: config.workers,
  }, backendOf(config));
  worker.on("error", (error) => console.error(error));
  await worker.waitUntilReady();
}

function backendOf({ variant }) {
  return variant === "postgres" ? createPostgresBackend : undefined;
}

/** ioredis' automatic pipelining was tried for publishers: no difference with 100 callers. */
function optionsOf({ postgres, redis, variant, connections }, most) {
  if (variant === "postgres") return { connection: poolOf(postgres, Math.min(connections, most)) };
  const { hostname, port, pathname, username, password } = new URL(redis);
  return {
    connection: {
      host: hostname,
      port: Number(port || 6379),
      db: Number(pathname.slice(1)),
      ...(username === "" ? {} : { username }),
      ...(password === "" ? {} : { password }),
      maxRetriesPerRequest: null,
    },
  };
}

/** A pool of our own finds no schema by itself: https://docs.bullmq.io/guide/postgresql */
function poolOf(connectionString, max) {
  return new pg.Pool({ connectionString, max, options: "-c search_path=bullmq" });
}
