/**
 * Whether the settings are valid, and where the project is.
 *
 * @module
 */

import { loadSettings, type Settings, type SettingsSources } from "../config.ts";
import { bad, failed, type Finding, ok, warning } from "./finding.ts";

/** Loads the settings; undefined where they are not valid, and then only one finding says why. */
export function examineSettings(
  sources: SettingsSources,
): { settings: Settings | undefined; findings: readonly Finding[] } {
  try {
    const settings = loadSettings(sources);
    return { settings, findings: judgeSettings(settings) };
  } catch (error) {
    return { settings: undefined, findings: [failed("settings", error)] };
  }
}

/** Judges settings that are valid. Their values stay out of it: URLs hold passwords. */
export function judgeSettings(
  settings: Pick<Settings, "root" | "given" | "unknown" | "TQ_DATABASE_URL">,
): Finding[] {
  const given = Object.keys(settings.given).filter((name) => name !== "TQ_ROOT");
  const unknown = settings.unknown.map(({ name, nearest }) =>
    warning(
      "settings",
      `${name} in the environment is no setting`,
      nearest === undefined ? "see docs/settings.md" : `did you mean ${nearest}?`,
    )
  );
  return [
    ok(
      "settings",
      given.length === 0 ? "valid; all have their defaults" : `valid; given: ${given.join(", ")}`,
    ),
    ...unknown,
    judgeRoot(settings),
  ];
}

function judgeRoot({ root, TQ_DATABASE_URL }: Pick<Settings, "root" | "TQ_DATABASE_URL">): Finding {
  if (root !== undefined) return ok("project", root);
  const remedy = "run tq inside your project, or set TQ_ROOT";
  const found = "neither tq.json nor handlers/ is here or above";
  if (TQ_DATABASE_URL === undefined) return bad("project", found, remedy);
  return warning("project", `${found}: from here tasks can only be published`, remedy);
}
