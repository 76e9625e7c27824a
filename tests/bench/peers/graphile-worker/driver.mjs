/**
 * graphile-worker, as it comes or (variant `tuned`) with its local queue and batches of completions, in the setting
 * with which its own figures were measured: https://worker.graphile.org/docs/performance. Runs on Node.
 *
 * @module
 */

import { Logger, makeWorkerUtils, run } from "graphile-worker";

/** Warnings alone: a line for every job would be measured too. */
const logger = new Logger(() => (level, message) => {
  if (level === "error" || level === "warning") console.error(message);
});

export async function prepare(config) {
  const utils = await utilsOf(config, 1);
  await utils.migrate();
  await utils.release();
}

export async function publisher(config) {
  const utils = await utilsOf(config, Math.min(config.connections, config.callers + 1));
  return {
    publish: (handler, data) => utils.addJob(handler, data),
    publishMany: (handler, list) => utils.addJobs(list.map((payload) => ({ identifier: handler, payload }))),
  };
}

export async function worker({ postgres, variant, workers, connections }, handlers) {
  const taskList = Object.fromEntries(
    Object.entries(handlers).map(([name, handler]) => [name, (data) => handler(data)]),
  );
  await run({
    preset: {
      worker: {
        connectionString: postgres,
        concurrentJobs: workers,
        // "10 or concurrentJobs + 2, whichever is larger", or fewer: the comment at maxPoolSize in its types.
        maxPoolSize: Math.min(connections, workers + 2),
        logger,
        ...(variant === "tuned"
          ? { localQueue: { size: 500 }, completeJobBatchDelay: 0, failJobBatchDelay: 0 }
          : {}),
      },
    },
    taskList,
    crontab: "",
    noHandleSignals: true,
  });
}

function utilsOf({ postgres }, maxPoolSize) {
  return makeWorkerUtils({ preset: { worker: { connectionString: postgres, maxPoolSize, logger } } });
}
