/**
 * A client of a test's own beside those of tq.
 *
 * @module
 */

import { Redis } from "npm:ioredis@6.0.0";

/** A client that looks and meddles. Whoever uses it is told its errors, which ioredis would print besides. */
export function redisClient(url: string): Redis {
  // disconnect() of a client whose socket is closed starts a timer that nothing ends: it is to be short.
  const client = new Redis(url, { disconnectTimeout: 1 });
  client.on("error", () => {});
  return client;
}
