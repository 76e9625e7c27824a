/**
 * What of the things that tests need this machine has.
 *
 * @module
 */

import {
  chromiumBinary,
  gitBinary,
  pgbouncerBinary,
  postgresBinaries,
  prometheusBinary,
  promtoolBinary,
  redisBinary,
  shellBinary,
  systemdAnalyzeBinary,
} from "./binaries.ts";
import { usableCron } from "./cron.ts";
import { postgresUrl, PREPARES, redisUrl } from "./servers.ts";

/** Something that not every machine has. */
export type Need =
  | "postgres"
  | "redis"
  | "postgres-binaries"
  | "redis-binaries"
  | "git"
  | "chromium"
  | "pgbouncer"
  | "prometheus"
  | "linux"
  | "systemd"
  | "cron"
  | "fish"
  | "zsh"
  | "session";

/** What is here: as the runner found out (`TQ_TEST_AVAILABLE`), else by looking. */
export async function available(): Promise<ReadonlySet<Need>> {
  const told = Deno.env.get("TQ_TEST_AVAILABLE");
  if (told !== undefined) return new Set(told.split(",") as Need[]);
  return look(await postgresUrl(), await redisUrl());
}

/** What is here, given the addresses of the shared servers. */
export function look(postgres: string | undefined, redis: string | undefined): ReadonlySet<Need> {
  const found: Readonly<Record<Need, string | undefined>> = {
    postgres,
    redis,
    "postgres-binaries": postgresBinaries(),
    "redis-binaries": redisBinary(),
    git: gitBinary(),
    chromium: chromiumBinary(),
    pgbouncer: pgbouncerBinary(),
    // Debian's package has both.
    prometheus: promtoolBinary() === undefined ? undefined : prometheusBinary(),
    linux: Deno.build.os === "linux" ? Deno.build.os : undefined,
    systemd: systemdAnalyzeBinary(),
    cron: usableCron(),
    fish: shellBinary("fish"),
    zsh: shellBinary("zsh"),
    // Notifications and prepared statements do not pass a PgBouncer in transaction mode.
    session: PREPARES ? postgres : undefined,
  };
  return new Set((Object.keys(found) as Need[]).filter((need) => found[need] !== undefined));
}
