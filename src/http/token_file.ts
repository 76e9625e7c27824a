/**
 * Where the token is that was made here, as no other is set.
 *
 * @module
 */

import { join } from "node:path";

/** The file under `var`, which only this user reads. */
export function tokenPath(varFolder: string): string {
  return join(varFolder, "api_token");
}
