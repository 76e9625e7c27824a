/**
 * Whether the folder of run-time files can be used.
 *
 * @module
 */

import { dirname, join } from "node:path";
import { mayWrite } from "../posix.ts";
import { bad, type Finding, ok, warning } from "./finding.ts";

/** Folders in it whose entries are looked at as well: who puts files there is not always the engine. */
const FOLDERS = ["", "engines", "spool"];
/** So many of the entries that cannot be written are named. */
const NAMED = 3;
/** Others may write, and nothing stops them from removing what is not theirs. */
const OTHERS_WRITE = 0o002;
const STICKY = 0o1000;

/** What is there. */
export interface VarFolder {
  readonly path: string;
  readonly kind: "folder" | "missing" | "other";
  /** Whether this user may put files there; for a missing one, whether it may be made. */
  readonly writable: boolean;
  /** Number of the user it belongs to; null where it is missing, or where there are no users. */
  readonly owner: number | null;
  /** This user's number. */
  readonly user: number | null;
  readonly mode: number;
  /** Entries that this user may not write, relative to the folder. */
  readonly readOnly: readonly string[];
}

/** Looks at it. */
export async function examineVar(path: string): Promise<Finding> {
  return judgeVar(await lookAtVar(path));
}

/** What is there, without writing anything. */
export async function lookAtVar(path: string): Promise<VarFolder> {
  const info = await statOf(path);
  const facts = { path, owner: info?.uid ?? null, user: Deno.uid(), mode: info?.mode ?? 0 };
  if (info === undefined) {
    let parent = dirname(path);
    while (await statOf(parent) === undefined && parent !== dirname(parent)) parent = dirname(parent);
    return { ...facts, kind: "missing", writable: mayWrite(parent, "folder"), readOnly: [] };
  }
  if (!info.isDirectory) return { ...facts, kind: "other", writable: false, readOnly: [] };
  const writable = mayWrite(path, "folder");
  return { ...facts, kind: "folder", writable, readOnly: writable ? await readOnlyEntries(path) : [] };
}

async function readOnlyEntries(path: string): Promise<string[]> {
  const found: string[] = [];
  for (const folder of FOLDERS) {
    try {
      for await (const { name, isDirectory, isFile } of Deno.readDir(join(path, folder))) {
        const kind = isDirectory ? "folder" : "file";
        if ((isDirectory || isFile) && !mayWrite(join(path, folder, name), kind)) {
          found.push(join(folder, name));
        }
      }
    } catch (error) {
      // One that is not there holds nothing; one that may not be read is found among its parent's entries.
      if (!(error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied)) {
        throw error;
      }
    }
  }
  return found.sort();
}

/** Judges what is there. */
export function judgeVar({ path, kind, writable, owner, user, mode, readOnly }: VarFolder): Finding {
  if (kind === "other") return bad("var", `${path} is not a folder`, "remove it, or set TQ_VAR");
  if (kind === "missing") {
    if (writable) return ok("var", `${path} is not there yet; who needs it makes it`);
    return bad(
      "var",
      `${path} is not there, and user ${user} may not make it`,
      `make it for user ${user}, or set TQ_VAR`,
    );
  }
  if (!writable) {
    return bad(
      "var",
      `${path} belongs to user ${owner}, and user ${user} may not write there`,
      `chown it to user ${user}, or run tq as user ${owner}`,
    );
  }
  if (readOnly.length > 0) {
    const more = readOnly.length > NAMED ? ` and ${readOnly.length - NAMED} more` : "";
    const found = `${path} has files that user ${user} may not write: ${
      readOnly.slice(0, NAMED).join(", ")
    }${more}`;
    return bad("var", found, `chown -R ${user} ${path}`);
  }
  if ((mode & OTHERS_WRITE) !== 0 && (mode & STICKY) === 0) {
    return warning("var", `${path} may be written by everybody on this machine`, `chmod o-w ${path}`);
  }
  if (owner !== user && user === 0) {
    const found =
      `${path} belongs to user ${owner}, and this is root: files that root leaves there are in the way of user ${owner}`;
    return warning("var", found, `run tq as user ${owner}`);
  }
  return ok("var", `${path} can be written`);
}

async function statOf(path: string): Promise<Deno.FileInfo | undefined> {
  try {
    return await Deno.stat(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
