/**
 * What a Redis says of itself.
 *
 * @module
 */

import { type Clock, systemClock } from "../clock.ts";
import { SettingsError } from "../errors.ts";
import { Connection } from "./connection.ts";

/** The oldest Redis that has BZMPOP. */
const OLDEST = 7;
/** Milliseconds for the answer. */
const DEADLINE = 2000;

/** A Redis or a Valkey. */
export interface RedisServer {
  readonly product: "Redis" | "Valkey";
  /** As shown: `7.2.4`. */
  readonly version: string;
  /** `noeviction`, `allkeys-lru`, …; undefined where the server does not tell, as some hosted ones. */
  readonly policy: string | undefined;
  /** Bytes it uses. */
  readonly usedMemory: number;
  /** Bytes it may use; 0 for no limit. */
  readonly maxMemory: number;
  /** Whether it only follows another server, so that nothing can be written. */
  readonly isReplica: boolean;
}

/**
 * Reads the answer to INFO.
 *
 * @throws {SettingsError} for a server that is too old
 */
export function readInfo(info: string): RedisServer {
  const field = (name: string) => new RegExp(`^${name}:(.*?)\\r?$`, "m").exec(info)?.[1];
  const valkey = field("valkey_version");
  const version = valkey ?? field("redis_version") ?? "unknown";
  if (valkey === undefined && !(Number.parseInt(version) >= OLDEST)) {
    throw new SettingsError(`Redis ${version} is too old`, { remedy: "use Redis 7.0 or later, or Valkey" });
  }
  return {
    product: valkey === undefined ? "Redis" : "Valkey",
    version,
    policy: field("maxmemory_policy"),
    usedMemory: Number(field("used_memory") ?? 0),
    maxMemory: Number(field("maxmemory") ?? 0),
    isReplica: field("role") === "slave",
  };
}

/**
 * Asks the server at `url`.
 *
 * @throws {UnreachableError} when it does not answer within some seconds
 * @throws {SettingsError} when it is too old
 */
export async function askServer(url: string, clock: Clock = systemClock): Promise<RedisServer> {
  const connection = new Connection(url, "tq-doctor", clock);
  try {
    return readInfo(await connection.run(DEADLINE, (client) => client.info()));
  } finally {
    await connection.close();
  }
}
