/**
 * Durations and moments as people write them.
 *
 * @module
 */

const UNIT_SECONDS: Readonly<Record<string, number>> = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86_400 };

/** Reads `90`, `"90s"`, `"5m"`, `"2h"` or `"7d"`; a bare number is in `unit`. Returns that unit, or undefined. */
export function parseDuration(value: unknown, unit: "s" | "d" = "s"): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?$/.exec(String(value).trim());
  if (match === null) return undefined;
  return Number(match[1]) * (UNIT_SECONDS[match[2] ?? unit] ?? 1) / (UNIT_SECONDS[unit] ?? 1);
}

const MOMENT =
  /^(\d{4})-(\d\d)-(\d\d)(?:[T ]([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d)(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?$/;

/** Reads an ISO 8601 date or date and time (local time when it names no zone). Returns undefined for any other text. */
export function parseMoment(text: string): Date | undefined {
  const match = MOMENT.exec(text.trim());
  if (match === null) return undefined;
  const [year, month, day] = [Number(match[1]), Number(match[2]), Number(match[3])];
  // Date would make the 31st of February one of March.
  const days = new Date(Date.UTC(year, month, 0)).getUTCDate();
  if (month < 1 || month > 12 || day < 1 || day > days) return undefined;
  // A date alone Date would take for UTC.
  const date = new Date(match[4] === undefined ? `${match[0]}T00:00` : match[0].replace(" ", "T"));
  return Number.isNaN(date.getTime()) ? undefined : date;
}
