/**
 * Settings: defaults ← `tq.json` ← environment ← flags; validated once, frozen, passed down.
 * `docs/settings.md` is generated from the table in this file.
 *
 * @module
 */

import { isAbsolute, join } from "node:path";
import { z } from "npm:zod@4.6.7";
import { messageOf, SettingsError } from "./errors.ts";
import { nearest } from "./nearest.ts";
import { findRoot } from "./root.ts";
import {
  ADDRESS,
  apiTokens,
  bytes,
  CHANNELS,
  duration,
  flag,
  folderPath,
  httpAddress,
  listOf,
  matching,
  number,
  parsed,
  SECRETS,
  subscriptions,
  TOKENS,
  url,
  webSecrets,
} from "./setting_values.ts";
import type { HttpAddress, SettingName, Settings, SettingsInput, SettingValues } from "./settings.ts";
import { SCHEMA_PATTERN } from "./task.ts";

export {
  type ApiToken,
  type HttpAddress,
  need,
  type Settings,
  type SettingsInput,
  type Subscription,
} from "./settings.ts";

/** How a setting is declared: its schema, how it is documented, and another variable that it falls back to. */
interface Declaration<T> {
  readonly schema: z.ZodType<T>;
  readonly shownDefault: string;
  readonly help: string;
  readonly fallback?: string;
}

/** An engine that runs nothing uses 85 MiB (2026-11-28): with less it would be replaced each minute. Bytes. */
const LEAST_RSS = 128 * 1024 * 1024;

