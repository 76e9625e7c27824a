/**
 * The store that the settings ask for, and the memory of which database a `var` folder belongs to.
 *
 * @module
 */

import { join } from "node:path";
import type { Settings } from "../settings.ts";
import { SettingsError } from "../errors.ts";
import { EMBEDDED_TRAITS, embeddedUrl, runningEmbeddedUrl } from "./embedded.ts";
import { Store } from "./mod.ts";

/** Who connects, and how much. */
export interface ConnectOptions {
  /** Shown in `pg_stat_activity`. */
  readonly applicationName: string;
  /** Connections at most. */
  readonly connections: number;
  /** Whether an embedded database that does not run is started, and made; else it is unreachable. @default true */
  readonly startsEmbedded?: boolean;
  /** Whether it publishes: then `var` belongs to an embedded database from here on. @default false */
  readonly publishes?: boolean;
  /** Whether the caller named the database itself, so that it is no forgotten environment. @default false */
  readonly isNamed?: boolean;
}

/** Without NOTIFY: looks for ready rows at first after 50 ms, at last every 5 s. */
const POLL = { first: 50, longest: 5000 } as const;

/** Whether the settings name no server. */
export function isEmbedded(settings: Settings): boolean {
  return settings.TQ_DATABASE_URL === undefined;
}

/**
 * Makes the store; connects when it is first used.
 *
 * @throws {SettingsError} when `var` belongs to another database, unless the caller named this one itself
 */
export function connectStore(settings: Settings, options: ConnectOptions): Store {
  const url = settings.TQ_DATABASE_URL;
  const common = { ...options, schema: settings.TQ_SCHEMA };
  if (options.isNamed !== true) checkDatabase(settings);
  if (url !== undefined) {
    const { TQ_PREPARE: prepare } = settings;
    return new Store({ ...common, url: () => Promise.resolve(url), prepare, notifies: prepare, poll: POLL });
  }
  const { varFolder } = settings;
  if (varFolder === undefined) {
    throw new SettingsError(
      "no database: TQ_DATABASE_URL is not set, and neither tq.json nor handlers/ is here or above",
      { remedy: "set TQ_DATABASE_URL, or run tq inside your project" },
    );
  }
  const embedded = () => {
    if (options.publishes) claimForEmbedded(settings, varFolder);
    return options.startsEmbedded ?? true
      ? embeddedUrl(varFolder, settings.TQ_SCHEMA)
      : runningEmbeddedUrl(varFolder);
  };
  return new Store({ ...common, ...EMBEDDED_TRAITS, url: embedded });
}

/** The database that the settings name, without secrets: `postgres://host:5432/name schema tq`. */
export function databaseName(settings: Settings): string {
  if (settings.TQ_DATABASE_URL === undefined) return "the embedded database";
  const url = new URL(settings.TQ_DATABASE_URL);
  return `postgres://${url.hostname}:${url.port || 5432}${url.pathname} schema ${settings.TQ_SCHEMA}`;
}

/**
 * Refuses to work with another database than the one that `var` belongs to: a cron line without the environment
 * would publish into an embedded database that nobody runs.
 *
 * @throws {SettingsError} names both
 */
export function checkDatabase(settings: Settings): void {
  const { varFolder } = settings;
  if (varFolder === undefined) return;
  const path = join(varFolder, "database");
  const name = databaseName(settings);
  let known: string;
  try {
    known = Deno.readTextFileSync(path).trim();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw new SettingsError(`${path} cannot be read`, { cause: error, remedy: "mend its rights" });
  }
  if (known === name) return;
  throw new SettingsError(`${varFolder} belongs to ${known}, but the settings name ${name}`, {
    remedy: `set TQ_DATABASE_URL, or remove ${path} if it has moved`,
  });
}

/**
 * Writes down that `var` belongs to the embedded database, before the first task is in there: without it an engine
 * that is started later, on a server, would not say that it leaves that task behind.
 */
function claimForEmbedded(settings: Settings, varFolder: string): void {
  Deno.mkdirSync(varFolder, { recursive: true });
  try {
    Deno.writeTextFileSync(join(varFolder, "database"), databaseName(settings) + "\n", { createNew: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    checkDatabase(settings);
  }
}

/** Writes down which database `var` belongs to; whoever runs engines does so. */
export async function rememberDatabase(settings: Settings): Promise<void> {
  if (settings.varFolder === undefined) return;
  await Deno.mkdir(settings.varFolder, { recursive: true });
  await Deno.writeTextFile(join(settings.varFolder, "database"), databaseName(settings) + "\n");
}
