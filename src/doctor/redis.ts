/**
 * Whether Redis serves, and keeps what it is given.
 *
 * @module
 */

import { type Clock, systemClock } from "../clock.ts";
import { askServer, type RedisServer } from "../dispatch/server.ts";
import { messageOf, TqError } from "../errors.ts";
import type { Settings } from "../settings.ts";
import { bad, type Finding, note, ok, type Report, size, warning } from "./finding.ts";

/** Told of when this part of the memory is used. */
const FULL = 0.9;

/** Looks at Redis, where one is named. */
export async function examineRedis(
  settings: Pick<Settings, "TQ_REDIS_URL">,
  report: Report,
  clock: Clock = systemClock,
): Promise<void> {
  const url = settings.TQ_REDIS_URL;
  if (url === undefined) return report(ok("redis", "none is named: engines claim straight from Postgres"));
  try {
    report(...judgeRedis(await askServer(url, clock)));
  } catch (error) {
    if (error instanceof TqError) throw error;
    // What Redis itself says: a password is missing, INFO is not allowed.
    report(bad("redis", `it refuses: ${messageOf(error)}`, "correct TQ_REDIS_URL, or what its user may do"));
  }
}

/** Judges a Redis that answers and is new enough. */
export function judgeRedis(server: RedisServer): Finding[] {
  const name = `${server.product} ${server.version}`;
  if (server.isReplica) {
    return [bad("redis", `${name} is a replica: nothing can be written`, "name the primary in TQ_REDIS_URL")];
  }
  return [ok("redis", name), judgePolicy(server), judgeMemory(server)];
}

function judgePolicy({ policy, maxMemory }: RedisServer): Finding {
  if (policy === "noeviction") return ok("eviction", "maxmemory-policy is noeviction");
  if (policy === undefined) {
    return note("eviction", "this server does not tell its maxmemory-policy", "see that it is noeviction");
  }
  const when = maxMemory === 0 ? "once a maxmemory is set" : `from ${size(maxMemory)} on`;
  return bad(
    "eviction",
    `maxmemory-policy is ${policy}: ${when} Redis may throw ids of ready tasks away`,
    "set maxmemory-policy noeviction",
  );
}

function judgeMemory({ usedMemory, maxMemory }: RedisServer): Finding {
  if (maxMemory === 0) return ok("redis memory", `${size(usedMemory)}, without a limit`);
  const found = `${size(usedMemory)} of ${size(maxMemory)}`;
  if (usedMemory < maxMemory * FULL) return ok("redis memory", found);
  return warning(
    "redis memory",
    `${found}: soon it refuses ids, and engines claim from Postgres`,
    "raise maxmemory",
  );
}
