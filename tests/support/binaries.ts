/**
 * Where this machine keeps the programs that some tests start.
 *
 * @module
 */

import { join } from "node:path";

/**
 * The folder with `initdb` and `postgres`: of `TQ_TEST_POSTGRES_BIN` (a folder, or `none`), else on PATH,
 * else where Debian, Homebrew and hand-made builds put them, the newest version first.
 */
export function postgresBinaries(): string | undefined {
  const named = Deno.env.get("TQ_TEST_POSTGRES_BIN");
  const folders = named === undefined
    ? [
      ...path(),
      ...versions("/usr/lib/postgresql").map((folder) => join(folder, "bin")),
      ...versions("/opt/homebrew/opt", "postgresql").map((folder) => join(folder, "bin")),
      ...versions("/usr/local/opt", "postgresql").map((folder) => join(folder, "bin")),
      "/usr/local/pgsql/bin",
      "/usr/local/bin",
    ]
    : [named];
  return folders.find((folder) => isFile(join(folder, "initdb")) && isFile(join(folder, "postgres")));
}

/** `redis-server` or `valkey-server`: of `TQ_TEST_REDIS_BIN` (a folder, or `none`), else on PATH, else the usual places. */
export function redisBinary(): string | undefined {
  const named = Deno.env.get("TQ_TEST_REDIS_BIN");
  const folders = named === undefined
    ? [...path(), "/usr/bin", "/opt/homebrew/bin", "/usr/local/bin"]
    : [named];
  return ["redis-server", "valkey-server"]
    .flatMap((name) => folders.map((folder) => join(folder, name)))
    .find(isFile);
}

/** `pgbouncer`, on PATH or where Debian puts it. */
export function pgbouncerBinary(): string | undefined {
  return [...path(), "/usr/sbin"].map((folder) => join(folder, "pgbouncer")).find(isFile);
}

/** `systemd-analyze`, which checks units, on PATH. */
export function systemdAnalyzeBinary(): string | undefined {
  return path().map((folder) => join(folder, "systemd-analyze")).find(isFile);
}

/** `prometheus`, on PATH. */
export function prometheusBinary(): string | undefined {
  return path().map((folder) => join(folder, "prometheus")).find(isFile);
}

/** `promtool`, which checks metrics and asks a Prometheus, on PATH. */
export function promtoolBinary(): string | undefined {
  return path().map((folder) => join(folder, "promtool")).find(isFile);
}

/** Debian's cron daemon, on PATH or where it usually is. */
export function cronBinary(): string | undefined {
  return [...path(), "/usr/sbin"].map((folder) => join(folder, "cron")).find(isFile);
}

/** `crontab`, by which users give cron lines of their own, on PATH. */
export function crontabBinary(): string | undefined {
  return path().map((folder) => join(folder, "crontab")).find(isFile);
}

/** `git`, on PATH. */
export function gitBinary(): string | undefined {
  return path().map((folder) => join(folder, "git")).find(isFile);
}

/** A shell besides bash, on PATH. */
export function shellBinary(name: "fish" | "zsh"): string | undefined {
  return path().map((folder) => join(folder, name)).find(isFile);
}

/** A Chromium or Chrome: `TQ_TEST_CHROMIUM` (a file, or `none`), else on PATH, an application, or one Playwright fetched. */
export function chromiumBinary(): string | undefined {
  const named = Deno.env.get("TQ_TEST_CHROMIUM");
  if (named !== undefined) return isFile(named) ? named : undefined;
  const home = Deno.env.get("HOME") ?? "/";
  const names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"];
  return [
    ...names.flatMap((name) => path().map((folder) => join(folder, name))),
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    ...[join(home, ".cache/ms-playwright"), join(home, "Library/Caches/ms-playwright")]
      .flatMap((cache) => versions(cache, "chromium-"))
      .flatMap((folder) => [
        join(folder, "chrome-linux/chrome"),
        join(folder, "chrome-linux64/chrome"),
        join(folder, "chrome-mac/Chromium.app/Contents/MacOS/Chromium"),
      ]),
  ].find(isFile);
}

function path(): string[] {
  return (Deno.env.get("PATH") ?? "").split(":").filter((folder) => folder !== "");
}

/** The entries of `folder` that start with `prefix`, the highest number first. */
function versions(folder: string, prefix = ""): string[] {
  try {
    return [...Deno.readDirSync(folder)]
      .map((entry) => entry.name)
      .filter((name) => name.startsWith(prefix))
      .sort((a, b) => b.localeCompare(a, "en", { numeric: true }))
      .map((name) => join(folder, name));
  } catch {
    return [];
  }
}

function isFile(file: string): boolean {
  try {
    return Deno.statSync(file).isFile;
  } catch {
    return false;
  }
}
