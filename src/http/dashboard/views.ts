/**
 * What the overview shows of channels and engines, and where it begins to worry.
 *
 * @module
 */

import type { EngineReport } from "../../supervisor/status_file.ts";

/** One channel: it has ready or running tasks, or an engine takes tasks from it. */
export interface ChannelView {
  readonly channel: string;
  /** Ready tasks, counted up to just above 10,000; null when they were not counted. */
  readonly ready: number | null;
  /** Since when the first in line is ready. */
  readonly oldest: number | null;
  readonly running: number;
  /** Engines that take tasks from it. */
  readonly engines: number;
}

/** One engine. */
export interface EngineView {
  readonly id: string | null;
  readonly host: string | null;
  readonly pid: number;
  readonly commit: string | null;
  readonly state: EngineReport["state"] | "lost";
  readonly running: number;
  /** Bytes; known of the engines of this host alone. */
  readonly memory: number | null;
  readonly started: number | null;
  readonly beat: number | null;
  readonly channels: readonly string[];
}

/** What problems are measured by. */
export interface Limits {
  /** Ready tasks of a channel above which it is reported: `TQ_REPORT_BACKLOG`. */
  readonly backlog: number;
  /** Seconds without a beat after which an engine is dead: `TQ_LEASE`. */
  readonly lease: number;
}
