/**
 * When a failed attempt is tried again. Pure arithmetic.
 *
 * @module
 */

/** The settings of the back-off. */
export interface RetryPolicy {
  /** The base delay in seconds (`TQ_RETRY_DELAY`). @default 60 */
  readonly delay: number;
  /** What each further delay is multiplied by (`TQ_RETRY_BACKOFF_FACTOR`). @default 2 */
  readonly factor: number;
}

/** The first retry comes after this many seconds: most failures that pass, pass at once. */
const FIRST_RETRY_SECONDS = 1;
/** Delays vary by this share either way, so that tasks that failed together do not return together. */
const JITTER = 0.1;
/** No delay is longer than this: 30 days. */
export const LONGEST_DELAY_SECONDS = 30 * 86_400;

/**
 * Seconds until the next attempt, after `attempts` of them (1 or more) have failed.
 * The first retry comes after 1 s, the n-th (n ≥ 2) after `delay · factor^(n−2)`, each ± 10 %.
 *
 * @param random a number in 0…1, for the jitter
 */
export function retryDelaySeconds(attempts: number, policy: RetryPolicy, random = Math.random()): number {
  // A power that overflows is cut: a delay of 0 times infinity would be no number at all.
  const power = Math.min(policy.factor ** (attempts - 2), Number.MAX_VALUE);
  const base = attempts <= 1 ? FIRST_RETRY_SECONDS : policy.delay * power;
  return Math.min(base * (1 + JITTER * (2 * random - 1)), LONGEST_DELAY_SECONDS);
}

/** Milliseconds before a connection or a process is tried again: 50 ms doubling to `longest`, with full jitter's upper half. */
export function reconnectDelay(tries: number, longest: number, random = Math.random()): number {
  const base = Math.min(50 * 2 ** Math.min(tries, 16), longest);
  return base / 2 + base / 2 * random;
}
