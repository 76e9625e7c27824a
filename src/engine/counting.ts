/**
 * Where an engine's work is counted: claims, ends of runs.
 *
 * @module
 */

import { type Clock, systemClock } from "../clock.ts";
import type { EngineCounts } from "../metrics/engine_counts.ts";
import type { ClaimedRow, Store } from "../store/mod.ts";
import { CLAIM_VALIDITY } from "./executor.ts";
import type { Held } from "./held.ts";
import { type Outcome, outcomeName } from "./outcome.ts";

/** The claims of a store, each counted. */
export function countedClaims(
  store: Pick<Store, "claim" | "claimNext">,
  counts: EngineCounts,
  clock: Clock = systemClock,
): Pick<Store, "claim" | "claimNext"> {
  const counted = async (claim: Promise<readonly ClaimedRow[]>) => {
    const sentAt = clock.monotonic();
    const rows = await claim;
    counts.batch("claim", rows.length, clock.monotonic() - sentAt);
    return rows;
  };
  return {
    claim: (...what) => counted(store.claim(...what)),
    claimNext: (...what) => counted(store.claimNext(...what)),
  };
}

/** Counts the end of a run; `now` in monotonic milliseconds. */
export function countEnd(counts: EngineCounts, held: Held, outcome: Outcome, now: number): void {
  const { row, startedAt, validUntil, aborted } = held;
  // Claimed before without being charged: since when it is ready again is not known.
  const isFirst = row.claims === row.attempts + 1;
  const waited = isFirst ? row.waited_ms + startedAt - (validUntil - CLAIM_VALIDITY) : undefined;
  counts.ended(row, held.task !== undefined, outcomeName(outcome, aborted), waited, now - startedAt);
}
