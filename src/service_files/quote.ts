/**
 * Text inside service files, so that it stands for itself.
 *
 * @module
 */

/** Controls, which systemd and YAML write as `\x0a`, and a backslash or a double quote. */
// deno-lint-ignore no-control-regex
const SPECIAL = /["\\\x00-\x1f\x7f]/g;

function escape(one: string): string {
  return /["\\]/.test(one) ? `\\${one}` : `\\x${one.charCodeAt(0).toString(16).padStart(2, "0")}`;
}

/** A word among others in a unit: quoted where it must be, and no specifiers in it. */
export function unitWord(text: string): string {
  const whole = text.replaceAll("%", "%%");
  return /^[\w@%+=:,./-]+$/.test(whole) ? whole : `"${whole.replaceAll(SPECIAL, escape)}"`;
}

/** A path, or another text, that is the whole value of a line in a unit. */
export function unitPath(text: string): string {
  return text.replaceAll("%", "%%");
}

/** A word in a shell. */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/** A text in YAML, in which compose replaces no variable. */
export function composeText(text: string): string {
  return `"${text.replaceAll(SPECIAL, escape).replaceAll("$", "$$$$")}"`;
}
