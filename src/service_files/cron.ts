/**
 * What a crontab has to say to keep tq running: `tq periodic --install`.
 *
 * @module
 */

import { SettingsError } from "../errors.ts";
import { need, type Settings } from "../settings.ts";
import { givenSettings } from "./plan.ts";
import { shellWord } from "./quote.ts";
import { isSecret } from "./secrets.ts";
import type { CommandLine } from "./systemd.ts";

/** Cron cuts what is longer, bytes. */
const LONGEST_VARIABLE = 900;

/**
 * The lines: `command` every 5 minutes, with what cron's bare environment lacks. What `tq.json` gives is read from
 * there. Secrets are variables of the crontab, since cron logs commands, and `ps` shows them; they are blank for the
 * lines that follow.
 *
 * @throws {SettingsError} for a value that cannot stand in a crontab
 */
export function crontabLines(
  settings: Settings,
  environment: Readonly<Record<string, string | undefined>>,
  { executable, args }: CommandLine,
): string[] {
  const given = givenSettings(settings, environment)
    .filter(({ name, isInFile }) => !isInFile && name !== "TQ_ROOT")
    .concat({ name: "TQ_ROOT", value: need(settings.root, "root"), isInFile: false });
  for (const { name, value } of given) if (/\p{Cc}/u.test(value)) throw misfit(name);
  const secrets = given.filter(({ name, value }) => isSecret(name, value));
  const assignments = given.filter((one) => !secrets.includes(one))
    .map(({ name, value }) => `${name}=${shellWord(value)}`);
  const command = [...assignments, shellWord(executable), ...args.map(shellWord)].join(" ");
  return [
    ...secrets.map(({ name, value }) => `${name}=${quoteVariable(name, value)}`),
    // In a command a bare % is its end.
    `*/5 * * * * ${command.replaceAll("%", "\\%")}`,
    // An empty one needs quotes: without, cron takes no line of the whole file.
    ...secrets.map(({ name }) => `${name}=""`),
  ];
}

/** Cron knows both quotes, and no way to write one inside itself. */
function quoteVariable(name: string, value: string): string {
  const mark = ["'", '"'].find((one) => !value.includes(one));
  if (mark === undefined || value.length > LONGEST_VARIABLE) throw misfit(name);
  return `${mark}${value}${mark}`;
}

function misfit(name: string): SettingsError {
  return new SettingsError(`${name} has a value that cannot stand in a crontab`, {
    remedy: name === "TQ_ROOT"
      ? "give the folder a name without control characters"
      : "put it into tq.json, with chmod 600 where it is a secret",
  });
}