/** Every setting that the code reads. A key here is the name of the environment variable and of the key in `tq.json`. */
const DECLARATIONS: { readonly [Name in SettingName]: Declaration<SettingValues[Name]> } = {
  TQ_DATABASE_URL: {
    schema: url("postgres://user:password@host:5432/database", "postgres:", "postgresql:").optional(),
    shownDefault: "embedded",
    fallback: "DATABASE_URL",
    help:
      "The Postgres that holds the record. Without it, an embedded database in `var/db`: for trying tq, and for small single servers that can bear to lose the last moments before a power cut. Every user of the machine can connect to it.",
  },
  TQ_REDIS_URL: {
    schema: url("redis://host:6379/0", "redis:", "rediss:").optional(),
    shownDefault: "none",
    fallback: "REDIS_URL",
    help:
      "The Redis (7.0 or later, or Valkey) that carries ids of ready tasks. Without it engines claim straight from Postgres.",
  },
  TQ_ROOT: {
    schema: folderPath.optional(),
    shownDefault: "the nearest folder with `tq.json` or `handlers/`",
    help:
      "Where `handlers/`, `var/` and `.git` are. Looked for from the current folder upward, then from the executable's.",
  },
  TQ_HANDLERS: {
    schema: folderPath.default("handlers"),
    shownDefault: "`handlers`",
    help: "The folder of handlers, under the root.",
  },
  TQ_VAR: {
    schema: folderPath.default("var"),
    shownDefault: "`var`",
    help: "The folder of run-time files, under the root. It remembers which database it belongs to.",
  },
  TQ_SCHEMA: {
    schema: matching("lower-case letters, digits and _, at most 63", SCHEMA_PATTERN).default("tq"),
    shownDefault: "`tq`",
    help: "The Postgres schema that holds tq's tables.",
  },
  TQ_REDIS_PREFIX: {
    schema: matching("letters, digits, _ . and -, at most 50", /^[A-Za-z0-9_.-]{1,50}$/).default("tq"),
    shownDefault: "`tq`",
    help: "What every Redis key starts with.",
  },
  TQ_PREPARE: {
    schema: flag.default(true),
    shownDefault: "`true`",
    help: "Prepared statements and LISTEN. Turn it off behind PgBouncer in transaction mode.",
  },
  TQ_SUBSCRIBE: {
    schema: parsed(CHANNELS, subscriptions).prefault("tq_model_handler,tq_app_handler,tq_hook"),
    shownDefault: "`tq_model_handler,tq_app_handler,tq_hook`",
    help:
      "The channels an engine takes tasks from; `name:5` limits how many of it run at once in one engine.",
  },
  TQ_WORKERS: {
    schema: number("a whole number from 1 to 10000", 1, 10_000).default(10),
    shownDefault: "10",
    help: "Tasks at once in one engine process.",
  },
  TQ_PROCESSES: {
    schema: number("a whole number from 1 to 64", 1, 64).optional(),
    shownDefault: "cores, at most 4; 1 when embedded",
    help: "Engine processes.",
  },
  TQ_RETRY_ATTEMPTS: {
    schema: number("a whole number from 1 to 1000", 1, 1000).default(5),
    shownDefault: "5",
    help: "Runs a task gets before it fails, unless it or its handler says otherwise.",
  },
  TQ_RETRY_DELAY: {
    schema: duration("seconds from 0 to 86400", 0, 86_400).default(60),
    shownDefault: "60 s",
    help: "The first retry comes after 1 s, the second after this, each ±10 %.",
  },
  TQ_RETRY_BACKOFF_FACTOR: {
    schema: number("a number from 1 to 100", 1, 100, false).default(2),
    shownDefault: "2",
    help: "What each further delay is multiplied by.",
  },
  TQ_TASK_TIMEOUT: {
    schema: duration("seconds from 1 to 2592000", 1, 2_592_000).default(1800),
    shownDefault: "1800 s",
    help: "How long a run may take, unless the task or its handler says otherwise.",
  },
  TQ_LEASE: {
    schema: duration("seconds from 2 to 3600", 2, 3600).default(30),
    shownDefault: "30 s",
    help: "An engine without a beat for this long is dead.",
  },
  TQ_DRAIN_TIMEOUT: {
    schema: duration("seconds from 0 to 86400", 0, 86_400).default(30),
    shownDefault: "30 s",
    help: "What running tasks get at a stop before they are aborted and put back.",
  },
  TQ_REPORT_BACKLOG: {
    schema: number("a whole number from 1", 1, Number.MAX_SAFE_INTEGER).default(200),
    shownDefault: "200",
    help: "More ready tasks than this on a channel are reported.",
  },
  TQ_DELETE_AFTER: {
    schema: duration("days from 0", 0, 36_500, "d").default(30),
    shownDefault: "30 days",
    help: "Failed and canceled tasks are deleted this long after their end.",
  },
  TQ_DELETE_COMPLETED_AFTER: {
    schema: duration("days from 0", 0, 36_500, "d").default(7),
    shownDefault: "7 days",
    help: "Completed tasks are deleted this long after their end.",
  },
  TQ_MAX_RSS: {
    schema: bytes("at least 128m: a size in bytes, or 512m, 1g", LEAST_RSS).default(512 * 1024 * 1024),
    shownDefault: "512 MiB",
    help: "An engine that uses more memory than this is replaced, the gapless way. `128m` at least.",
  },
  TQ_MAX_TASKS: {
    schema: number("a whole number from 1", 1, Number.MAX_SAFE_INTEGER).optional(),
    shownDefault: "none",
    help: "An engine that has taken this many tasks is replaced, the gapless way.",
  },
  TQ_MAX_DATA: {
    schema: bytes("a size in bytes, or 512k, 4m").default(1024 * 1024),
    shownDefault: "1 MiB",
    help: "The largest `data` or `result` of one task, as JSON.",
  },
  TQ_WEB_TIMEOUT: {
    schema: duration("seconds from 0.1 to 3600", 0.1, 3600).default(15),
    shownDefault: "15 s",
    help: "How long a web request may take, redirects included.",
  },
  TQ_WEB_ALLOW_LINK_LOCAL: {
    schema: flag.default(false),
    shownDefault: "`false`",
    help: "Let web requests reach link-local addresses, where clouds keep their metadata.",
  },
  TQ_WEB_SECRET: {
    schema: parsed(SECRETS, webSecrets).optional(),
    shownDefault: "none",
    help:
      "Signs web requests by the Standard Webhooks specification: `whsec_` and 24 to 64 random bytes as base64. Several, separated by commas, make a signature each: so a secret is changed.",
  },
  TQ_HTTP: {
    schema: parsed<HttpAddress | "off">(ADDRESS, (text) => text === "off" ? text : httpAddress(text))
      .default({ hostname: "127.0.0.1", port: 7654 })
      .transform((address) => address === "off" ? undefined : address),
    shownDefault: "`127.0.0.1:7654`",
    help:
      "Where REST and the dashboard are served; port 0 is any free one, `off` is nowhere. Beyond loopback only with `TQ_API_TOKENS`.",
  },
  TQ_HTTP_HOSTS: {
    schema: listOf("host names separated by commas: tq.example.com", /^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*$/),
    shownDefault: "none",
    help:
      "Names under which clients reach the server, through a proxy too. `localhost` and addresses need not be named; requests for other names are refused.",
  },
  TQ_API_TOKENS: {
    schema: parsed(TOKENS, apiTokens).optional(),
    shownDefault: "one for `manage`, made in `var/api_token`",
    help:
      "What REST clients show: `view:<token>` reads, `manage:<token>` acts as well. Several are separated by commas.",
  },
  TQ_REDACT: {
    schema: listOf("names of keys separated by commas: password,token", /^[^\p{Cc}]{1,200}$/u),
    shownDefault: "none",
    help:
      "Keys whose values REST and the dashboard do not show, wherever they are in `data` or `result`, in any case.",
  },
  TQ_ALERT_URL: {
    schema: url("https://hooks.slack.com/services/…", "https:", "http:").optional(),
    shownDefault: "none",
    help:
      "Where alerts are posted, as JSON that Slack and those like it accept: a backlog, failures, a dead engine, refused code, and the end of each.",
  },
  TQ_ALERT_FAILURE_RATE: {
    schema: number("a number from 0 to 1", 0, 1, false).default(0.2),
    shownDefault: "0.2",
    help:
      "An alert when more than this share of the tasks that ended here within 5 minutes failed, and at least 10 did. 1 is never.",
  },
  TQ_LOG_LEVEL: {
    schema: z.enum(["debug", "info", "warning", "error"], "debug, info, warning or error").default("info"),
    shownDefault: "`info`",
    help: "The least level that is logged.",
  },
  TQ_LOG_FORMAT: {
    schema: z.enum(["text", "json"], "text or json").default("text"),
    shownDefault: "`text`",
    help: "One line of text or of JSON a record.",
  },
};

