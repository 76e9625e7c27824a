/**
 * Whether new code is noticed at once.
 *
 * @module
 */

import { gitFolder } from "../commit.ts";
import { messageOf } from "../errors.ts";
import type { Settings } from "../settings.ts";
import { type Finding, note, ok, warning } from "./finding.ts";

/** How much a user may watch on Linux. */
export interface WatchLimits {
  readonly instances: number;
  readonly watches: number;
}

/** What came of watching. */
export interface CodeWatchFacts {
  /** Git's folders, of the project and of its handlers; none outside of a checkout. */
  readonly folders: readonly string[];
  /** Undefined where the system has none, or does not tell. */
  readonly limits: WatchLimits | undefined;
  /** Why they cannot be watched. */
  readonly problem: string | undefined;
}

/** Looks whether git's folders can be watched. */
export async function examineCodeWatch(
  settings: Pick<Settings, "root" | "handlersFolder">,
): Promise<Finding> {
  return judgeCodeWatch(await lookAtCodeWatch([settings.root, settings.handlersFolder]));
}

/** Watches the git folders of these places, for a moment. */
export async function lookAtCodeWatch(places: readonly (string | undefined)[]): Promise<CodeWatchFacts> {
  const found = places.map((place) => place === undefined ? undefined : gitFolder(place));
  const folders = [...new Set(found.filter((folder) => folder !== undefined))];
  let problem: string | undefined;
  try {
    if (folders.length > 0) Deno.watchFs(folders, { recursive: false }).close();
  } catch (error) {
    problem = messageOf(error);
  }
  return { folders, limits: await readLimits(), problem };
}

async function readLimits(): Promise<WatchLimits | undefined> {
  // Those of the system, and those of this user's namespace, as containers have.
  const least = async (...paths: string[]) =>
    Math.min(...(await Promise.all(paths.map((path) => Deno.readTextFile(`/proc/sys/${path}`)))).map(Number));
  try {
    return {
      instances: await least("fs/inotify/max_user_instances", "user/max_inotify_instances"),
      watches: await least("fs/inotify/max_user_watches", "user/max_inotify_watches"),
    };
  } catch {
    return undefined;
  }
}

/** Judges what came of it. */
export function judgeCodeWatch({ folders, limits, problem }: CodeWatchFacts): Finding {
  const shown = limits === undefined
    ? ""
    : `, of ${limits.instances} instances and ${limits.watches} watches a user`;
  if (folders.length === 0) {
    return note(
      "code watch",
      "this is no git checkout: code is taken when its folder changes, or by tq reload",
    );
  }
  if (problem === undefined) return ok("code watch", `${folders.join(", ")} can be watched${shown}`);
  const found = `${folders.join(", ")} cannot be watched (${problem}), and is looked at every 5 s${shown}`;
  return warning(
    "code watch",
    found,
    "raise fs.inotify.max_user_instances and fs.inotify.max_user_watches by sysctl",
  );
}
