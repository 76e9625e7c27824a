/**
 * What settings are, for whoever is handed them. How they are declared, found and checked is in `config.ts`.
 *
 * @module
 */

import { SettingsError } from "./errors.ts";

/** A channel that an engine subscribes to, and how many of its tasks run at once in one engine. */
export interface Subscription {
  /** Its name. */
  readonly channel: string;
  /** No limit of its own when undefined. */
  readonly limit: number | undefined;
}

/** Where the HTTP server listens. */
export interface HttpAddress {
  /** A name, or an address without brackets. */
  readonly hostname: string;
  /** 0: any free one. */
  readonly port: number;
}

/** A bearer token of a user's own. */
export interface ApiToken {
  /** `view` reads, `manage` acts as well. */
  readonly right: "view" | "manage";
  /** As it is sent. */
  readonly token: string;
}

/** Settings by name, as validated. What each means, its default and its unit: `docs/settings.md`. */
export type SettingValues = {
  readonly TQ_DATABASE_URL: string | undefined;
  readonly TQ_REDIS_URL: string | undefined;
  readonly TQ_ROOT: string | undefined;
  readonly TQ_HANDLERS: string;
  readonly TQ_VAR: string;
  readonly TQ_SCHEMA: string;
  readonly TQ_REDIS_PREFIX: string;
  readonly TQ_PREPARE: boolean;
  readonly TQ_SUBSCRIBE: readonly Subscription[];
  readonly TQ_WORKERS: number;
  readonly TQ_PROCESSES: number | undefined;
  readonly TQ_RETRY_ATTEMPTS: number;
  readonly TQ_RETRY_DELAY: number;
  readonly TQ_RETRY_BACKOFF_FACTOR: number;
  readonly TQ_TASK_TIMEOUT: number;
  readonly TQ_LEASE: number;
  readonly TQ_DRAIN_TIMEOUT: number;
  readonly TQ_REPORT_BACKLOG: number;
  readonly TQ_DELETE_AFTER: number;
  readonly TQ_DELETE_COMPLETED_AFTER: number;
  readonly TQ_MAX_RSS: number;
  readonly TQ_MAX_TASKS: number | undefined;
  readonly TQ_MAX_DATA: number;
  readonly TQ_WEB_TIMEOUT: number;
  readonly TQ_WEB_ALLOW_LINK_LOCAL: boolean;
  /** Keys, decoded. Undefined: none. */
  readonly TQ_WEB_SECRET: readonly Uint8Array[] | undefined;
  /** Undefined: none. */
  readonly TQ_HTTP: HttpAddress | undefined;
  readonly TQ_HTTP_HOSTS: readonly string[];
  readonly TQ_API_TOKENS: readonly ApiToken[] | undefined;
  readonly TQ_REDACT: readonly string[];
  readonly TQ_ALERT_URL: string | undefined;
  readonly TQ_ALERT_FAILURE_RATE: number;
  readonly TQ_LOG_LEVEL: "debug" | "info" | "warning" | "error";
  readonly TQ_LOG_FORMAT: "text" | "json";
};

/** The name of a setting: of the environment variable, and of the key in `tq.json`. */
export type SettingName = keyof SettingValues;

/** Settings as given: strings or numbers by name. `undefined` means not given. */
export type SettingsInput = { readonly [Name in SettingName]?: string | number | boolean | undefined };

/** All settings, validated and frozen. Durations are in the unit of their default. */
export interface Settings extends Omit<SettingValues, "TQ_ROOT" | "TQ_HANDLERS" | "TQ_VAR"> {
  /** The root, absolute, or undefined where none was found: only publishing to a server works then. */
  readonly root: string | undefined;
  /** Settings that were given, as environment variables for a child process. */
  readonly given: Readonly<Record<string, string>>;
  /** `TQ_…` names in the environment that no setting has, each with the nearest that one has. */
  readonly unknown: readonly { readonly name: string; readonly nearest: string | undefined }[];
  /** Absolute, or undefined where there is no root to be under. */
  readonly handlersFolder: string | undefined;
  /** Absolute, or undefined where there is no root to be under. */
  readonly varFolder: string | undefined;
}

/** A folder that the command cannot do without. @throws {SettingsError} when there is none */
export function need(folder: string | undefined, what: string): string {
  if (folder !== undefined) return folder;
  throw new SettingsError(`no ${what} folder, as neither tq.json nor handlers/ is here or above`, {
    remedy: "run tq inside your project, or set TQ_ROOT",
  });
}
