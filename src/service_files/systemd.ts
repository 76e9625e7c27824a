/**
 * A unit for systemd (252 or later), hardened.
 *
 * @module
 */

import { InputError } from "../errors.ts";
import type { ServicePlan } from "./plan.ts";
import { shellWord, unitPath, unitWord } from "./quote.ts";

/** A program and its arguments. */
export interface CommandLine {
  /** Absolute. */
  readonly executable: string;
  readonly args: readonly string[];
}

/** What a unit needs beyond the plan. */
export interface UnitOptions {
  /** What runs `tq` with these words. */
  command(...words: string[]): CommandLine;
  /** The version of this tq. */
  readonly version: string;
  /** Where Deno keeps what it has fetched. @default a folder of the unit's own under /var/cache */
  readonly denoFolder?: string | undefined;
}

/** Seconds that `tq reload` waits, and that one engine may take to get ready. */
const RELOAD = 120;
const ENGINE_READY = 30;
/** Seconds beyond the drain time: 12 for engines' last words, the rest for a Postgres that is slow or away. */
const LAST_WORDS = 30;
/** Seconds without a sign of life after which systemd restarts the supervisor, whose beat takes 20 at most. */
const WATCHDOG = 60;

/**
 * The text of the unit. It names a file for secrets, and has none.
 *
 * @throws {InputError} when systemd does not take the path of the program
 */
export function systemdUnit(plan: ServicePlan, options: UnitOptions): string {
  const lines = [
    ...header(plan, options),
    "",
    "[Unit]",
    `Description=tq task queue in ${unitPath(plan.root)}`,
    "Wants=network-online.target",
    `After=${["network-online.target", ...localServers(plan)].join(" ")}`,
    `RequiresMountsFor=${unitWord(plan.root)} ${unitWord(plan.varFolder)}`,
    "# Postgres may be away for long: it is started until it runs.",
    "StartLimitIntervalSec=0",
    "",
    "[Service]",
    ...service(plan, options),
    "",
    ...sandbox(plan, options),
    "",
    "[Install]",
    "WantedBy=multi-user.target",
  ];
  return lines.join("\n") + "\n";
}

function header(plan: ServicePlan, { version }: UnitOptions): string[] {
  const { name, user, varFolder } = plan;
  const secrets = outsideFile(plan.secrets);
  const environmentFile = environmentFileOf(plan);
  return [
    `# Printed by \`tq service --systemd\` of tq ${version}. To install it:`,
    "#",
    `#   sudo install -d -o ${shellWord(user)} ${shellWord(varFolder)}`,
    ...(secrets.length === 0 ? [] : [
      `#   sudo install -m 600 /dev/null ${environmentFile}`,
      `#   sudo nano ${environmentFile}   # secrets stay out of this unit; write in full:`,
      ...secrets.map(({ name, masked }) => `#     ${name}=${masked}`),
    ]),
    `#   tq service --systemd | sudo tee /etc/systemd/system/${name}.service > /dev/null`,
    `#   sudo systemctl daemon-reload && sudo systemctl enable --now ${name}`,
    "#",
    `# Then: systemctl status ${name}, journalctl -fu ${name}, systemctl reload ${name}. Stop it with systemctl as well:`,
    "# what `tq stop` ends is started again.",
  ];
}

