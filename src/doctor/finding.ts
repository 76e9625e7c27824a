/**
 * What `tq doctor` says: one finding a line.
 *
 * @module
 */

import { messageOf, TqError } from "../errors.ts";

/** How bad it is: `note` is neither good nor bad; only `bad` makes the command fail. */
export type Level = "ok" | "note" | "warning" | "bad";

/** What one check found. */
export interface Finding {
  /** The check, in a word or two: `redis`, `dead rows`. A check may have several findings. */
  readonly check: string;
  readonly level: Level;
  /** One sentence without its full stop. May hold text from outside. */
  readonly found: string;
  /** How to mend it; null where there is nothing to mend. */
  readonly remedy: string | null;
}

/** Takes what a check found, as soon as it is known. */
export type Report = (...findings: readonly Finding[]) => void;

/** All is as it should be. */
export function ok(check: string, found: string): Finding {
  return { check, level: "ok", found, remedy: null };
}

/** Worth knowing, neither good nor bad. */
export function note(check: string, found: string, remedy: string | null = null): Finding {
  return { check, level: "note", found, remedy };
}

/** tq works, but not as well as it could, or not for ever. */
export function warning(check: string, found: string, remedy: string): Finding {
  return { check, level: "warning", found, remedy };
}

/** tq does not work, or loses what it promises. */
export function bad(check: string, found: string, remedy: string): Finding {
  return { check, level: "bad", found, remedy };
}

/** An error as a finding. Without a remedy of its own, its text must do. */
export function failed(check: string, error: unknown): Finding {
  const remedy = error instanceof TqError ? error.remedy ?? null : null;
  return { check, level: "bad", found: messageOf(error), remedy };
}

/** Reports what `look` finds, or that it failed: one check does not take the others with it. */
export async function attempt(
  report: Report,
  check: string,
  look: () => Promise<Finding | readonly Finding[]>,
): Promise<void> {
  try {
    report(...[await look()].flat());
  } catch (error) {
    report(failed(check, error));
  }
}

/** `3 warnings`, `1 warning`. */
export function count(number: number, what: string, several: string = `${what}s`): string {
  return `${number} ${number === 1 ? what : several}`;
}

/** Bytes for people: `512 KiB`, `1.4 GiB`. */
export function size(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let at = 0;
  let value = bytes;
  for (; value >= 1023.5 && at < units.length - 1; at++) value /= 1024;
  return `${value < 10 && at > 0 ? Math.round(value * 10) / 10 : Math.round(value)} ${units[at]}`;
}
