/**
 * What dispatch is: a narrow set of verbs for hints.
 *
 * @module
 */

/** A ready task. */
export interface Hint {
  readonly id: number;
  readonly channel: string;
  readonly priority: number;
}

/** What goes from anybody to every supervisor of one record. */
export type ControlMessage =
  | {
    readonly kind: "due"; /** Seconds until a task is due that is nearer than what upkeep may know. */
    readonly seconds: number;
  }
  | { readonly kind: "cancel"; readonly ids: readonly number[] }
  | {
    readonly kind: "restart"; /** Who says so, and restarts by itself. */
    readonly from?: string;
  };

/** Whether what was heard is a message: anybody may write into a Redis, a newer tq too. */
export function isControlMessage(value: unknown): value is ControlMessage {
  if (typeof value !== "object" || value === null) return false;
  const { kind, seconds, ids } = value as Record<string, unknown>;
  return kind === "restart" || kind === "due" && typeof seconds === "number" ||
    kind === "cancel" && Array.isArray(ids) && ids.every(Number.isSafeInteger);
}

/** How ids travel from publishers to engines. */
export interface Dispatch extends AsyncDisposable {
  /** `redis`, or `postgres` when engines claim straight from the record. */
  readonly kind: "redis" | "postgres";
  /** Whether hints travel at the moment. */
  readonly isUp: boolean;

  /**
   * Looks whether the server can serve: has BZMPOP, does not evict.
   *
   * @throws {SettingsError} for a server that is too old
   */
  check(): Promise<void>;

  /**
   * Tells that tasks are ready. Doubling does no harm. A rejection means that some hints may be lost.
   *
   * @param isTold whether the statement that made them ready has woken those engines that have no Redis @default false
   */
  push(hints: readonly Hint[], isTold?: boolean): Promise<void>;

  /** Takes back what was told of tasks that are not ready any more: on a channel that nobody takes it would stay. */
  drop(hints: readonly Pick<Hint, "id" | "channel">[]): Promise<void>;

  /**
   * Waits for ready ids of `channels`, the first first, at most `count`. An empty answer means: look into the record.
   *
   * @param found how many tasks the last look into the record found: while it finds some, the wait is short
   * @param enough ends the wait, with an empty answer or with what had come by then
   */
  pop(
    channels: readonly string[],
    count: number,
    found: number,
    signal: AbortSignal,
    enough?: AbortSignal,
  ): Promise<readonly Hint[]>;

  /** Tells every supervisor something; may be lost. */
  send(message: ControlMessage): Promise<void>;

  /** Hears what others send, until the returned function is called. */
  listen(heard: (message: ControlMessage) => void): Promise<() => void>;

  /** Whether the hints of ready tasks were lost as a whole since the last call. Marks them as present. */
  wasEmptied(): Promise<boolean>;

  /** Closes connections. */
  close(): Promise<void>;
}
