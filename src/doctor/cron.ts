/**
 * Whether something starts tq after a reboot: a line in a crontab, or a systemd unit.
 *
 * @module
 */

import { outputWithin } from "../child_output.ts";
import { type Clock, systemClock } from "../clock.ts";
import { join } from "node:path";
import { type Finding, note, ok, warning } from "./finding.ts";

/** Milliseconds for `crontab -l`. */
const DEADLINE = 3000;
/** Crontabs of the system. */
const CRON_FOLDER = "/etc/cron.d";
const CRONTAB = "/etc/crontab";
/** Units that a person has put there. */
const UNIT_FOLDER = "/etc/systemd/system";

/** A file, or the crontab of this user. */
export interface Source {
  /** As shown: `the crontab`, or a path. */
  readonly name: string;
  readonly text: string;
}

/** What may start tq. */
export interface CronFacts {
  /** What `crontab -l` prints; its own words when it refuses; undefined where there is no such command. */
  readonly crontab: { readonly text: string } | { readonly refusal: string } | undefined;
  /** Crontabs of the system. */
  readonly files: readonly Source[];
  /** systemd's units. */
  readonly units: readonly Source[];
}

/** Looks for what starts the engine of the project at `root`. */
export async function examineCron(root: string, clock: Clock = systemClock): Promise<Finding> {
  const [crontab, system, inFolder, units] = await Promise.all([
    readCrontab(clock),
    readSource(CRONTAB),
    readSources(CRON_FOLDER),
    readSources(UNIT_FOLDER, ".service"),
  ]);
  return judgeCron({ crontab, files: [...system, ...inFolder], units }, root);
}

/** Judges what is there. */
export function judgeCron({ crontab, files, units }: CronFacts, root: string): Finding {
  const own = crontab !== undefined && "text" in crontab ? [{ name: "the crontab", text: crontab.text }] : [];
  const crontabs = [...own, ...files];
  const ours = crontabs.find(({ text }) => periodicLines(text, root).ours > 0);
  if (ours !== undefined) return ok("cron", `${ours.name} has the line`);
  const unit = units.find(({ text }) => isOurUnit(text, root));
  if (unit !== undefined) return ok("cron", `not needed: systemd has ${unit.name}`);
  if (crontab === undefined && files.length === 0) {
    return note("cron", "there is none on this machine", "have what starts programs here run tq run");
  }
  const remedy = "add what tq periodic --install prints, or have systemd run it: tq service --systemd";
  const other = crontabs.find(({ text }) => periodicLines(text, root).others > 0);
  if (other !== undefined) {
    return warning("cron", `${other.name} has a line of tq periodic, but none for ${root}`, remedy);
  }
  if (crontab !== undefined && "refusal" in crontab) {
    return warning(
      "cron",
      `crontab -l refuses (${crontab.refusal}), and no line is in ${CRON_FOLDER}`,
      remedy,
    );
  }
  return warning("cron", "no line starts the engine when it is down, as after a reboot", remedy);
}

/** How many lines of a crontab call `tq periodic`, for this root and for others. */
function periodicLines(text: string, root: string): { ours: number; others: number } {
  const found = { ours: 0, others: 0 };
  // A line may set the root for all that follow it.
  let setFor = false;
  for (const line of text.split("\n").filter((line) => !/^\s*(#|$)/.test(line))) {
    if (/^\s*TQ_ROOT\s*=/.test(line)) setFor = names(line, root);
    else if (!/\s['"]?periodic\b/.test(line)) continue;
    else if (setFor || names(line, root)) found.ours++;
    else found.others++;
  }
  return found;
}

function isOurUnit(text: string, root: string): boolean {
  return names(text, root) && /^ExecStart=.*\brun\b/m.test(text);
}

/** Whether the text names the folder: `/srv/shop`, not `/srv/shop2`. */
function names(text: string, folder: string): boolean {
  for (let at = text.indexOf(folder); at !== -1; at = text.indexOf(folder, at + 1)) {
    if (!/[\w.-]/.test(text.charAt(at + folder.length))) return true;
  }
  return false;
}

async function readCrontab(clock: Clock): Promise<CronFacts["crontab"]> {
  let child: Deno.ChildProcess;
  try {
    child = new Deno.Command("crontab", {
      args: ["-l"],
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  const ended = await outputWithin(clock, DEADLINE, child);
  if (ended === undefined) return { refusal: `no answer within ${DEADLINE / 1000} s` };
  const decoder = new TextDecoder();
  if (ended.success) return { text: decoder.decode(ended.stdout) };
  const refusal = decoder.decode(ended.stderr).trim();
  return /^no crontab for /.test(refusal) ? { text: "" } : { refusal };
}

async function readSources(folder: string, ending = ""): Promise<Source[]> {
  const found: Source[] = [];
  try {
    for await (const { name } of Deno.readDir(folder)) {
      if (name.endsWith(ending)) found.push(...await readSource(join(folder, name)));
    }
  } catch {
    // There is no such folder, or it is not ours to read.
  }
  return found;
}

/** The file; nothing where there is none, or where it is not ours to read. */
async function readSource(path: string): Promise<Source[]> {
  try {
    return [{ name: path, text: await Deno.readTextFile(path) }];
  } catch {
    return [];
  }
}