function service(plan: ServicePlan, { command, denoFolder }: UnitOptions): string[] {
  const { name, root, varFolder, handlersFolder, handlers, user, processes = 0, drainTimeout } = plan;
  const environment: readonly (readonly [string, string])[] = [
    ["TQ_ROOT", root],
    ["TQ_VAR", varFolder],
    ...(handlers === "handlers" ? [] : [["TQ_HANDLERS", handlersFolder] as const]),
    ...outsideFile(plan.settings).map(({ name, value }) => [name, value] as const),
    ...(denoFolder === undefined ? [] : [["DENO_DIR", denoFolder] as const]),
  ];
  return [
    "Type=notify",
    "NotifyAccess=main",
    `User=${user}`,
    `WorkingDirectory=${unitPath(root)}`,
    ...environment.map(([name, value]) => `Environment=${unitWord(`${name}=${value}`)}`),
    ...(denoFolder === undefined ? [`CacheDirectory=${name}`, `Environment=DENO_DIR=%C/${name}`] : []),
    ...(outsideFile(plan.secrets).length === 0 ? [] : [`EnvironmentFile=${environmentFileOf(plan)}`]),
    `ExecStart=${commandText(command("run"))}`,
    "# Replaces the engines one by one; fails, and says why, when the new code is refused.",
    `ExecReload=${commandText(command("reload"))}`,
    "Restart=always",
    "RestartSec=2",
    "# For a reload as well, which takes the engines one by one.",
    `TimeoutStartSec=${Math.max(RELOAD, processes * ENGINE_READY) + ENGINE_READY}`,
    `# TQ_DRAIN_TIMEOUT is ${drainTimeout} s. The supervisor drains its engines: TERM is for it alone.`,
    `TimeoutStopSec=${Math.ceil(drainTimeout) + LAST_WORDS}`,
    "KillMode=mixed",
    `WatchdogSec=${WATCHDOG}`,
    "# An engine that runs out of memory is replaced; the others go on.",
    "OOMPolicy=continue",
    "LimitNOFILE=65536",
    `SyslogIdentifier=${name}`,
  ];
}

function sandbox(plan: ServicePlan, { denoFolder }: UnitOptions): string[] {
  const writable = [plan.varFolder, ...(denoFolder === undefined ? [] : [`-${denoFolder}`])];
  return [
    `# What handlers may do. Loosen what yours need with \`systemctl edit ${plan.name}\`. They may write here alone:`,
    `ReadWritePaths=${writable.map(unitWord).join(" ")}`,
    "ProtectSystem=strict",
    "ProtectHome=read-only",
    "PrivateTmp=yes",
    "PrivateDevices=yes",
    "NoNewPrivileges=yes",
    "CapabilityBoundingSet=",
    "AmbientCapabilities=",
    "ProtectClock=yes",
    "ProtectHostname=yes",
    "ProtectKernelLogs=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelTunables=yes",
    "ProtectControlGroups=yes",
    "ProtectProc=invisible",
    "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "LockPersonality=yes",
    "SystemCallArchitectures=native",
    "# @pkey: V8 guards the code that it compiles.",
    "SystemCallFilter=@system-service @pkey",
    "SystemCallErrorNumber=EPERM",
    "UMask=0027",
    "# MemoryDenyWriteExecute cannot be on: JavaScript is compiled while it runs.",
  ];
}

/** Servers on this machine, which start first. systemd passes over names that it does not know. */
function localServers({ hosts }: ServicePlan): string[] {
  const isLocal = (host: string | undefined) => ["localhost", "127.0.0.1", "[::1]"].includes(host ?? "");
  return [
    ...(isLocal(hosts.postgres) ? ["postgresql.service"] : []),
    ...(isLocal(hosts.redis) ? ["redis-server.service", "redis.service", "valkey.service"] : []),
  ];
}

/** What `tq.json` gives is read from there. */
function outsideFile<T extends { readonly isInFile: boolean }>(given: readonly T[]): T[] {
  return given.filter((one) => !one.isInFile);
}

function environmentFileOf({ name }: ServicePlan): string {
  return `/etc/${name}.env`;
}

function commandText({ executable, args }: CommandLine): string {
  if (/["'\\\p{Cc}]/u.test(executable)) {
    throw new InputError(`systemd runs no program at ${JSON.stringify(executable)}`, {
      remedy: "move it to a path without quotes and backslashes",
    });
  }
  // A dollar sign would name a variable.
  return [executable, ...args].map((word) => unitWord(word).replaceAll("$", "$$$$")).join(" ");
}
