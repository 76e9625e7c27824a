/**
 * pg-boss, with large batches, fetching on while they come back full, woken by NOTIFY:
 * https://github.com/timgit/pg-boss/blob/12.37.0/docs/api/workers.md. Runs on Node.
 *
 * @module
 */

import { PgBoss } from "pg-boss";

/** Jobs of one fetch, where handlers take no time. */
const BATCH = 1000;
const QUEUES = ["noop", "sleep", "stamp", "read"];

export async function prepare({ postgres }) {
  const boss = bossOf({ connectionString: postgres, max: 2 });
  await boss.start();
  for (const queue of QUEUES) await boss.createQueue(queue, { notify: true });
  await boss.stop({ graceful: false });
}

export async function publisher({ postgres, callers, connections }) {
  const boss = bossOf({ connectionString: postgres, max: Math.min(connections, callers + 1), ...QUIET });
  await boss.start();
  return {
    publish: (handler, data) => boss.send(handler, data),
    publishMany: (handler, list) => boss.insert(handler, list.map((data) => ({ data }))),
  };
}

export async function worker({ postgres, workers, handler: name }, handlers) {
  const boss = bossOf({ connectionString: postgres, max: 10, useListenNotify: true });
  await boss.start();
  const handler = handlers[name];
  // A batch is held until all of it has ended: as many as may run at once where they wait, more where they do not.
  const batchSize = name === "sleep" ? workers / 2 : BATCH;
  await boss.work(name, {
    batchSize,
    localConcurrency: 2,
    pollingIntervalSeconds: 0.5,
    burstWhenBatchFull: true,
  }, (jobs) => Promise.all(jobs.map((job) => handler(job.data))));
}

/** A publisher leaves upkeep to workers. */
const QUIET = { supervise: false, schedule: false };

function bossOf(options) {
  const boss = new PgBoss(options);
  boss.on("error", (error) => console.error(error));
  return boss;
}
