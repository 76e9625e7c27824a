/**
 * All that `tq doctor` looks at. Nothing is written or started, and every look is bounded.
 *
 * @module
 */

import { type Clock, systemClock, within } from "../clock.ts";
import type { Settings, SettingsSources } from "../config.ts";
import { examineCodeWatch } from "./code_watch.ts";
import { examineCron } from "./cron.ts";
import { examineEngine } from "./engine.ts";
import { attempt, bad, failed, type Finding, note, type Report } from "./finding.ts";
import { examineHandlers } from "./handlers.ts";
import { examinePostgres } from "./postgres.ts";
import { examineRedis } from "./redis.ts";
import { examineRuntime } from "./runtime.ts";
import { examineSettings } from "./settings.ts";
import { examineVar } from "./var_folder.ts";

/** Milliseconds for all looks, which go on at once: with a slow start of tq they stay under 10 s. */
const LIMIT = 7000;

/** A part of the system. What it throws becomes a finding. */
interface Group {
  /** The check that an error or a missed limit is put down to. */
  readonly check: string;
  examine(report: Report): Promise<void>;
}

/** Looks at everything; yields the findings of one part after the other, as they come in. Never rejects. */
export async function* examine(
  sources: SettingsSources,
  clock: Clock = systemClock,
): AsyncGenerator<Finding> {
  const { settings, findings } = examineSettings(sources);
  const groups = [single("tq", examineRuntime), ...(settings === undefined ? [] : groupsOf(settings))];
  const parts = groups.map((group) => bounded(group, clock));
  yield* findings;
  if (settings === undefined) {
    yield note("settings", "Postgres, Redis, the handlers and the rest are looked at once they are valid");
  }
  for (const part of parts) yield* await part;
}

function groupsOf(settings: Settings): Group[] {
  const { root, varFolder } = settings;
  const servers: Group[] = [{ check: "redis", examine: (report) => examineRedis(settings, report) }];
  // Without either there is no database to look at, which the settings' findings say.
  if (settings.TQ_DATABASE_URL !== undefined || varFolder !== undefined) {
    servers.unshift({ check: "postgres", examine: (report) => examinePostgres(settings, report) });
  }
  if (root === undefined || varFolder === undefined) return servers;
  return [
    ...servers,
    single("var", () => examineVar(varFolder)),
    single("handlers", () => examineHandlers(settings)),
    single("code watch", () => examineCodeWatch(settings)),
    single("cron", () => examineCron(root)),
    single("engine", () => examineEngine(varFolder)),
  ];
}

function single(check: string, look: () => Promise<Finding | readonly Finding[]>): Group {
  return { check, examine: (report) => attempt(report, check, look) };
}

/** What a part has found when its time is up. */
async function bounded({ check, examine }: Group, clock: Clock): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  const examining = examine((...found) => void findings.push(...found))
    .catch((error) => void findings.push(failed(check, error)))
    .then(() => true);
  if (await within(clock, LIMIT, examining)) return findings;
  // A copy: what comes later would be told by half.
  return [...findings, bad(check, `it was not looked at to the end within ${LIMIT / 1000} s`, "try again")];
}
