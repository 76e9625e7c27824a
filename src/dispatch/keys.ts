/**
 * Names in Redis. The record's install id is the hash tag: two databases that share a Redis never see each
 * other's ids, and all keys of one record are on one node of a Redis Cluster.
 *
 * @module
 */

/** The keys of one record. */
export interface Keys {
  /** The sorted set of a channel's ready ids. */
  queue(channel: string): string;
  /** A marker that the leader writes; when it is gone, Redis was emptied. */
  readonly epoch: string;
  /** The pub/sub channel of hints. */
  readonly control: string;
}

/** Builds the keys of one record. */
export function keysOf(prefix: string, install: string): Keys {
  const base = `{${prefix}:${install}}`;
  return {
    queue: (channel) => `${base}:queue:${channel}`,
    epoch: `${base}:epoch`,
    control: `${base}:control`,
  };
}

/** One step of priority is worth all ids: 2⁴⁴. With ids below it and priorities within ±100, scores are exact doubles. */
const PRIORITY_STEP = 2 ** 44;

/** The score of a ready id: the least is popped first, so order is priority, then age. */
export function scoreOf(priority: number, id: number): number {
  return id - priority * PRIORITY_STEP;
}

/** The priority in a score. */
export function priorityOf(score: number, id: number): number {
  return (id - score) / PRIORITY_STEP;
}
