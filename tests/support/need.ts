/**
 * Tests that need something of the machine: skipped out loud where it is missing.
 *
 * @module
 */

import { available, type Need } from "./available.ts";

export type { Need };

/** As shown: "no … on this machine". */
const NAMES: Readonly<Record<Need, string>> = {
  postgres: "Postgres",
  redis: "Redis",
  "postgres-binaries": "Postgres binaries",
  "redis-binaries": "Redis binary",
  git: "git",
  chromium: "Chromium",
  pgbouncer: "PgBouncer",
  prometheus: "Prometheus",
  linux: "Linux",
  systemd: "systemd-analyze",
  cron: "cron daemon that this user may start or give lines to",
  fish: "fish",
  zsh: "zsh",
  session: "Postgres without a pooler in between",
};

// At load, so that a server that must be started for this is not taken for a leak of the first test.
const here = await available();
const names: string[] = [];

/** The names of the tests that this file skipped. */
export const skipped: readonly string[] = names;

/** Whether this machine has it. */
export function has(need: Need): boolean {
  return here.has(need);
}

/** Registers a test that runs only where all of `needs` are, and says so where they are not. */
export function needTest(
  needs: readonly Need[],
  name: string,
  fn: (t: Deno.TestContext) => void | Promise<void>,
  options: Omit<Deno.TestDefinition, "name" | "fn" | "ignore"> = {},
): void {
  const missing = needs.filter((need) => !here.has(need));
  if (missing.length > 0) {
    names.push(name);
    console.log(`SKIPPED ${name}: no ${missing.map((need) => NAMES[need]).join(", no ")} on this machine`);
  }
  Deno.test({ ...options, name, fn, ignore: missing.length > 0 });
}