/** Where settings come from; everything has the process' own value as its default. */
export interface SettingsSources {
  readonly flags?: SettingsInput;
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** @default the current folder */
  readonly folder?: string;
  /** The folder of the executable; looked at after `folder`. */
  readonly executableFolder?: string | undefined;
}

/**
 * Reads the settings.
 *
 * @throws {SettingsError} for a bad value, or a key of `tq.json` that is unknown or cannot stand there; names it, the value and what is allowed
 */
export function loadSettings(sources: SettingsSources = {}): Settings {
  const environment = sources.environment ?? Deno.env.toObject();
  const folder = sources.folder ?? Deno.cwd();
  const flags = sources.flags ?? {};
  const root = findRoot(flags.TQ_ROOT ?? environment.TQ_ROOT, folder, sources.executableFolder);
  const file = root === undefined ? {} : readFile(join(root, "tq.json"));
  const names = Object.keys(DECLARATIONS) as SettingName[];
  const given: Record<string, string> = {};
  const values: Record<string, unknown> = {};
  for (const name of names) {
    const declaration: Declaration<unknown> = DECLARATIONS[name];
    // The name that other programs share comes last: what it holds may be meant for them.
    const raw = flags[name] ?? variable(environment, name) ?? file[name] ??
      variable(environment, declaration.fallback);
    if (raw !== undefined) given[name] = String(raw);
    values[name] = validate(name, declaration.schema, raw);
  }
  const { TQ_ROOT: _root, TQ_HANDLERS: handlers, TQ_VAR: varFolder, ...rest } = values as SettingValues;
  const under = (path: string) => isAbsolute(path) ? path : root === undefined ? undefined : join(root, path);
  if (root !== undefined) given.TQ_ROOT = root;
  return Object.freeze({
    ...rest,
    root,
    given: Object.freeze(given),
    unknown: unknownNames(Object.keys(environment), names),
    handlersFolder: under(handlers),
    varFolder: under(varFolder),
  });
}

