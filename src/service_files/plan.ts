/**
 * What service files say of one installation of tq: where it is, as whom it runs, and which settings it lives by.
 *
 * @module
 */

import { basename, relative } from "node:path";
import { documentSettings } from "../config.ts";
import { SettingsError } from "../errors.ts";
import { need, type Settings } from "../settings.ts";
import { isSecret, maskSecret } from "./secrets.ts";

/** Where tq runs, and on what. */
export interface ServicePlan {
  /** The service's name: `tq-` and that of the root's folder. */
  readonly name: string;
  /** Absolute, as the two that follow. */
  readonly root: string;
  readonly varFolder: string;
  readonly handlersFolder: string;
  /** The folder of handlers as seen from the root; undefined where it is outside, or the root itself. */
  readonly handlers: string | undefined;
  /** Who owns `var`, or the root where there is no `var` yet: a name, or a number that has none. */
  readonly user: string;
  /** Settings that were given and hold no secret. */
  readonly settings: readonly PlannedSetting[];
  /** Settings that were given and hold one. */
  readonly secrets: readonly PlannedSecret[];
  /** Seconds. */
  readonly drainTimeout: number;
  /** Engine processes, where a setting says how many. */
  readonly processes: number | undefined;
  /** The port of REST and the dashboard; undefined where they are off, 0 where it is any. */
  readonly httpPort: number | undefined;
  /** Where the servers are; undefined where none is named. */
  readonly hosts: { readonly postgres: string | undefined; readonly redis: string | undefined };
}

/** A setting that may be shown. */
export interface PlannedSetting {
  readonly name: string;
  readonly value: string;
  /** Whether `tq.json` gives it: whoever runs in the root has it already. */
  readonly isInFile: boolean;
}

/** A setting that may not. */
export interface PlannedSecret {
  readonly name: string;
  /** The value, with `PASSWORD` in the place of what is secret. */
  readonly masked: string;
  /** See `PlannedSetting`. */
  readonly isInFile: boolean;
}

/** Settings that say where tq is: each kind of service has places of its own. */
const PLACES = ["TQ_ROOT", "TQ_VAR", "TQ_HANDLERS"];

/**
 * Makes the plan.
 *
 * @param environment where settings may come from besides `tq.json`
 * @throws {SettingsError} when there is no root, or a path that cannot stand on one line
 */
export async function planService(
  settings: Settings,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<ServicePlan> {
  const root = need(settings.root, "root");
  const varFolder = need(settings.varFolder, "var");
  const handlersFolder = need(settings.handlersFolder, "handlers");
  for (const path of [root, varFolder, handlersFolder]) refuseControls(path);
  const handlers = relative(root, handlersFolder);
  const given = givenSettings(settings, environment).filter(({ name }) => !PLACES.includes(name));
  return {
    name: `tq-${basename(root).replaceAll(/[^A-Za-z0-9_-]+/g, "-").replaceAll(/^-+|-+$/g, "") || "root"}`,
    root,
    varFolder,
    handlersFolder,
    handlers: ["", ".."].includes(handlers.split("/")[0] ?? "") ? undefined : handlers,
    user: await ownerOf(varFolder) ?? await ownerOf(root) ?? "root",
    settings: given.filter(({ name, value }) => !isSecret(name, value)),
    secrets: given.filter(({ name, value }) => isSecret(name, value))
      .map(({ name, value, isInFile }) => ({ name, masked: maskSecret(name, value), isInFile })),
    drainTimeout: settings.TQ_DRAIN_TIMEOUT,
    processes: settings.TQ_PROCESSES,
    httpPort: settings.TQ_HTTP?.port,
    hosts: { postgres: hostOf(settings.TQ_DATABASE_URL), redis: hostOf(settings.TQ_REDIS_URL) },
  };
}

/** The settings that were given, and where. */
export function givenSettings(
  settings: Settings,
  environment: Readonly<Record<string, string | undefined>>,
): PlannedSetting[] {
  return documentSettings().flatMap(({ name, fallback }) => {
    const value = settings.given[name];
    if (value === undefined) return [];
    const isInFile = !environment[name] && !(fallback !== undefined && environment[fallback] === value);
    return [{ name, value, isInFile }];
  });
}

function refuseControls(path: string): void {
  if (!/\p{Cc}/u.test(path)) return;
  throw new SettingsError(`${JSON.stringify(path)} cannot be named in a service file`, {
    remedy: "give the folder a name without control characters",
  });
}

function hostOf(url: string | undefined): string | undefined {
  return url === undefined ? undefined : new URL(url).hostname;
}

/** The name of a file's owner as /etc/passwd has it, else the number; undefined when there is no such file. */
async function ownerOf(path: string): Promise<string | undefined> {
  let uid: number | null;
  try {
    ({ uid } = await Deno.stat(path));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  if (uid === null) return undefined;
  const users = await Deno.readTextFile("/etc/passwd").catch(() => "");
  const entry = users.split("\n").map((line) => line.split(":")).find((fields) => fields[2] === String(uid));
  return entry?.[0] ?? String(uid);
}
