/**
 * Peers in the machine's own packages: nothing is installed here, only found, or said how to install.
 *
 * @module
 */

import { join } from "node:path";
import { REPOSITORY } from "../support/tq.ts";
import { type Contestant, peerFolder, type System } from "./contestants.ts";

const ROLES = join(REPOSITORY, "tests/bench/role");

/** How peers of a language are run. */
interface Language {
  readonly title: string;
  /** The second for a machine that has another first on its path, without Debian's packages. */
  readonly programs: readonly string[];
  /** Before the path of a script. */
  readonly options: readonly string[];
  readonly role: string;
  readonly driver: string;
  /** Arguments with which it prints two words: the peer's version and its own. */
  probe(system: System): readonly string[];
}

const LANGUAGES: Readonly<Record<System["language"], Language>> = {
  python: {
    title: "Python",
    programs: ["python3", "/usr/bin/python3"],
    // No byte code in the tree.
    options: ["-B"],
    role: join(ROLES, "python/main.py"),
    driver: "driver.py",
    probe: ({ modules, version }) => [
      "-c",
      `import platform, ${modules.join(", ")}\nprint(${version}, platform.python_version())`,
    ],
  },
  ruby: {
    title: "Ruby",
    programs: ["ruby", "/usr/bin/ruby"],
    options: [],
    role: join(ROLES, "ruby/main.rb"),
    driver: "driver.rb",
    probe: ({ modules, version }) => [
      "-e",
      [...modules.map((name) => `require "${name}"`), `puts ${version}, RUBY_VERSION`].join("; "),
    ],
  },
};

/** A contestant that was found. */
export interface Found {
  readonly driver: string;
  /** What starts its processes: see `Stall`. */
  readonly command: readonly string[];
  readonly version: string;
  /** What it runs on, unless that is Deno. */
  readonly runtime?: { readonly title: string; readonly version: string };
}

/** Who is there of those that a run asks for. */
export interface Field {
  readonly present: readonly Contestant[];
  readonly absent: readonly Contestant[];
}

/** What was looked for already: first to see who is there, then to start it. */
const SOUGHT = new WeakMap<System, Promise<Found | undefined>>();

/** Finds a peer and what runs it; undefined where its packages are not installed. */
export function findSystem(peer: string, system: System): Promise<Found | undefined> {
  const found = SOUGHT.get(system) ?? seek(peer, system);
  SOUGHT.set(system, found);
  return found;
}

async function seek(peer: string, system: System): Promise<Found | undefined> {
  const { title, programs, options, role, driver, probe } = LANGUAGES[system.language];
  for (const program of programs) {
    const [version, own] = await wordsOf(program, [...options, ...probe(system)]);
    if (version === undefined || own === undefined) continue;
    return {
      driver: join(peerFolder(peer), driver),
      command: [program, ...options, role],
      version,
      runtime: { title, version: own },
    };
  }
  return undefined;
}

/** Who of the contestants is there; those that the benchmark installs itself are. */
export async function fieldOf(contestants: readonly Contestant[]): Promise<Field> {
  const present: Contestant[] = [];
  const absent: Contestant[] = [];
  for (const contestant of contestants) {
    const { peer, system } = contestant;
    const isThere = peer === undefined || system === undefined ||
      await findSystem(peer, system) !== undefined;
    (isThere ? present : absent).push(contestant);
  }
  return { present, absent };
}

/** Why a contestant is left out that is not installed, and how to change that. */
export function whyAbsent(contestant: Contestant): string {
  return `${contestant.title} is left out, it is not installed: ${installLine([contestant])}`;
}

/** What to type to have them. */
export function installLine(contestants: readonly Contestant[]): string {
  const packages = new Set(contestants.flatMap(({ system }) => system?.packages ?? []));
  return `apt-get install -y ${[...packages].join(" ")}`;
}

async function wordsOf(program: string, args: readonly string[]): Promise<string[]> {
  try {
    const command = new Deno.Command(program, { args: [...args], stdin: "null", stderr: "null" });
    const { success, stdout } = await command.output();
    return success ? new TextDecoder().decode(stdout).trim().split(/\s+/) : [];
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}
