/**
 * What a server says about when to come back. Pure arithmetic.
 *
 * @module
 */

/** No server is believed beyond a day. */
const LONGEST_SECONDS = 86_400;

/**
 * Seconds that `Retry-After` asks to wait, at most a day; undefined when it says nothing usable, or no wait at
 * all: then the usual back-off decides, so that a server cannot use up the attempts within one second.
 *
 * @param value the header: seconds, or an HTTP date
 * @param date the response's `Date`, which a date is measured from: the server's clock may differ from ours
 * @param now our own clock in milliseconds since the epoch, for a response without `Date`
 */
export function retryAfterSeconds(
  value: string | undefined,
  date: string | undefined,
  now: number,
): number | undefined {
  if (value === undefined) return undefined;
  const seconds = /^\d+$/.test(value.trim())
    ? Number(value)
    : (httpDate(value) - (date === undefined ? now : httpDate(date, now))) / 1000;
  return seconds > 0 ? Math.min(seconds, LONGEST_SECONDS) : undefined;
}

/** An HTTP date in any of its three spellings, in milliseconds since the epoch, or `otherwise`. */
function httpDate(text: string, otherwise = NaN): number {
  const trimmed = text.trim();
  if (!/^[A-Z][a-z]{2,8},? /.test(trimmed)) return otherwise;
  // asctime's spelling names no zone, and is meant as GMT all the same.
  const time = Date.parse(trimmed.endsWith("GMT") ? trimmed : `${trimmed} GMT`);
  return Number.isNaN(time) ? otherwise : time;
}
