/**
 * What runs tq.
 *
 * @module
 */

import { describeVersion } from "../version.ts";
import { bad, type Finding, ok } from "./finding.ts";

/** The oldest Deno that tq is tested with: the one inside the executable. */
const OLDEST_DENO = [2, 4, 2] as const;

/** Looks at tq and at the Deno that runs it. */
export async function examineRuntime(): Promise<Finding> {
  return judgeRuntime(await describeVersion(), Deno.version.deno);
}

/** @param text what `tq --version` says */
export function judgeRuntime(text: string, deno: string): Finding {
  const parts = deno.split(".").map((part) => Number.parseInt(part));
  const differs = OLDEST_DENO.findIndex((least, i) => parts[i] !== least);
  const isOld = differs !== -1 && (parts[differs] ?? 0) < (OLDEST_DENO[differs] ?? 0);
  if (!isOld) return ok("tq", text);
  return bad("tq", `${text}: this Deno is too old`, `use Deno ${OLDEST_DENO.join(".")} or later`);
}