/**
 * The environment in which a child process reads the same settings as these. A variable of this process that they
 * leave out (as the demo leaves out every server) is blanked.
 */
export function childEnvironment(
  settings: Settings,
  own: Readonly<Record<string, string | undefined>> = Deno.env.toObject(),
): Record<string, string> {
  const environment: Record<string, string> = { ...settings.given };
  for (const [name, { fallback }] of Object.entries<Declaration<unknown>>(DECLARATIONS)) {
    if (name in settings.given) continue;
    if (own[name]) environment[name] = "";
    if (fallback !== undefined && own[fallback]) environment[fallback] = "";
  }
  return environment;
}

/** The rows of `docs/settings.md`. */
export function documentSettings(): {
  name: string;
  fallback: string | undefined;
  default: string;
  help: string;
}[] {
  return Object.entries(DECLARATIONS).map(([name, declaration]: [string, Declaration<unknown>]) => ({
    name,
    fallback: declaration.fallback,
    default: declaration.shownDefault,
    help: declaration.help,
  }));
}

/** An empty variable is how shells and compose files say "not set". */
function variable(
  environment: Readonly<Record<string, string | undefined>>,
  name: string | undefined,
): string | undefined {
  return name === undefined ? undefined : environment[name] || undefined;
}

function readFile(path: string): SettingsInput {
  let text: string;
  try {
    text = Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return {};
    throw new SettingsError(`${path} cannot be read (${messageOf(error)})`, {
      cause: error,
      remedy: "make it a file that can be read, or remove it",
    });
  }
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw new SettingsError(`${path} is not JSON`, { cause: error, remedy: (error as Error).message });
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
    throw new SettingsError(`${path} is not a JSON object`, { remedy: 'write {"TQ_WORKERS": 20}' });
  }
  if (Object.hasOwn(parsed, "TQ_ROOT")) {
    throw new SettingsError(`${path} names TQ_ROOT, which is the folder that it lies in`, {
      remedy: "remove it there, or set it in the environment",
    });
  }
  for (const key of Object.keys(parsed)) {
    if (Object.hasOwn(DECLARATIONS, key)) continue;
    const near = nearest(key, Object.keys(DECLARATIONS));
    throw new SettingsError(`${path} has the unknown key ${JSON.stringify(key)}`, {
      remedy: near === undefined ? "see docs/settings.md" : `did you mean ${near}?`,
    });
  }
  return parsed as SettingsInput;
}

function validate(name: SettingName, schema: z.ZodType<unknown>, raw: unknown): unknown {
  const result = schema.safeParse(raw);
  if (result.success) return result.data;
  // The value of a URL may hold a password, and a token is one: they are not repeated.
  const shown = /_(URL|TOKENS|SECRET)$/.test(name) ? "not what it should be" : JSON.stringify(raw);
  throw new SettingsError(`${name} is ${shown}`, {
    remedy: `allowed: ${result.error.issues.at(-1)?.message ?? "see docs/settings.md"}`,
  });
}

function unknownNames(given: readonly string[], known: readonly string[]): Settings["unknown"] {
  return given.filter((name) =>
    name.startsWith("TQ_") && !known.includes(name) && !/^TQ_(INTERNAL|TEST)_/.test(name)
  )
    .sort().map((name) => ({ name, nearest: nearest(name, known) }));
}
