/**
 * tq, as a program uses it: through `mod.ts`, with the default settings. Its workers are `tq run`.
 *
 * @module
 */

import { TaskQueue } from "../../../mod.ts";
import type { DriverConfig, PublisherDriver } from "../role/driver.ts";
import type { BenchData } from "../role/handlers.ts";

/** Connects. */
export async function publisher({ postgres, redis, variant }: DriverConfig): Promise<PublisherDriver> {
  const queue = new TaskQueue({
    TQ_DATABASE_URL: postgres,
    TQ_REDIS_URL: variant === "postgres" ? undefined : redis,
  });
  const json = (data: BenchData) => ({ ...data });
  await queue.get(1);
  return {
    publish: (handler, data) => queue.publish("bench", handler, json(data)),
    publishMany: (handler, list) =>
      queue.publishMany(list.map((data) => ({ model: "bench", fname: handler, data: json(data) }))),
  };
}
